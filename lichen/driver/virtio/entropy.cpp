#include "lichen/driver/virtio/entropy.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "lichen/driver/virtio/start.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/io/turn.hpp"

// Runs seldom and is a large part of an image, so it is made small, not fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::driver::virtio {

Entropy::Entropy(Transport& transport, Queue queue, SharedMemory memory) noexcept
    : transport_{transport},
      home_{*coro::this_core()},
      queue_{std::move(queue)},
      memory_{std::move(memory)} {}

Task<Result<std::unique_ptr<Entropy>>> Entropy::open(Transport& transport,
                                                     DeviceMemory& memory) noexcept {
  if (transport.kind() != DeviceKind::entropy) co_return Error::not_supported;
  const io::Stay stay = co_await io::StayOn{*coro::this_core()};
  const Features features = CO_TRY(co_await begin(
      transport, {.wanted = feature::packed_ring | feature::event_index, .required = 0}));
  const Vector vector = transport.vectors() != 0 ? Vector{0} : no_vector;
  Queue queue =
      CO_TRY(Queue::create(transport, memory, features, {.most_descriptors = 1, .vector = vector}));
  SharedMemory shared = CO_TRY(SharedMemory::allocate(memory, most_at_once));
  std::unique_ptr<Entropy> device{new (std::nothrow)
                                      Entropy{transport, std::move(queue), std::move(shared)}};
  if (!device) co_return Error::no_memory;
  CO_TRY(transport.set_config_vector(vector));
  CO_TRY(device->queue_.enable());
  CO_TRY(finish(transport));
  co_return std::move(device);
}

Entropy::~Entropy() {
  if (reset_now(transport_)) return;
  queue_.abandon();
  memory_.abandon();
}

Error Entropy::give_up() noexcept {
  broken_ = true;
  begin_reset(transport_);
  return Error::io_failed;
}

Task<Result<void>> Entropy::fill(std::span<std::byte> into) noexcept {
  const io::Stay stay = co_await io::StayOn{home_};
  io::Turn turn{filling_};
  if (!turn) co_return Error::busy;
  while (!into.empty()) {
    if (broken_) co_return Error::io_failed;
    if (!std::exchange(asked_, true)) {
      const std::array<Segment, 1> all{Segment{memory_.address(0), most_at_once}};
      queue_.add({.read = {}, .written = all}, 0);
      queue_.publish();
    }
    news_.reset();
    const Result<Used> used = queue_.take();
    if (used.failed_with(Error::would_block)) {
      // If the task is stopped here the next one finds what comes.
      if (queue_.interrupts_on()) CO_TRY(co_await news_.wait());
      continue;
    }
    if (!used || used->written == 0) co_return give_up();
    asked_ = false;
    // The rest is not kept: what was handed out once must not lie about.
    const std::size_t size = std::min<std::size_t>(used->written, into.size());
    std::memcpy(into.data(), memory_.bytes().data(), size);
    std::ranges::fill(memory_.bytes(), std::byte{});
    into = into.subspan(size);
  }
  co_return Result<void>{};
}

bool Entropy::deliver() noexcept {
  if (!told_.take()) return false;
  if (!broken_ && (transport_.status() & status::needs_reset) != 0) (void)give_up();
  news_.set();
  return true;
}

}  // namespace lichen::driver::virtio

#pragma clang attribute pop

#include "lichen/driver/virtio/net_control.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

#include "lichen/coro/sleep.hpp"

// Runs seldom and is a large part of an image, so it is made small, not fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::driver::virtio {

namespace {

using namespace std::chrono_literals;

// Where things lie in the shared memory. What the device writes is a cache line away.
constexpr std::size_t answer_at = 0;
constexpr std::size_t command_at = 64;
constexpr std::size_t memory_size = command_at + 2 + NetControl::most_data;

constexpr std::byte done{0};
constexpr std::byte refused{1};

constexpr auto first_pause = 5us;
constexpr auto longest_pause = 1ms;
constexpr auto limit = 1s;

}  // namespace

Result<std::unique_ptr<NetControl>> NetControl::create(Transport& transport, DeviceMemory& memory,
                                                       Features features,
                                                       std::uint16_t index) noexcept {
  Queue queue = TRY(Queue::create(transport, memory, features,
                                  {.index = index, .most_descriptors = 16, .vector = no_vector}));
  if (queue.size() < 2) return Error::not_supported;
  SharedMemory shared = TRY(SharedMemory::allocate(memory, memory_size));
  std::unique_ptr<NetControl> made{new (std::nothrow)
                                       NetControl{std::move(queue), std::move(shared)}};
  if (!made) return Error::no_memory;
  return made;
}

Result<void> NetControl::enable() noexcept {
  pending_ = false;
  TRY(queue_.enable());
  queue_.interrupts_off();
  return {};
}

Task<Result<void>> NetControl::command(NetCommand what, std::span<const std::byte> data) noexcept {
  if (data.size() > most_data) co_return Error::too_large;
  const auto turn = CO_TRY(co_await turn_.lock());
  // One that was given up.
  if (pending_) (co_await answer()).ignore();
  if (!up_.load(std::memory_order_relaxed)) co_return Error::io_failed;
  if (pending_) co_return Error::timed_out;
  const std::span<std::byte> bytes = memory_.bytes();
  bytes[command_at] = std::byte{what.kind};
  bytes[command_at + 1] = std::byte{what.number};
  std::ranges::copy(data, bytes.begin() + command_at + 2);
  bytes[answer_at] = std::byte{0xFF};
  const std::array<Segment, 1> read{
      Segment{memory_.address(command_at), static_cast<std::uint32_t>(2 + data.size())}};
  const std::array<Segment, 1> written{Segment{memory_.address(answer_at), 1}};
  if (!queue_.add({.read = read, .written = written}, 0)) co_return Error::protocol_error;
  pending_ = true;
  queue_.publish();
  co_return co_await answer();
}

Task<Result<void>> NetControl::answer() noexcept {
  std::chrono::nanoseconds waited{};
  for (std::chrono::nanoseconds pause = first_pause;;) {
    const Result<Used> used = queue_.take();
    if (used) break;
    if (!used.failed_with(Error::would_block)) co_return used.error();
    if (!up_.load(std::memory_order_relaxed)) co_return Error::io_failed;
    if (waited >= limit) co_return Error::timed_out;
    CO_TRY(co_await sleep_for(pause));
    waited += pause;
    pause = std::min<std::chrono::nanoseconds>(pause * 2, longest_pause);
  }
  pending_ = false;
  switch (memory_.bytes()[answer_at]) {
    case done: co_return Result<void>{};
    case refused: co_return Error::not_supported;
    default: co_return Error::protocol_error;
  }
}

}  // namespace lichen::driver::virtio

#pragma clang attribute pop

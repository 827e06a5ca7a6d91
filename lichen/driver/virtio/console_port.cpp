#include "lichen/driver/virtio/console_port.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "lichen/hal/hal.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/io/turn.hpp"

namespace lichen::driver::virtio {

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

Result<std::unique_ptr<ConsolePort>> ConsolePort::create(PortOwner& owner, Transport& transport,
                                                         DeviceMemory& memory, Features features,
                                                         const PortOptions& options) noexcept {
  const auto queue = [&](unsigned which) {
    return Queue::create(transport, memory, features,
                         {.index = static_cast<std::uint16_t>(options.receive_queue + which),
                          .most_descriptors = slots,
                          .vector = options.vector});
  };
  Queue receive = TRY(queue(0));
  Queue send = TRY(queue(1));
  SharedMemory shared = TRY(SharedMemory::allocate(memory, 2 * slots * options.buffer_size));
  std::unique_ptr<ConsolePort> port{new (std::nothrow) ConsolePort{
      owner, options, std::move(receive), std::move(send), std::move(shared)}};
  if (!port) return Error::no_memory;
  return port;
}

ConsolePort::ConsolePort(PortOwner& owner, const PortOptions& options, Queue receive, Queue send,
                         SharedMemory memory) noexcept
    : owner_{owner},
      home_{*coro::this_core()},
      buffer_size_{options.buffer_size},
      patience_ns_{options.patience_ns},
      receive_{std::move(receive)},
      send_{std::move(send)},
      memory_{std::move(memory)} {}

Result<void> ConsolePort::enable() noexcept {
  TRY(receive_.enable());
  TRY(send_.enable());
  send_.interrupts_off();
  return {};
}

#pragma clang attribute pop

void ConsolePort::post(unsigned index) noexcept {
  const std::array<Segment, 1> room{
      Segment{memory_.address(index * buffer_size_), static_cast<std::uint32_t>(buffer_size_)}};
  receive_.add({.read = {}, .written = room}, static_cast<std::uint16_t>(index));
}

void ConsolePort::post_all() noexcept {
  // A device may offer a shorter ring.
  for (unsigned index = 0; index < slots && receive_.has_room(1); ++index) post(index);
  receive_.publish();
}

void ConsolePort::wake() noexcept {
  readable_.set();
  writable_.set();
}

void ConsolePort::fail() noexcept {
  failed_.store(true);
  opened_.set();
  wake();
}

void ConsolePort::set_open(bool open) noexcept {
  open_.store(open);
  if (open)
    opened_.set();
  else
    opened_.reset();
  wake();
}

void ConsolePort::set_name(std::span<const std::byte> name) noexcept {
  name_size_ = std::min(name.size(), name_.size());
  if (name_size_ != 0) std::memcpy(name_.data(), name.data(), name_size_);
  // Some end it with a zero.
  name_size_ = std::min(name_size_, std::string_view{name_.data(), name_size_}.find('\0'));
}

void ConsolePort::set_size(io::ConsoleSize size) noexcept {
  size_.store(std::uint32_t{size.rows} << 16 | size.columns);
}

io::ConsoleSize ConsolePort::size() const noexcept {
  const std::uint32_t both = size_.load();
  return {.columns = static_cast<std::uint16_t>(both),
          .rows = static_cast<std::uint16_t>(both >> 16)};
}

void ConsolePort::abandon() noexcept {
  receive_.abandon();
  send_.abandon();
  memory_.abandon();
}

Task<Result<void>> ConsolePort::opened() {
  const io::Stay stay = co_await io::StayOn{home_};
  CO_TRY(co_await opened_.wait());
  co_return failed_.load() ? Result<void>{Error::io_failed} : Result<void>{};
}

// False: nobody is at the other end.
Task<Result<bool>> ConsolePort::wait_until_readable() noexcept {
  for (;;) {
    if (current_.at != current_.end) co_return true;
    if (failed_.load()) co_return Error::io_failed;
    readable_.reset();
    const Result<Used> used = receive_.take();
    if (used && used->written != 0) {
      current_ = {.slot = used->token, .at = 0, .end = used->written};
      continue;
    }
    if (!used.failed_with(Error::would_block)) {
      owner_.port_failed();
      co_return Error::io_failed;
    }
    if (!open_.load()) co_return false;
    if (receive_.interrupts_on()) CO_TRY(co_await readable_.wait());
  }
}

Task<Result<std::size_t>> ConsolePort::read(std::span<std::byte> into) {
  const io::Stay stay = co_await io::StayOn{home_};
  io::Turn turn{reading_};
  if (!turn) co_return Error::busy;
  if (!CO_TRY(co_await wait_until_readable())) co_return 0;
  const std::size_t size = std::min(into.size(), current_.end - current_.at);
  std::memcpy(into.data(), slot(current_.slot).data() + current_.at, size);
  current_.at += size;
  if (current_.at == current_.end && !failed_.load()) {
    post(current_.slot);
    receive_.publish();
  }
  co_return size;
}

Task<Result<io::Buffer>> ConsolePort::receive() {
  const io::Stay stay = co_await io::StayOn{home_};
  {
    io::Turn turn{reading_};
    if (!turn) co_return Error::busy;
    if (!CO_TRY(co_await wait_until_readable())) co_return io::Buffer{};
  }
  io::Buffer buffer = io::allocate_buffer(current_.end - current_.at);
  if (buffer.room().empty()) co_return Error::no_memory;
  buffer.extend(CO_TRY(co_await read(buffer.room())));
  co_return buffer;
}

// Two flows that must not wait for each other meet here, one of which may have interrupted the
// other: so nobody waits for long.
bool ConsolePort::lock_sending() noexcept {
  constexpr std::uint64_t longest_ns = 50'000'000;
  const std::uint64_t until_ns = hal::now_ns() + longest_ns;
  while (sending_.exchange(true, std::memory_order_acquire)) {
    if (hal::now_ns() >= until_ns) return false;
    hal::pause();
  }
  return true;
}

bool ConsolePort::reclaim() noexcept {
  for (;;) {
    const Result<Used> used = send_.take();
    if (used.failed_with(Error::would_block)) return true;
    if (!used) return false;
    free_ |= 1U << used->token;
    stuck_ = false;
  }
}

std::size_t ConsolePort::put(std::span<const std::byte> bytes) noexcept {
  if (free_ == 0 || !send_.has_room(1)) return 0;
  const auto index = static_cast<unsigned>(std::countr_zero(free_));
  const std::size_t size = std::min(bytes.size(), buffer_size_);
  std::memcpy(slot(slots + index).data(), bytes.data(), size);
  const std::array<Segment, 1> piece{
      Segment{memory_.address((slots + index) * buffer_size_), static_cast<std::uint32_t>(size)}};
  send_.add({.read = piece, .written = {}}, static_cast<std::uint16_t>(index));
  free_ &= ~(1U << index);
  send_.publish();
  return size;
}

Task<Result<std::size_t>> ConsolePort::write(std::span<const std::byte> from) {
  const io::Stay stay = co_await io::StayOn{home_};
  io::Turn turn{writing_};
  if (!turn) co_return Error::busy;
  for (;;) {
    if (failed_.load()) co_return Error::io_failed;
    if (!open_.load()) co_return Error::closed;
    writable_.reset();
    if (lock_sending()) {
      const bool sane = reclaim();
      const std::size_t written = sane ? put(from) : 0;
      // Asked for while it is locked; whoever is stopped leaves it so, which costs an interrupt.
      const bool must_wait = sane && written == 0 && send_.interrupts_on();
      if (written != 0) send_.interrupts_off();
      unlock_sending();
      if (!sane) {
        owner_.port_failed();
        co_return Error::io_failed;
      }
      if (written != 0) co_return written;
      if (!must_wait) continue;
      CO_TRY(co_await writable_.wait());
    } else {
      co_await yield();
    }
  }
}

std::size_t ConsolePort::write_now(std::string_view text) noexcept {
  std::size_t done = 0;
  if (!lock_sending()) return 0;
  std::uint64_t until_ns = hal::now_ns() + patience_ns_;
  while (done < text.size() && !failed_.load() && open_.load() && reclaim()) {
    const std::string_view left = text.substr(done);
    if (const std::size_t size = put(std::as_bytes(std::span{left}))) {
      done += size;
      until_ns = hal::now_ns() + patience_ns_;
    } else if (stuck_ || hal::now_ns() >= until_ns) {
      stuck_ = true;
      break;
    } else {
      hal::pause();
    }
  }
  unlock_sending();
  return done;
}

void ConsolePort::flush_now() noexcept {
  if (!lock_sending()) return;
  const std::uint64_t until_ns = hal::now_ns() + patience_ns_;
  while (!failed_.load() && reclaim() && send_.in_flight() != 0 && !stuck_) {
    if (hal::now_ns() >= until_ns) stuck_ = true;
    hal::pause();
  }
  unlock_sending();
}

}  // namespace lichen::driver::virtio

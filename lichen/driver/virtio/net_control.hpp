// The control queue of a network card (virtio 1.2, 5.1.6.5): commands, one at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/net_bits.hpp"
#include "lichen/driver/virtio/queue.hpp"

namespace lichen::driver::virtio {

// Of one core. Commands are rare: nobody asks for interrupts, the answer is looked for.
class NetControl {
 public:
  static constexpr std::size_t most_data = 1'024;

  // Errors: those of Queue::create(), no_memory.
  static Result<std::unique_ptr<NetControl>> create(Transport& transport, DeviceMemory& memory,
                                                    Features features,
                                                    std::uint16_t queue) noexcept;
  NetControl(Queue queue, SharedMemory memory) noexcept
      : queue_{std::move(queue)}, memory_{std::move(memory)} {}

  // After a reset of the device.
  Result<void> enable() noexcept;
  // On any core: whether the device works and may be told anything.
  void set_up(bool up) noexcept { up_.store(up, std::memory_order_relaxed); }
  // Waits until the device has done it. Errors: not_supported (it refuses), io_failed (it is down),
  // timed_out (no answer within a second; the next command waits for that one, too), protocol_error
  // (it lies), too_large, stopped.
  Task<Result<void>> command(NetCommand command, std::span<const std::byte> data = {}) noexcept;
  // A little-endian number.
  template <std::unsigned_integral T>
  [[clang::coro_wrapper]] Task<Result<void>> command(NetCommand what, T number) noexcept {
    return command_with(what, std::bit_cast<std::array<std::byte, sizeof(T)>>(number));
  }
  void abandon() noexcept {
    queue_.abandon();
    memory_.abandon();
  }

 private:
  template <std::size_t size>
  Task<Result<void>> command_with(NetCommand what, std::array<std::byte, size> data) noexcept {
    co_return co_await command(what, std::span<const std::byte>{data});
  }
  Task<Result<void>> answer() noexcept;

  Queue queue_;
  SharedMemory memory_;
  coro::Mutex turn_;
  bool pending_ = false;  // the device has the memory
  std::atomic<bool> up_{false};
};

}  // namespace lichen::driver::virtio

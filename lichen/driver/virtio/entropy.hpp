// A virtio entropy device (virtio 1.2, 5.4): bytes that nobody can foresee, from whoever runs the
// machine.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/queue.hpp"
#include "lichen/driver/virtio/transport.hpp"

namespace lichen::driver::virtio {

class Entropy {
 public:
  // For the calling core. Transport and memory MUST outlive it. Errors: not_supported (no such
  // device), not_found, no_memory, timed_out, io_failed.
  static Task<Result<std::unique_ptr<Entropy>>> open(Transport& transport,
                                                     DeviceMemory& memory) noexcept;
  ~Entropy();

  // Fills all of it. One task at a time: Error::busy. Errors: io_failed (the device lied or broke
  // down; it is not used again), stopped.
  Task<Result<void>> fill(std::span<std::byte> into) noexcept;

  // As of NetCard; there is one interrupt.
  void interrupted() noexcept { told_.set(); }
  void interrupted_by_line() noexcept { told_.set_by_line(transport_); }
  bool deliver() noexcept;

 private:
  static constexpr std::size_t most_at_once = 1024;
  Entropy(Transport& transport, Queue queue, SharedMemory memory) noexcept;
  Error give_up() noexcept;

  Transport& transport_;
  coro::Core& home_;
  Queue queue_;
  SharedMemory memory_;
  coro::Event news_;
  InterruptNote told_;
  bool filling_ = false;
  bool broken_ = false;
  bool asked_ = false;  // the device has the buffer
};

}  // namespace lichen::driver::virtio

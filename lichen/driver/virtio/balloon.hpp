// A virtio balloon (virtio 1.2, 5.5): whoever runs the machine asks for memory, and gives it back.
//
//                inflate: its numbers are told, the device takes it as it is
//   free ----------------------------------------------------------------------> the host's
//        <----------------------------------------------------------------------
//                deflate: the device has heard that it is used again
//
// Memory goes in pieces of several pages. A part of what is free is never given up, so that the
// machine goes on when the host asks for more than there is; then it is tried again from time to
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/queue.hpp"
#include "lichen/driver/virtio/transport.hpp"

namespace lichen::driver::virtio {

// Where the pieces come from. MUST outlive the balloon.
class BalloonMemory {
 public:
  struct Statistics {
    std::uint64_t total = 0;  // bytes, those that were given up included
    std::uint64_t free = 0;   // without them
  };
  // Bytes of a piece: whole pages of 4 KiB, side by side for the device, too.
  [[nodiscard]] virtual std::size_t piece_size() const noexcept = 0;
  // Its contents are lost. Errors: no_memory (there is none that can be done without).
  virtual Result<std::span<std::byte>> take() noexcept = 0;
  virtual void give_back(std::span<std::byte> piece) noexcept = 0;
  [[nodiscard]] virtual BusAddress address(std::span<const std::byte> piece) const noexcept = 0;
  [[nodiscard]] virtual Statistics statistics() const noexcept = 0;

 protected:
  ~BalloonMemory() = default;
};

class Balloon {
 public:
  // For the calling core. Errors: not_supported (no balloon, or pieces of no whole pages),
  // not_found, no_memory, timed_out, io_failed, stopped.
  static Task<Result<std::unique_ptr<Balloon>>> open(Transport& transport, DeviceMemory& memory,
                                                     BalloonMemory& pieces) noexcept;
  Balloon(const Balloon&) = delete;
  Balloon& operator=(const Balloon&) = delete;
  // The device is reset: all memory comes back.
  ~Balloon();

  // Gives up and takes back what the device wants, until it is stopped. Once at a time:
  // Error::busy. Errors: io_failed (the device lied or broke down; it is not used again, and what
  // it has comes back when the balloon ends), stopped.
  Task<Result<void>> run() noexcept;

  // As of Entropy.
  void interrupted() noexcept { told_.set(); }
  void interrupted_by_line() noexcept { told_.set_by_line(transport_); }
  bool deliver() noexcept;

  // Pieces that are the host's now.
  [[nodiscard]] std::size_t held() const noexcept { return held_; }

 private:
  static constexpr std::size_t page = 4096;
  static constexpr std::size_t most_pages = 256;  // told at a time
  // 5.5.6.4: what is known here, in the order in which it is told.
  static constexpr std::size_t statistic_size = 10;
  static constexpr std::size_t statistics_count = 3;
  static constexpr std::size_t shared_size =
      most_pages * sizeof(std::uint32_t) + statistics_count * statistic_size;

  Balloon(Transport& transport, BalloonMemory& pieces, Queue inflate, Queue deflate,
          SharedMemory memory) noexcept;
  Result<void> enable() noexcept;
  [[nodiscard]] std::size_t wanted() noexcept;
  // Pieces of that part of the list are told; returns when the device has read them.
  Task<Result<void>> tell(Queue& queue, std::size_t first, std::size_t count) noexcept;
  Task<Result<void>> inflate(std::size_t count) noexcept;
  Task<Result<void>> deflate(std::size_t count) noexcept;
  Task<Result<void>> wait_for_change() noexcept;
  void tell_size() noexcept;
  void add_statistics() noexcept;
  void answer_statistics() noexcept;
  Error give_up() noexcept;

  Transport& transport_;
  BalloonMemory& pieces_;
  coro::Core& home_;
  const std::size_t pages_of_piece_;
  Queue inflate_;
  Queue deflate_;
  std::optional<Queue> statistics_;
  SharedMemory memory_;
  Vector vector_ = no_vector;
  // Those from `held_` to `taken_` are on their way to the host.
  std::unique_ptr<std::byte*[]> list_;
  std::size_t most_ = 0;
  std::size_t held_ = 0;
  std::size_t taken_ = 0;
  std::size_t deflating_ = 0;  // the last ones; on their way back
  coro::Event news_;
  InterruptNote told_;
  bool asked_ = false;  // the device has the numbers
  bool running_ = false;
  bool broken_ = false;
};

}  // namespace lichen::driver::virtio

// The receiving half of a network card's pair of queues (virtio 1.2, 5.1.6.3 and 5.1.6.4).
//
//   free --post()--> device's --take()--> lent with a frame --give_back()--> free
//
// A frame that takes several buffers (VIRTIO_NET_F_MRG_RXBUF) is lent where it lies if they lie
// side by side, which they do as long as frames are given back in about the order in which they
// came; otherwise it is copied together.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/coro/core.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/queue.hpp"
#include "lichen/driver/virtio/slot_set.hpp"
#include "lichen/io/net_header.hpp"

namespace lichen::driver::virtio {

struct ReceiveOptions {
  const coro::Core* home = nullptr;  // on which all is done, and most buffers come back
  std::uint16_t queue = 0;
  Vector vector = no_vector;
  std::uint16_t most_posted = 256;
  unsigned buffers = 512;  // with those that are lent
  std::size_t buffer_size = 2048;
  unsigned assembled = 8;  // frames copied together that may be lent at a time
  bool merge = true;
  io::NetFeatures features;
};

struct ReceiveCounters {
  std::uint64_t frames = 0;
  std::uint64_t assembled = 0;  // of these, copied together
  std::uint64_t bad = 0;        // dropped: what was said of the frame was wrong
  std::uint64_t no_room = 0;    // dropped: too many copied together are lent
  std::uint64_t lost = 0;       // dropped half received, at a reset
};

// Of one core, except that buffers come back on any.
class NetReceive final : public io::BufferOwner {
 public:
  // Errors: those of Queue::create(), no_memory.
  static Result<std::unique_ptr<NetReceive>> create(Transport& transport, DeviceMemory& memory,
                                                    Features features,
                                                    const ReceiveOptions& options) noexcept;
  NetReceive(Queue queue, const ReceiveOptions& options) noexcept;

  // After a reset of the device: all buffers that it had are free. Errors: those of
  // Queue::enable().
  Result<void> enable() noexcept;
  // Gives the device what is free.
  void post() noexcept;
  // Frames that are there. Errors: protocol_error (the device lies; what was taken before that is
  // dropped).
  Result<std::size_t> take(std::span<io::ReceivedFrame> into) noexcept;
  // So many frames are lent that the device has few buffers left.
  [[nodiscard]] bool is_short() const noexcept {
    return 4U * queue_.in_flight() < std::min<unsigned>(queue_.size(), options_.buffers);
  }
  // Before the task waits for news(): false if it must look again first.
  bool prepare_wait() noexcept;
  void end_wait() noexcept;
  // Whether frames are there although the task waits for news().
  [[nodiscard]] bool has_overlooked_frames() noexcept {
    return waiting_ && !queue_.interrupts_on();
  }

  // Set when there is something to look at, by whoever delivers interrupts, or by a buffer that
  // comes back when the device has few.
  [[nodiscard]] coro::Event& news() noexcept { return news_; }
  [[nodiscard]] const ReceiveCounters& counters() const noexcept { return counters_; }

  void give_back(std::span<std::byte> whole) noexcept override;
  // The device may still write to all of it.
  void abandon() noexcept {
    queue_.abandon();
    memory_.abandon();
  }

 private:
  // A frame of which buffers are still to come.
  struct Partial {
    io::NetHeader header;
    std::size_t bytes = 0;  // with the header
    unsigned first = 0;     // of the buffers side by side
    unsigned run = 0;       // how many; 0: it is copied together, or dropped
    unsigned left = 0;      // buffers still to come
    std::byte* copy = nullptr;
  };
  static constexpr std::size_t copy_size =
      base::align_up(sizeof(io::NetHeader) + io::largest_frame, std::size_t{64});

  [[nodiscard]] std::span<std::byte> slots(unsigned first, unsigned count) const noexcept {
    return memory_.bytes().subspan(first * options_.buffer_size, count * options_.buffer_size);
  }
  Result<void> begin_frame(const Used& used) noexcept;
  Result<void> continue_frame(const Used& used) noexcept;
  bool move_to_copy() noexcept;
  bool finish_frame(io::ReceivedFrame& into) noexcept;
  void drop_partial() noexcept;
  void give_back(SlotSet& to, unsigned first, unsigned count) const noexcept;

  Queue queue_;
  const ReceiveOptions options_;
  SharedMemory memory_;
  SlotSet slots_;
  std::unique_ptr<bool[]> posted_;  // by slot
  std::unique_ptr<std::byte[]> copies_;
  SlotSet free_copies_;
  Partial partial_;
  ReceiveCounters counters_;
  coro::Event news_;
  std::atomic<bool> starved_{false};
  bool waiting_ = false;
};

}  // namespace lichen::driver::virtio

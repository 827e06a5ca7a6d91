// BufferRing: receive buffers that the kernel picks from when data has come, so that a connection
// which waits holds none.
//
//   free (ours, newest first) --post--> posted (kernel's ring) --take()--> lent --give_back()--+
//      ^                                      ^                                                |
//      +------------ enough are posted -------+--------- fewer than wanted are posted ---------+
//
// Only as many are posted as there was need for at once, so a few buffers that stay in the caches
// go round; running out (ENOBUFS) doubles their number.
#pragma once

#include <linux/io_uring.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/driver/linux/counter.hpp"
#include "lichen/driver/linux/ring.hpp"
#include "lichen/io/buffer.hpp"

namespace lichen::driver {

struct BufferRingOptions {
  unsigned count = 2048;  // a power of two, at most 32768
  unsigned size = 8192;   // bytes of a buffer, a power of two
  unsigned posted_at_first = 32;
  std::uint16_t group = 0;  // how requests name it; no other of the ring's may have it
};

class BufferRing final : public io::BufferOwner {
 public:
  static constexpr std::uint16_t none = 0xFFFF;

  static Result<std::unique_ptr<BufferRing>> create(Ring& ring, coro::Core& home,
                                                    const BufferRingOptions& options = {});
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;
  ~BufferRing();

  // The kernel has filled one buffer: it is ours now, and lent out or put back next.
  void taken() noexcept;
  [[nodiscard]] std::span<std::byte> bytes(std::uint16_t id) const noexcept {
    return {buffers_ + static_cast<std::size_t>(id) * size_, size_};
  }
  void put(std::uint16_t id) noexcept;
  void give_back(std::span<std::byte> whole) noexcept override;  // on any core

  // The kernel ran out. True when there are buffers for it again.
  bool replenish() noexcept;

  // Takes in what was given back on other cores.
  void collect_returned() noexcept;

  // For chains of buffers that were taken: the next one, and the number of bytes in it.
  [[nodiscard]] std::uint16_t& next(std::uint16_t id) noexcept { return notes_[id].next; }
  [[nodiscard]] std::uint32_t& length(std::uint16_t id) noexcept { return notes_[id].length; }

  [[nodiscard]] std::uint16_t group() const noexcept { return group_; }
  [[nodiscard]] unsigned count() const noexcept { return count_; }
  [[nodiscard]] unsigned buffer_size() const noexcept { return size_; }
  // Buffers that neither the kernel nor the pool has: queued or lent. Any thread.
  [[nodiscard]] std::uint64_t in_use() const noexcept { return in_use_.get(); }

 private:
  struct Note {
    std::uint16_t next = none;
    std::uint32_t length = 0;
  };

  BufferRing(Ring& ring, coro::Core& home) noexcept : ring_{ring}, home_{home} {}
  Result<void> set_up(const BufferRingOptions& options) noexcept;
  void post(std::uint16_t id) noexcept;
  void fill() noexcept;

  Ring& ring_;
  coro::Core& home_;
  io_uring_buf_ring* shared_ = nullptr;
  std::byte* buffers_ = nullptr;
  unsigned count_ = 0;
  unsigned size_ = 0;
  std::uint16_t group_ = 0;
  bool registered_ = false;
  std::uint16_t tail_ = 0;
  unsigned posted_ = 0;
  unsigned wanted_ = 0;
  std::vector<std::uint16_t> free_;
  std::vector<Note> notes_;
  Counter in_use_;
  // Chain of buffers given back on other cores; the whole of it is taken at once.
  alignas(64) std::atomic<std::uint16_t> returned_{none};
};

}  // namespace lichen::driver

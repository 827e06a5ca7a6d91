// RingMemory: what an io_uring shares with its process, mapped: the heads and tails of its queues,
// and the entries.
#pragma once

#include <linux/io_uring.h>

#include <cstddef>

#include "lichen/base/result.hpp"

namespace lichen::driver {

class RingMemory {
 public:
  RingMemory() noexcept = default;
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  ~RingMemory();

  // Of a ring with IORING_FEAT_SINGLE_MMAP, once. Entries are submitted in the order in which they
  // lie.
  Result<void> map(int fd, const io_uring_params& parameters) noexcept;

  // At an offset that the ring's parameters name.
  [[nodiscard]] unsigned* word(unsigned offset) const noexcept {
    return reinterpret_cast<unsigned*>(queues_ + offset);
  }
  [[nodiscard]] io_uring_cqe* completions(unsigned offset) const noexcept {
    return reinterpret_cast<io_uring_cqe*>(queues_ + offset);
  }
  [[nodiscard]] io_uring_sqe* entries() const noexcept { return entries_; }

 private:
  std::byte* queues_ = nullptr;
  std::size_t queues_size_ = 0;
  io_uring_sqe* entries_ = nullptr;
  std::size_t entries_size_ = 0;
};

}  // namespace lichen::driver

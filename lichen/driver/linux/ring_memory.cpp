#include "lichen/driver/linux/ring_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "lichen/base/error_map.hpp"

namespace lichen::driver {

Result<void> RingMemory::map(int fd, const io_uring_params& parameters) noexcept {
  const io_sqring_offsets& sq = parameters.sq_off;
  const io_cqring_offsets& cq = parameters.cq_off;
  queues_size_ = std::max(sq.array + parameters.sq_entries * sizeof(unsigned),
                          cq.cqes + parameters.cq_entries * sizeof(io_uring_cqe));
  entries_size_ = parameters.sq_entries * sizeof(io_uring_sqe);
  constexpr int protection = PROT_READ | PROT_WRITE;
  constexpr int flags = MAP_SHARED | MAP_POPULATE;
  void* const queues = mmap(nullptr, queues_size_, protection, flags, fd, IORING_OFF_SQ_RING);
  if (queues == MAP_FAILED) return from_errno(errno);
  queues_ = static_cast<std::byte*>(queues);
  void* const entries =
      mmap(nullptr, entries_size_, protection, flags, fd, static_cast<off_t>(IORING_OFF_SQES));
  if (entries == MAP_FAILED) return from_errno(errno);
  entries_ = static_cast<io_uring_sqe*>(entries);
  // The indirection stays the identity.
  for (unsigned i = 0; i < parameters.sq_entries; ++i) word(sq.array)[i] = i;
  return {};
}

RingMemory::~RingMemory() {
  if (entries_) munmap(entries_, entries_size_);
  if (queues_) munmap(queues_, queues_size_);
}

}  // namespace lichen::driver

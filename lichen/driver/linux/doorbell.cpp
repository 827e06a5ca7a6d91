#include "lichen/driver/linux/doorbell.hpp"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "lichen/base/error_map.hpp"

namespace lichen::driver {

namespace {

constexpr unsigned steps = 2;  // a read, then a write

}  // namespace

Result<std::unique_ptr<Doorbell>> Doorbell::create(Ring& ring) noexcept {
  std::unique_ptr<Doorbell> doorbell{new (std::nothrow) Doorbell};
  if (!doorbell) return Error::no_memory;
  TRY(doorbell->set_up(ring));
  return doorbell;
}

Result<void> Doorbell::set_up(Ring& ring) noexcept {
  TRY(set_up_ring());
  TRY(set_up_signal());
  completed_ = Descriptor{eventfd(0, EFD_CLOEXEC)};
  if (completed_.get() < 0) return from_errno(errno);
  int fd = completed_.get();
  TRY(ring.register_with(IORING_REGISTER_EVENTFD, &fd, 1));
  return {};
}

Result<void> Doorbell::set_up_ring() noexcept {
  io_uring_params parameters{};
  ring_ = Descriptor{static_cast<int>(syscall(__NR_io_uring_setup, steps, &parameters))};
  if (ring_.get() < 0) return from_errno(errno);
  const io_sqring_offsets& sq = parameters.sq_off;
  const io_cqring_offsets& cq = parameters.cq_off;
  TRY(memory_.map(ring_.get(), parameters));
  sqes_ = memory_.entries();
  sq_tail_ = memory_.word(sq.tail);
  sq_mask_ = *memory_.word(sq.ring_mask);
  cq_head_ = memory_.word(cq.head);
  cq_tail_ = memory_.word(cq.tail);
  return {};
}

// SIGIO, without a number of our own: that one never waits for room in a queue (fcntl(2),
// F_SETSIG).
Result<void> Doorbell::set_up_signal() noexcept {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return from_errno(errno);
  told_ = Descriptor{ends[0]};
  tell_ = Descriptor{ends[1]};
  const f_owner_ex thread{.type = F_OWNER_TID, .pid = gettid()};
  if (fcntl(told_.get(), F_SETOWN_EX, &thread) != 0 ||
      fcntl(told_.get(), F_SETFL, O_NONBLOCK | O_ASYNC) != 0)
    return from_errno(errno);
  return {};
}

void Doorbell::arm() noexcept {
  const unsigned done = __atomic_load_n(cq_tail_, __ATOMIC_ACQUIRE) - *cq_head_;
  if (armed_ && done < steps) return;
  __atomic_store_n(cq_head_, *cq_head_ + done, __ATOMIC_RELEASE);
  std::array<char, 8> words;
  while (read(told_.get(), words.data(), words.size()) > 0) {
  }
  unsigned tail = *sq_tail_;
  io_uring_sqe& read = sqes_[tail++ & sq_mask_];
  std::memset(&read, 0, sizeof read);
  read.opcode = IORING_OP_READ;
  read.flags = IOSQE_IO_LINK;
  read.fd = completed_.get();
  read.addr = reinterpret_cast<std::uint64_t>(&count_);
  read.len = sizeof count_;
  io_uring_sqe& write = sqes_[tail++ & sq_mask_];
  std::memset(&write, 0, sizeof write);
  write.opcode = IORING_OP_WRITE;
  write.fd = tell_.get();
  write.addr = reinterpret_cast<std::uint64_t>(&word_);
  write.len = sizeof word_;
  __atomic_store_n(sq_tail_, tail, __ATOMIC_RELEASE);
  armed_ = syscall(__NR_io_uring_enter, ring_.get(), steps, 0, 0, nullptr, 0) == steps;
}

}  // namespace lichen::driver

// A bare io_uring: what the kernel gives with nothing of a runtime above it. The load generator and
// the measurements of physical limits use it, so that neither depends on what is measured.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

namespace bench::raw {

[[noreturn]] inline void die(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

// One thread submits and reaps. Entries are handed to the kernel by submit_and_wait() only.
class Ring {
 public:
  explicit Ring(unsigned entries) {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                   IORING_SETUP_CLAMP;
    params.cq_entries = entries * 4;
    fd_ = static_cast<int>(syscall(SYS_io_uring_setup, entries, &params));
    if (fd_ < 0) die("io_uring_setup");
    size_t submission_bytes = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
    size_t completion_bytes = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
    auto* submission = map(submission_bytes, IORING_OFF_SQ_RING);
    auto* completion = map(completion_bytes, IORING_OFF_CQ_RING);
    entries_ = reinterpret_cast<io_uring_sqe*>(
        map(params.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
    submitted_head_ = reinterpret_cast<uint32_t*>(submission + params.sq_off.head);
    submitted_tail_ = reinterpret_cast<uint32_t*>(submission + params.sq_off.tail);
    submitted_mask_ = params.sq_entries - 1;
    completed_head_ = reinterpret_cast<uint32_t*>(completion + params.cq_off.head);
    completed_tail_ = reinterpret_cast<uint32_t*>(completion + params.cq_off.tail);
    completed_mask_ = params.cq_entries - 1;
    completions_ = reinterpret_cast<io_uring_cqe*>(completion + params.cq_off.cqes);
    auto* array = reinterpret_cast<uint32_t*>(submission + params.sq_off.array);
    for (uint32_t i = 0; i < params.sq_entries; ++i) array[i] = i;
  }
  ~Ring() { close(fd_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // A cleared entry to fill in; a full queue is submitted first.
  io_uring_sqe& entry() {
    if (tail_ - load(submitted_head_) > submitted_mask_) enter(0, 0);
    io_uring_sqe& entry = entries_[tail_++ & submitted_mask_];
    std::memset(&entry, 0, sizeof entry);
    return entry;
  }

  void submit_and_wait(unsigned completions) { enter(completions, IORING_ENTER_GETEVENTS); }

  // Calls each(completion) for everything that has completed; returns how many there were.
  template <class Each>
  unsigned reap(Each&& each) {
    uint32_t head = *completed_head_;
    uint32_t tail = load(completed_tail_);
    for (uint32_t at = head; at != tail; ++at) each(completions_[at & completed_mask_]);
    std::atomic_ref{*completed_head_}.store(tail, std::memory_order_release);
    return tail - head;
  }

  int fd() const { return fd_; }

 private:
  static uint32_t load(uint32_t* word) {
    return std::atomic_ref{*word}.load(std::memory_order_acquire);
  }

  std::byte* map(size_t bytes, off_t offset) const {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, offset);
    if (at == MAP_FAILED) die("mmap of a ring");
    return static_cast<std::byte*>(at);
  }

  void enter(unsigned completions, unsigned flags) {
    std::atomic_ref{*submitted_tail_}.store(tail_, std::memory_order_release);
    unsigned count = tail_ - load(submitted_head_);
    if (syscall(SYS_io_uring_enter, fd_, count, completions, flags, nullptr, 0) < 0 &&
        errno != EINTR && errno != EBUSY && errno != EAGAIN)
      die("io_uring_enter");
  }

  int fd_;
  io_uring_sqe* entries_;
  uint32_t* submitted_head_;
  uint32_t* submitted_tail_;
  uint32_t submitted_mask_;
  uint32_t tail_ = 0;
  uint32_t* completed_head_;
  uint32_t* completed_tail_;
  uint32_t completed_mask_;
  io_uring_cqe* completions_;
};

// A ring of buffers from which the kernel picks one for each receive (group 0).
class Buffers {
 public:
  // `count` MUST be a power of two.
  Buffers(Ring& ring, unsigned count, unsigned bytes) : mask_{count - 1}, bytes_{bytes} {
    ring_ = static_cast<io_uring_buf_ring*>(anonymous(count * sizeof(io_uring_buf)));
    memory_ = static_cast<std::byte*>(anonymous(size_t{count} * bytes));
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(ring_);
    registration.ring_entries = count;
    if (syscall(SYS_io_uring_register, ring.fd(), IORING_REGISTER_PBUF_RING, &registration, 1) < 0)
      die("register a buffer ring");
    for (unsigned i = 0; i < count; ++i) give_back(static_cast<uint16_t>(i));
  }

  std::span<std::byte> of(const io_uring_cqe& completion) const {
    return {at(number(completion)), static_cast<size_t>(completion.res)};
  }
  static uint16_t number(const io_uring_cqe& completion) {
    return static_cast<uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  }
  std::byte* at(uint16_t number) const { return memory_ + size_t{number} * bytes_; }

  void give_back(uint16_t number) {
    // Entry 0 shares its last field with the ring's tail, so fields are written one by one. The
    // kernel headers declare the entries as a flexible array in a union: index from the start.
    io_uring_buf& entry = reinterpret_cast<io_uring_buf*>(ring_)[tail_ & mask_];
    entry.addr = reinterpret_cast<uint64_t>(at(number));
    entry.len = bytes_;
    entry.bid = number;
    std::atomic_ref{ring_->tail}.store(++tail_, std::memory_order_release);
  }

 private:
  static void* anonymous(size_t bytes) {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED) die("mmap of buffers");
    return at;
  }

  io_uring_buf_ring* ring_;
  std::byte* memory_;
  unsigned mask_;
  unsigned bytes_;
  uint16_t tail_ = 0;
};

inline void prepare_receive(io_uring_sqe& entry, int fd, uint64_t user_data) {
  entry.opcode = IORING_OP_RECV;
  entry.fd = fd;
  entry.ioprio = IORING_RECV_MULTISHOT;
  entry.flags = IOSQE_BUFFER_SELECT;
  entry.buf_group = 0;
  entry.user_data = user_data;
}

inline void prepare_send(io_uring_sqe& entry, int fd, const void* data, size_t bytes,
                         uint64_t user_data) {
  entry.opcode = IORING_OP_SEND;
  entry.fd = fd;
  entry.addr = reinterpret_cast<uint64_t>(data);
  entry.len = static_cast<uint32_t>(bytes);
  entry.msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
  entry.user_data = user_data;
}

}  // namespace bench::raw

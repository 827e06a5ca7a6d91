// Ring: one io_uring, by raw system calls. Submission entries in, completions out; what they mean
// is the business of UringCore.
//
// Belongs to the thread that created it (IORING_SETUP_SINGLE_ISSUER): only that thread may call it,
// with one exception. While a core runs on another thread (docs/decisions/stuck-workers.md) that
// one may prepare; what finds no room in the queue then waits in a list for the ring's own thread.
// The threads MUST take turns, each seeing what the one before did.
#pragma once

#include <linux/io_uring.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/counter.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/driver/linux/features.hpp"
#include "lichen/driver/linux/ring_memory.hpp"

namespace lichen::driver {

struct RingOptions {
  unsigned entries = 512;              // submissions that fit between two calls into the kernel
  unsigned completions = 4096;         // what does not fit is kept by the kernel, at a price
  Features allowed = Features::all();  // tests switch some off
};

struct RingCounters {
  Counter submissions;
  Counter completions;
  Counter enters;     // calls of io_uring_enter
  Counter overflows;  // times a queue was too small
};

class Ring {
 public:
  // Error::not_supported or access_denied where the kernel has no io_uring for us, too_old kernels
  // included; the log then says what is wrong and what to do about it.
  static Result<std::unique_ptr<Ring>> create(const RingOptions& options = {});
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring();

  // An empty entry to fill in; it is submitted by the next submit() or wait(), in order. Never
  // fails: when the queue is full, it is submitted first, or on another thread the entry waits.
  io_uring_sqe& prepare() noexcept;
  [[nodiscard]] std::size_t prepared() const noexcept { return queued() + overflow_.size(); }
  // Makes sure that the next `count` calls of prepare() go to the kernel together.
  void reserve(unsigned count) noexcept;

  // Submits what is prepared and collects completions if there may be any; does nothing when there
  // is neither. Does not wait.
  void submit() noexcept;
  // Submits what is prepared, then waits until there is a completion or `timeout_ns` has passed
  // (UINT64_MAX: for ever). May return early.
  void submit_and_wait(std::uint64_t timeout_ns) noexcept;

  // Hands every completion that is there to `use`, oldest first; returns how many. `use` may
  // prepare.
  template <class Use>
  unsigned reap(Use&& use) noexcept {
    unsigned count = 0;
    while (!spilled_.empty()) [[unlikely]] {
      std::vector<io_uring_cqe> spilled = std::exchange(spilled_, {});
      for (const io_uring_cqe& cqe : spilled) use(cqe);
      count += static_cast<unsigned>(spilled.size());
    }
    unsigned head = *cq_head_;
    while (head != load_acquire(cq_tail_)) {
      const io_uring_cqe cqe = cqes_[head & cq_mask_];
      store_release(cq_head_, ++head);
      use(cqe);
      ++count;
      head = *cq_head_;
    }
    counters_.completions.add(count);
    return count;
  }

  // Whether completions raise the eventfd that was registered; at first they do not. A completion
  // that was there before raises nothing. Of deferred_work.
  void raise_eventfd(bool on) noexcept {
    __atomic_store_n(cq_flags_, on ? 0U : IORING_CQ_EVENTFD_DISABLED, __ATOMIC_SEQ_CST);
  }
  // Whether there are completions, collected or not.
  [[nodiscard]] bool has_completions() const noexcept {
    constexpr unsigned waiting = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    return (__atomic_load_n(sq_flags_, __ATOMIC_SEQ_CST) & waiting) != 0 || !spilled_.empty() ||
           *cq_head_ != load_acquire(cq_tail_);
  }

  // io_uring_register(2). Yields its result.
  Result<int> register_with(unsigned operation, void* argument, unsigned count) noexcept;

  [[nodiscard]] Features features() const noexcept { return features_; }
  // Says that a feature turned out not to work.
  void lose(Feature feature, Error reason) noexcept;
  [[nodiscard]] bool offers(unsigned operation) const noexcept {
    return operation < 64 && (operations_ >> operation & 1U) != 0;
  }
  [[nodiscard]] const RingCounters& counters() const noexcept { return counters_; }

 private:
  Ring() noexcept;
  Result<void> set_up(const RingOptions& options) noexcept;
  Result<void> map(const io_uring_params& parameters) noexcept;
  void probe(const io_uring_params& parameters, Features allowed) noexcept;
  int enter(unsigned submit, unsigned wait_for, unsigned flags, const void* argument,
            std::size_t size) noexcept;
  void flush(unsigned flags) noexcept;
  void spill() noexcept;
  io_uring_sqe& next_entry() noexcept;
  void take_overflow() noexcept;

  static unsigned load_acquire(const unsigned* word) noexcept {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
  }
  static void store_release(unsigned* word, unsigned value) noexcept {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
  }
  [[nodiscard]] unsigned queued() const noexcept { return sq_tail_ - load_acquire(sq_head_); }

  unsigned* sq_head_ = nullptr;
  unsigned* sq_tail_shared_ = nullptr;
  unsigned* sq_flags_ = nullptr;
  io_uring_sqe* sqes_ = nullptr;
  unsigned sq_tail_ = 0;  // ours; shared when submitted
  unsigned sq_mask_ = 0;
  unsigned sq_entries_ = 0;
  unsigned room_ = 0;  // sq_entries_; 0 while new entries go to the overflow
  unsigned* cq_head_ = nullptr;
  unsigned* cq_tail_ = nullptr;
  unsigned* cq_flags_ = nullptr;
  io_uring_cqe* cqes_ = nullptr;
  unsigned cq_mask_ = 0;
  Descriptor ring_;
  int enter_fd_ = -1;
  unsigned enter_flags_ = 0;
  Features features_;
  std::uint64_t operations_ = 0;
  RingCounters counters_;
  std::vector<io_uring_cqe> spilled_;  // completions taken out to make room in the queue
  std::deque<io_uring_sqe> overflow_;  // prepared on another thread when there was no room
  const pid_t thread_;
  RingMemory memory_;  // goes before the ring
};

// Why io_uring_setup failed, in words: what is wrong and what to do. `disabled` is the value of
// kernel.io_uring_disabled, or -1 where there is no such setting.
std::string_view explain_setup_failure(int error, int disabled) noexcept;

}  // namespace lichen::driver

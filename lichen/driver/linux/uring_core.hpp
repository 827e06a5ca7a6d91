// UringCore: the events of one core. Its ring, the buffers the kernel receives into, and the way in
// for other threads.
#pragma once

#include <linux/time_types.h>

#include <atomic>
#include <cerrno>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "lichen/base/error_map.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/driver/linux/buffer_ring.hpp"
#include "lichen/driver/linux/counter.hpp"
#include "lichen/driver/linux/doorbell.hpp"
#include "lichen/driver/linux/ring.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/sched/event_source.hpp"
#include "lichen/sched/inbox.hpp"

namespace lichen::driver {

struct UringOptions {
  RingOptions ring;
  BufferRingOptions buffers;
  unsigned registered_files = 4096;       // sockets in use that the kernel finds without counting
  std::size_t zero_copy_from = 64 << 10;  // bytes of a send that is worth the bookkeeping
  bool zero_copy_to_ourselves = false;    // over loopback it copies all the same: for tests
};

struct UringStatistics {
  std::uint64_t submissions = 0;     // operations handed to the kernel
  std::uint64_t completions = 0;     // answers, wakes included
  std::uint64_t enters = 0;          // system calls for both
  std::uint64_t overflows = 0;       // times a queue was too small
  std::uint64_t in_flight = 0;       // operations whose last completion has not come
  std::uint64_t buffers_in_use = 0;  // receive buffers lent or queued
  std::uint64_t sockets = 0;         // sockets whose descriptor is not closed yet
};

// Something to be done on a core, handed over by another thread.
struct RemoteCall {
  RemoteCall* next = nullptr;
  void (*function)(RemoteCall& call) noexcept;
};

class UringCores;

class UringCore final : public sched::EventSource, public io::OperationQueue {
 public:
  // On the core's own thread.
  static Result<std::unique_ptr<UringCore>> create(coro::Core& core,
                                                   const UringOptions& options = {});
  // Cancels what is in flight and waits for its end. On the core's own thread.
  ~UringCore() override;

  // Lets itself be found there by its core's index, as long as it lives.
  void join(UringCores& cores) noexcept;

  unsigned poll() noexcept override;
  void wait(std::uint64_t deadline_ns) noexcept override;
  void wake() noexcept override;
  [[nodiscard]] bool is_deaf() const noexcept override {
    return !listening_ && in_flight_.get() > 1 && features().has(Feature::interrupts) &&
           features().has(Feature::deferred_work);
  }
  bool listen() noexcept override;

  [[nodiscard]] coro::Core& core() noexcept override { return core_; }
  void cancel(io::Operation& operation) noexcept override;

  // An entry whose completions go to `operation`. It is submitted with everything else that is
  // prepared when the core looks for events next.
  io_uring_sqe& prepare(io::Operation& operation) noexcept {
    in_flight_.add();
    io_uring_sqe& sqe = ring_->prepare();
    sqe.user_data = reinterpret_cast<std::uint64_t>(&operation);
    return sqe;
  }
  // An entry whose completion interests nobody.
  io_uring_sqe& prepare_unheard() noexcept { return ring_->prepare(); }

  // co_await submit([](io_uring_sqe& sqe) { ... }): fills in an entry, waits for its completion and
  // yields its result, at least 0, as Result<unsigned>. Error::stopped when the task was stopped
  // and the operation ended without a result for it. What the entry points to MUST live until then.
  template <class Fill>
  auto submit(Fill fill) noexcept {
    return Submission<Fill>{*this, std::move(fill), no_timeout};
  }
  // The same with a time limit that the kernel keeps (a linked timeout): Error::timed_out after it.
  template <class Fill>
  auto submit_within(coro::Duration limit, Fill fill) noexcept {
    return Submission<Fill>{*this, std::move(fill), limit};
  }

  // Calls the function on this core soon, from any thread. The record MUST live until then.
  void call(RemoteCall& remote) noexcept;

  // Work for this core goes on outside of it and of the kernel; the core exists until it has ended.
  void foreign_work_began() noexcept { in_flight_.add(); }
  void foreign_work_ended() noexcept { in_flight_.subtract(); }
  // call(), from a thread that may outlive the core.
  void call_as_foreigner(RemoteCall& remote) noexcept;

  [[nodiscard]] bool is_here() const noexcept { return coro::this_core() == &core_; }
  [[nodiscard]] Features features() const noexcept { return ring_->features(); }
  [[nodiscard]] Ring& ring() noexcept { return *ring_; }
  // Null where the kernel offers no multishot receive.
  [[nodiscard]] BufferRing* buffers() noexcept { return buffers_.get(); }
  // For a buffer ring of somebody's own.
  std::uint16_t take_buffer_group() noexcept { return next_buffer_group_++; }
  void lose_multishot_receive(Error reason) noexcept {
    ring_->lose(Feature::multishot_receive, reason);
  }
  [[nodiscard]] const UringOptions& options() const noexcept { return options_; }
  // A free place in the table of registered files, or no_slot.
  static constexpr int no_slot = -1;
  int take_slot() noexcept {
    if (free_slots_.empty()) return no_slot;
    const int slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  void put_slot(int slot) noexcept { free_slots_.push_back(slot); }
  [[nodiscard]] Counter& sockets() noexcept { return sockets_; }
  // From any thread; the figures of a running core are as of about now.
  [[nodiscard]] UringStatistics statistics() const noexcept;

 private:
  template <class Fill>
  class Submission;
  static constexpr coro::Duration no_timeout = coro::Duration::max();

  UringCore(coro::Core& core, const UringOptions& options) noexcept
      : core_{core}, options_{options}, wakes_{&woken} {}
  Result<void> set_up();
  void register_files() noexcept;
  void link_timeout(io_uring_sqe& sqe, coro::Duration limit, __kernel_timespec& timeout) noexcept;
  void arm_wakes() noexcept;
  static void woken(io::Operation& operation, io::Completion completion) noexcept;
  void deliver(const io_uring_cqe& cqe) noexcept;
  unsigned take_calls() noexcept;
  void stop_listening() noexcept;

  coro::Core& core_;
  const UringOptions options_;
  UringCores* joined_ = nullptr;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<BufferRing> buffers_;
  std::vector<int> free_slots_;
  std::uint16_t next_buffer_group_ = 1;
  int wake_fd_ = -1;
  bool closing_ = false;
  bool listening_ = false;
  std::unique_ptr<Doorbell> doorbell_;
  io::Operation wakes_;
  Counter in_flight_;
  Counter sockets_;

  alignas(64) sched::Inbox<RemoteCall, &RemoteCall::next> calls_;
  std::atomic<bool> waiting_{false};
  std::mutex foreign_calls_;  // held by a foreigner until it lets go of this object
};

template <class Fill>
class [[nodiscard("co_await it")]] UringCore::Submission : io::OperationWait {
 public:
  Submission(UringCore& core, Fill fill, coro::Duration limit) noexcept
      : OperationWait{core, &completed}, core_{core}, fill_{std::move(fill)}, limit_{limit} {}

  static bool await_ready() noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    coro::Preemption& core = *coro::this_preemption();
    core.begin_suspension();
    if (!begin(handle.promise())) {
      core.abandon_suspension();
      return false;
    }
    if (limit_ != no_timeout) core_.ring().reserve(2);
    io_uring_sqe& sqe = core_.prepare(*this);
    fill_(sqe);
    if (limit_ != no_timeout) core_.link_timeout(sqe, limit_, timeout_);
    return true;
  }
  Result<unsigned> await_resume() noexcept {
    if (end()) return Error::stopped;
    if (result_ >= 0) [[likely]]
      return static_cast<unsigned>(result_);
    if ((result_ == -ECANCELED || result_ == -EINTR) && stop_requested()) return Error::stopped;
    if (result_ == -ECANCELED && limit_ != no_timeout) return Error::timed_out;
    return from_errno(-result_);
  }

 private:
  static void completed(io::Operation& operation, io::Completion completion) noexcept {
    auto& self = static_cast<Submission&>(operation);
    // A zero-copy send completes twice: with its result, then when its bytes are no longer
    // borrowed.
    if (!(completion.flags & IORING_CQE_F_NOTIF)) self.result_ = completion.result;
    if (!(completion.flags & IORING_CQE_F_MORE)) self.finish();
  }

  UringCore& core_;
  Fill fill_;
  const coro::Duration limit_;
  __kernel_timespec timeout_;  // unset without a limit
  std::int32_t result_ = 0;
};

}  // namespace lichen::driver

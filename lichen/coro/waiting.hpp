// How a task waits in a primitive's queue: the machinery shared by Event, Mutex, Semaphore,
// Channel, sleep and select.
//
// A primitive offers an operation:
//
//   struct SomeOperation {
//     using Value = ...;                          // what co_await yields, as a Result
//     bool try_now() noexcept;                    // complete without waiting?
//     Enqueued enqueue(Waiter& waiter) noexcept;  // check and subscribe, one atomic step
//     bool dequeue(Waiter& waiter) noexcept;      // leave the queue; false if not in it
//     void hurry(Waiter&, Lent) noexcept;         // if it knows who is waited for: Wait::Hurry
//     Result<Value> result() noexcept;            // after completion
//   };
//
// Await<Operation> is what co_await sees; select() waits on several operations at once.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <utility>

#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/promise.hpp"

namespace lichen::coro {

class WaitingForSeveral;

// A place in the queue of one primitive: of a task that waits there and nowhere else, or of a
// select. A wait in one place is decided by whoever takes its Waiter from the queue, under that
// queue's lock. A select has Waiters in several queues, so its first taker is found by an atomic
// step.
class Waiter {
 public:
  base::ListNode node;
  void* slot = nullptr;  // where the primitive puts or finds the value, if there is one

  // Before it is in a queue.
  void belongs_to(PromiseBase& task) noexcept { whose_ = reinterpret_cast<std::uintptr_t>(&task); }
  void belongs_to(WaitingForSeveral& select) noexcept {
    whose_ = reinterpret_cast<std::uintptr_t>(&select) | of_a_select;
  }
  [[nodiscard]] bool has_owner() const noexcept { return whose_ != 0; }
  [[nodiscard]] bool several() const noexcept { return whose_ & of_a_select; }
  [[nodiscard]] bool same_wait(const Waiter& other) const noexcept {
    return whose_ == other.whose_;
  }

  // Under the queue's lock, before anything is handed to the task: is its wait still to be ended?
  // If so it is ended now, by this one.
  bool claim() noexcept {
    hooks::interleave();
    if (!several()) [[likely]]
      return true;
    return claim_one_of_several();
  }
  // After claim() succeeded and the value is in place, outside the lock: makes the task ready.
  void complete() noexcept {
    if (!several()) [[likely]]
      wake_next(task());
    else
      complete_one_of_several();
  }
  // The same in a section of `core`, see wake_next().
  void complete(Preemption* core) noexcept {
    if (!several()) [[likely]]
      wake_next(task(), core);
    else
      complete_one_of_several();
  }
  // The usual case, in few instructions: false where it is another, and nothing was done.
  bool complete_at_once(Core& core) noexcept { return !several() && core.takes_next(task()); }
  // The same for one of many that are woken together: they run in order behind what is ready.
  void complete_in_order() noexcept {
    if (!several()) [[likely]]
      wake(task());
    else
      complete_one_of_several();
  }
  [[nodiscard]] Strand& strand() const noexcept {
    return several() ? strand_of_several() : *task().strand;
  }
  // Read under the queue's lock: a stop request that came before finds no Waiter in the queue.
  [[nodiscard]] const std::atomic<bool>& stop_flag() const noexcept {
    return strand().stop_requested;
  }
  [[nodiscard]] bool stop_requested() const noexcept {
    return stop_flag().load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::uintptr_t of_a_select = 1;

  [[nodiscard]] PromiseBase& task() const noexcept {
    return *reinterpret_cast<PromiseBase*>(whose_);
  }
  [[nodiscard]] WaitingForSeveral& select() const noexcept {
    return *reinterpret_cast<WaitingForSeveral*>(whose_ & ~of_a_select);
  }
  bool claim_one_of_several() noexcept;
  void complete_one_of_several() noexcept;
  [[nodiscard]] Strand& strand_of_several() const noexcept;

  // The PromiseBase, or the WaitingForSeveral with a bit set. One load from the task that is woken,
  // since that is what a hand-over waits for.
  std::uintptr_t whose_ = 0;
};
using WaitQueue = base::List<Waiter, &Waiter::node>;

// The suspension of a select.
class WaitingForSeveral : public Wait {
 protected:
  explicit WaitingForSeveral(const Kind& kind) noexcept : Wait{.kind = &kind} {}

  // As those of a Waiter.
  bool claim(Waiter* by) noexcept;
  void complete() noexcept;

  friend class Waiter;
  enum class Phase : std::uint8_t { subscribing, suspended, decided };

  // Who ended it, and whether its task must be woken for that.
  std::atomic<Waiter*> winner_{nullptr};
  std::atomic<Phase> phase_{Phase::subscribing};
};

// Waiters without a value that were taken from a queue and claimed together, to be woken in order
// once the lock is released. They are in no queue any more, so a stop request leaves them alone.
class Woken {
 public:
  void push(Waiter& waiter) noexcept {
    waiter.slot = nullptr;
    (last_ ? last_->slot : first_) = &waiter;
    last_ = &waiter;
  }
  void complete_all() noexcept {
    for (void* link = first_; link;) {
      auto& waiter = *static_cast<Waiter*>(link);
      link = waiter.slot;
      waiter.complete_in_order();
    }
  }

 private:
  void* first_ = nullptr;
  Waiter* last_ = nullptr;
};

enum class Enqueued : std::uint8_t {
  waiting,   // in the queue
  complete,  // completed instead; result() is valid
  refused,   // a stop was requested, or another wait of a select was first; not in the queue
};

// Waits for one operation. A wait that need not wait completes even when a stop was requested.
template <class Operation>
class [[nodiscard("co_await it")]] Await : Wait {
 public:
  using Value = typename Operation::Value;

  template <class... Args>
  explicit Await(Args&&... args) noexcept
      : Wait{.kind = &kind_of_wait}, operation_{std::forward<Args>(args)...} {}
  Await(const Await&) = delete;
  Await& operator=(const Await&) = delete;

  [[nodiscard]] bool await_ready() noexcept { return operation_.try_now(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    Preemption& core = *this_preemption();
    core.begin_suspension();
    Strand& strand = *handle.promise().strand;
    waiter = &handle.promise();
    queued_.belongs_to(handle.promise());
    begin_wait(strand, *this);
    switch (operation_.enqueue(queued_)) {
      case Enqueued::waiting:
        return true;  // the task may be running elsewhere already: nothing here may be touched
      case Enqueued::complete: break;
      case Enqueued::refused: stopped_ = true; break;
    }
    core.abandon_suspension();
    return false;
  }
  Result<Value> await_resume() noexcept {
    if (waiter) {
      end_wait(*waiter->strand);
      if (stopped_) [[unlikely]] {
        if constexpr (requires { operation_.partial(); })
          if (operation_.partial()) return operation_.result();
        return Error::stopped;
      }
    }
    return operation_.result();
  }

  // For select(), which waits for several operations in its own way.
  Operation& operation() noexcept { return operation_; }

 private:
  static Core* cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<Await&>(wait);
    if (self.operation_.dequeue(self.queued_)) {
      self.stopped_ = true;
      wake_next(*self.waiter);
    }
    return nullptr;
  }
  static void hurry_wait(Wait& wait, Lent lent) noexcept {
    auto& self = static_cast<Await&>(wait);
    self.operation_.hurry(self.queued_, lent);
  }
  static constexpr Kind kind_of_wait = [] {
    if constexpr (requires(Operation& operation, Waiter& by) { operation.hurry(by, Lent{}); })
      return Kind{&cancel_wait, &hurry_wait};
    else
      return Kind{&cancel_wait};
  }();

  bool stopped_ = false;  // ended by a stop request
  Operation operation_;
  Waiter queued_;
};

// Lets everything else that is ready run first.
struct Yield {
  static bool await_ready() noexcept { return false; }
  template <class Promise>
  static void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    Core& core = *this_core();
    core.begin_suspension();
    Runnable& runnable = handle.promise();
    if (runnable.strand->home() == core.home()) [[likely]]
      core.push(runnable);
    else
      make_ready<Order::last>(core, runnable);
  }
  static void await_resume() noexcept {}
};
inline Yield yield() noexcept { return {}; }

}  // namespace lichen::coro

namespace lichen {
using coro::yield;
}  // namespace lichen

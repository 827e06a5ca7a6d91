// Event: a condition that is set once for all who wait, until it is reset.
#pragma once

#include <atomic>

#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

// MUST outlive its waiters. All calls are allowed on any core.
class Event {
 public:
  explicit Event(bool set = false) noexcept : set_{set} {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  // Who saw the event set without waiting may end its life while set() is still leaving.
  ~Event() { SpinGuard guard{lock_}; }

  // Wakes all who wait, in the order in which they came.
  void set() noexcept;
  void reset() noexcept;
  [[nodiscard]] bool is_set() const noexcept { return set_.load(std::memory_order_acquire); }

  struct WaitOperation {
    using Value = void;
    Event& event;

    [[nodiscard]] bool try_now() const noexcept { return event.is_set(); }
    Enqueued enqueue(Waiter& waiter) const noexcept;
    bool dequeue(Waiter& waiter) const noexcept;
    static Result<void> result() noexcept { return {}; }
  };
  // Error::stopped when the task was stopped first.
  Await<WaitOperation> wait() noexcept { return Await<WaitOperation>{*this}; }

 private:
  std::atomic<bool> set_;
  SpinLock lock_;
  WaitQueue waiters_;
};

}  // namespace lichen::coro

namespace lichen {
using coro::Event;
}  // namespace lichen

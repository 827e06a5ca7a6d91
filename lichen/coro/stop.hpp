// StopSource and StopToken: asking tasks to stop from outside their tree, and seeing the request
// inside.
//
// Every task has a stop request of its own that comes down the tree: stop_requested(),
// stop_event(). A StopSource adds one that is not bound to the tree: a Scope that follows a token
// stops when the source says so.
#pragma once

#include <atomic>

#include "lichen/base/list.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

// Whether the running task was asked to stop. For code that computes without waiting.
[[nodiscard]] inline bool stop_requested() noexcept {
  const Core* core = this_core();
  return core && core->current() && core->current()->stop_requested.load(std::memory_order_relaxed);
}

class StopSource;

// A function called once when a stop is requested; at once if it was already. Destroying it waits
// until a call that is under way has returned.
class StopCallback {
 public:
  using Function = void(StopCallback& self) noexcept;
  StopCallback(StopSource& source, Function* function) noexcept : source_{source} {
    follow(function);
  }
  StopCallback(const StopCallback&) = delete;
  StopCallback& operator=(const StopCallback&) = delete;
  ~StopCallback();

 protected:
  // For classes that must be complete before they are called.
  explicit StopCallback(StopSource& source) noexcept : source_{source} {}
  void follow(Function* function) noexcept;

 private:
  friend class StopSource;
  StopSource& source_;
  Function* function_ = nullptr;
  base::ListNode node_;
  std::atomic<bool> running_{false};
};

// MUST outlive what follows it. All calls are allowed on any core.
class StopSource {
 public:
  StopSource() noexcept = default;
  StopSource(const StopSource&) = delete;
  StopSource& operator=(const StopSource&) = delete;

  void request_stop() noexcept;
  [[nodiscard]] bool stop_requested() const noexcept {
    return requested_.load(std::memory_order_acquire);
  }

  struct WaitOperation {
    using Value = void;
    StopSource& source;
    [[nodiscard]] bool try_now() const noexcept { return source.stop_requested(); }
    Enqueued enqueue(Waiter& waiter) const noexcept;
    bool dequeue(Waiter& waiter) const noexcept;
    static Result<void> result() noexcept { return {}; }
  };
  // Waits until a stop is requested of this source (Error::stopped: of the waiting task instead).
  Await<WaitOperation> requested() noexcept { return Await<WaitOperation>{*this}; }

 private:
  friend class StopCallback;
  SpinLock lock_;
  std::atomic<bool> requested_{false};
  WaitQueue waiters_;
  base::List<StopCallback, &StopCallback::node_> callbacks_;
};

// A view of a StopSource that cannot request a stop.
class StopToken {
 public:
  StopToken(StopSource& source) noexcept : source_{&source} {}
  [[nodiscard]] bool stop_requested() const noexcept { return source_->stop_requested(); }
  [[nodiscard]] auto requested() const noexcept { return source_->requested(); }
  [[nodiscard]] StopSource& source() const noexcept { return *source_; }

 private:
  StopSource* source_;
};

// Makes a scope stop when the source does, for as long as this object lives.
class StopFollower : StopCallback {
 public:
  StopFollower(StopToken token, Scope& scope) noexcept
      : StopCallback{token.source()}, scope_{scope} {
    follow(&stop_scope);
  }

 private:
  static void stop_scope(StopCallback& self) noexcept {
    static_cast<StopFollower&>(self).scope_.request_stop();
  }
  Scope& scope_;
};

// Waits until the waiting task itself is asked to stop; then it completes without an error.
class StopEvent : Wait {
 public:
  StopEvent() noexcept : Wait{.kind = &kind_of_wait} {}
  static bool await_ready() noexcept { return coro::stop_requested(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    Preemption& core = *this_preemption();
    core.begin_suspension();
    waiter = &handle.promise();
    {
      Strand& strand = *handle.promise().strand;
      SpinGuard guard{strand.lock};
      if (!strand.stop_requested.load(std::memory_order_relaxed)) {
        strand.wait = this;
        return true;
      }
    }
    core.abandon_suspension();
    return false;
  }
  void await_resume() const noexcept {
    if (waiter) end_wait(*waiter->strand);
  }

 private:
  static Core* cancel_wait(Wait& wait) noexcept {
    wake_next(*wait.waiter);
    return nullptr;
  }
  static constexpr Kind kind_of_wait{&cancel_wait};
};
inline StopEvent stop_event() noexcept { return {}; }

}  // namespace lichen::coro

namespace lichen {
using coro::stop_event;
using coro::stop_requested;
using coro::StopSource;
using coro::StopToken;
}  // namespace lichen

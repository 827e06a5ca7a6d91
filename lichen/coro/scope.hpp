// Scope: the parent of concurrent tasks. Children end before it does; stop requests flow down
// through it and errors flow up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <source_location>
#include <type_traits>

#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"

namespace lichen::coro {

// What a child's error does to its siblings.
enum class OnError : std::uint8_t {
  stop_others,  // the rest is asked to stop: all or nothing
  keep_going,   // the rest goes on: independent children, such as connections
};

// Where a new task runs.
struct Place {
  // The only core on which it may run. Null: any, or in the lane of a reservation, inherited with
  // it, the reservation's.
  Core* core = nullptr;
  LaneId lane = same_lane;  // see lane.hpp; the default is that of the task which starts it

  static constexpr LaneId same_lane = std::numeric_limits<LaneId>::max();
};

// Opened inside a task, whose stop request it passes on to its children. join() MUST have completed
// before it is destroyed: leaving tasks behind is a broken contract and ends the machine.
// with_scope() cannot be misused in that way.
class Scope {
 public:
  explicit Scope(OnError on_error = OnError::stop_others) noexcept;
  // The parts of a program that must still run while everything stops (writing back, saying
  // goodbye) belong in a scope that does not pass on the stop request.
  struct Shielded {};
  explicit Scope(Shielded, OnError on_error = OnError::stop_others) noexcept;
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  // Starts a task as a child; it becomes ready behind what is ready already. Returns whether it was
  // started: not so when its frame could not be allocated, which counts as a failed child.
  template <class T>
    requires std::is_void_v<typename Task<T>::Value>
  bool spawn(Task<T> task, Place place,
             std::source_location where = std::source_location::current()) noexcept {
    if (auto* promise = task.release()) [[likely]] {
      start(*promise, where, place, false, Order::last);
      return true;
    }
    fail(Error::no_memory);
    return false;
  }
  template <class T>
    requires std::is_void_v<typename Task<T>::Value>
  bool spawn(Task<T> task, Core* pinned = nullptr,
             std::source_location where = std::source_location::current()) noexcept {
    return spawn(std::move(task), Place{.core = pinned}, where);
  }

  template <class T>
    requires(!std::is_void_v<typename Task<T>::Value>)
  bool spawn(Task<T>, Core* = nullptr, std::source_location = {}) =
      delete;  // nobody would see its value: keep the task and start() it, or use when_all()

  // Starts a task whose frame and result stay with the caller; `task` MUST outlive its run. An
  // error it returns is the caller's to see and does not touch the siblings.
  template <class T>
  void start(Task<T>& task, Place place,
             std::source_location where = std::source_location::current()) noexcept {
    if (auto* promise = task.promise()) [[likely]]
      start(*promise, where, place, true, Order::last);
  }
  template <class T>
  void start(Task<T>& task, Core* pinned = nullptr,
             std::source_location where = std::source_location::current()) noexcept {
    start(task, Place{.core = pinned}, where);
  }
  // The same for divide and conquer: the child runs before older work, so a tree of forks is walked
  // depth first and only its current branch is alive on a core; idle cores take the oldest forks.
  template <class T>
  void fork(Task<T>& task, std::source_location where = std::source_location::current()) noexcept {
    if (auto* promise = task.promise()) [[likely]]
      start(*promise, where, {}, true, Order::forked);
  }

  // Waits until no child is left. Yields the first error of a child, if any. Does not end early
  // when the parent is stopped: the children are, and their end is what it waits for. What the
  // parent is lent meanwhile, as the holder of a mutex or by Serving, the children inherit.
  auto join() noexcept;
  // Asks all children to stop, those to come as well. Idempotent, on any core.
  void request_stop() noexcept;
  [[nodiscard]] bool stop_requested() const noexcept {
    return stopped_.load(std::memory_order_relaxed);
  }
  // Children that have not ended.
  [[nodiscard]] std::size_t active() const noexcept {
    return active_.load(std::memory_order_relaxed);
  }
  // For who waits for the children in its own way, and has been lent a lane: they have it until
  // they end. See Wait::Hurry.
  void hurry(Lent lent) noexcept;

 private:
  friend void request_stop(Strand& strand) noexcept;
  friend void handle_stop(Strand& strand) noexcept;
  friend void finish_strand(PromiseBase& root, Error error) noexcept;
  friend class ScopeWalk;

  void start(PromiseBase& promise, std::source_location where, Place place, bool keeps_frame,
             Order order) noexcept;
  void fail(Error error) noexcept;
  void request_stop_locked() noexcept __attribute__((requires_capability(lock_)));
  void hurry_children(Lent lent) noexcept __attribute__((requires_capability(lock_)));
  void child_ended() noexcept;
  void remove_from_parent() noexcept;

  SpinLock lock_;
  const OnError on_error_;
  Error first_error_{};
  std::atomic<bool> stopped_{false};
  std::atomic<std::size_t> active_{0};
  base::List<Strand, &Strand::sibling> children_;
  PromiseBase* joiner_ = nullptr;
  Strand* parent_ = nullptr;     // whose stop requests are passed on
  Scope* next_outer_ = nullptr;  // in parent_'s list of open scopes
  Scope* next_inner_ = nullptr;

 public:
  class JoinAwaiter : Wait {
   public:
    explicit JoinAwaiter(Scope& scope) noexcept : Wait{.kind = &kind_of_wait}, scope_{scope} {}
    [[nodiscard]] bool await_ready() const noexcept {
      return scope_.active_.load(std::memory_order_acquire) == 0;
    }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      return suspend(handle.promise());
    }
    Result<void> await_resume() noexcept;

   private:
    static Core* never_cancel(Wait&) noexcept { return nullptr; }
    static void hurry_wait(Wait& wait, Lent lent) noexcept;
    static constexpr Kind kind_of_wait{&never_cancel, &hurry_wait};
    bool suspend(PromiseBase& promise) noexcept;

    Scope& scope_;
  };
};

inline auto Scope::join() noexcept { return JoinAwaiter{*this}; }

// Runs body(scope), a coroutine, then joins: whichever way the body leaves, no child is left
// behind. A body that fails stops the children. Yields the body's error, else the first child's.
template <class Body>
Task<Result<void>> with_scope(Body body, OnError on_error = OnError::stop_others) {
  Scope scope{on_error};
  Result<void> outcome = co_await body(scope);
  if (!outcome) scope.request_stop();
  Result<void> children = co_await scope.join();
  co_return outcome ? children : outcome;
}

}  // namespace lichen::coro

namespace lichen {
using coro::OnError;
using coro::Place;
using coro::Scope;
using coro::with_scope;
}  // namespace lichen

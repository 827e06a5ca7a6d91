// Task<T>: a lazy coroutine that somebody awaits.
//
//   Task<Result<std::size_t>> copy(io::Reader& from, io::Writer& to);
//   std::size_t n = CO_TRY(co_await copy(a, b));
//
// Awaiting a Task<T> yields Result<T>; where T is a Result<U> already it yields that. A task whose
// frame could not be allocated yields Error::no_memory. Task<> therefore yields Result<void>.
//
// A task does not run before it is awaited or spawned, and from then on its frame belongs to
// whoever awaits it: no handle is left with which it could be destroyed in the middle.
#pragma once

#include <coroutine>
#include <memory>
#include <type_traits>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/coro/promise.hpp"

namespace lichen::coro {

template <class T = void>
class Task;

template <class T>
struct Flattened {
  using Value = T;
};
template <class U>
struct Flattened<Result<U>> {
  using Value = U;
};

template <class T>
class TaskPromise;

// Passes control from a finished task to whoever awaits it, or ends its strand.
struct FinalSuspend {
  static bool await_ready() noexcept { return false; }
  template <class Promise>
  static std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) noexcept {
    Promise& promise = finished.promise();
    if (PromiseBase* parent = promise.parent) [[likely]]
      return parent->handle();
    finish_strand(promise, promise.error());
    return std::noop_coroutine();
  }
  [[noreturn]] static void await_resume() noexcept { std::unreachable(); }
};

// The part of the promise that differs with the result.
template <class T>
class TaskResult : public PromiseBase {
 public:
  using Value = typename Flattened<T>::Value;

  TaskResult() noexcept {}
  ~TaskResult() {
    if (returned_) std::destroy_at(&result_);
  }

  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) noexcept {
    if constexpr (base::is_result<T>)
      std::construct_at(&result_, std::forward<U>(value));
    else
      std::construct_at(&result_, static_cast<T>(std::forward<U>(value)));
    returned_ = true;
  }
  Result<Value> take() noexcept { return std::move(result_); }
  [[nodiscard]] Error error() const noexcept { return result_.error(); }

 private:
  union {
    Result<Value> result_;
  };
  bool returned_ = false;
};

template <class T>
  requires(base::is_result<T> && std::is_trivially_destructible_v<T>)
class TaskResult<T> : public PromiseBase {
 public:
  using Value = typename Flattened<T>::Value;

  TaskResult() noexcept {}

  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) noexcept {
    std::construct_at(&result_, std::forward<U>(value));
  }
  Result<Value> take() noexcept { return std::move(result_); }
  [[nodiscard]] Error error() const noexcept { return result_.error(); }

 private:
  union {
    T result_;
  };
};

template <>
class TaskResult<void> : public PromiseBase {
 public:
  using Value = void;

  static void return_void() noexcept {}
  static Result<void> take() noexcept { return {}; }
  static Error error() noexcept { return Error{}; }
};

template <class T>
class TaskPromise final : public TaskResult<T> {
 public:
  Task<T> get_return_object() noexcept;
  static Task<T> get_return_object_on_allocation_failure() noexcept;
  static std::suspend_always initial_suspend() noexcept { return {}; }
  static FinalSuspend final_suspend() noexcept { return {}; }
};

template <class T>
class [[nodiscard("a task that is neither awaited nor spawned does nothing")]]  //
[[clang::coro_return_type]] [[clang::coro_lifetimebound]] Task {
 public:
  using promise_type = TaskPromise<T>;
  using Value = typename Flattened<T>::Value;

  Task(Task&& other) noexcept : promise_{std::exchange(other.promise_, nullptr)} {}
  Task& operator=(Task&& other) noexcept {
    std::swap(promise_, other.promise_);
    return *this;
  }
  // The task never started, or it is finished: no operation can be in flight.
  ~Task() {
    if (promise_) handle_of(*promise_).destroy();
  }

  // False when the frame could not be allocated.
  [[nodiscard]] bool has_frame() const noexcept { return promise_ != nullptr; }

  // What `co_await f()` does: the task runs inside the one that awaits it. Its frame ends with the
  // Task, as a rule at the end of that expression. PromiseBase::await_transform() lets only rvalues
  // through.
  [[nodiscard]] bool await_ready() const noexcept { return promise_ == nullptr; }
  template <class Parent>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Parent> parent) noexcept {
    promise_->parent = &parent.promise();
    promise_->strand = parent.promise().strand;
    return handle_of(*promise_);
  }
  Result<Value> await_resume() noexcept {
    if (!promise_) [[unlikely]]
      return Error::no_memory;
    return promise_->take();
  }

  // For those who start tasks: Scope, when_all and their like. The frame leaves the Task with
  // release(); promise() lends it, and the Task MUST then outlive the run.
  [[nodiscard]] promise_type* promise() const noexcept { return promise_; }
  promise_type* release() noexcept { return std::exchange(promise_, nullptr); }
  // The result of a task that ran to its end. Once.
  Result<Value> take_result() noexcept {
    if (!promise_) return Error::no_memory;
    return promise_->take();
  }

 private:
  friend promise_type;
  explicit Task(promise_type* promise) noexcept : promise_{promise} {}

  promise_type* promise_;
};

template <class T>
[[clang::coro_wrapper]] Task<T> TaskPromise<T>::get_return_object() noexcept {
  return Task<T>{this};
}
template <class T>
[[clang::coro_wrapper]] Task<T> TaskPromise<T>::get_return_object_on_allocation_failure() noexcept {
  return Task<T>{nullptr};
}

}  // namespace lichen::coro

namespace lichen {
using coro::Task;
}  // namespace lichen

// Generator<T>: a coroutine that produces values one at a time and may wait in between.
//
//   Generator<Line> lines(io::Reader& from) { ... co_yield line; ... }
//   auto source = lines(stream);
//   while (auto line = co_await source.next()) use(*line);   // ends with Error::end_of_stream
#pragma once

#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/coro/promise.hpp"

namespace lichen::coro {

// Runs inside the task that calls next(), one value ahead of nobody. It rests only before its
// start, at a co_yield and at its end, and there it may be destroyed. It ends by co_return of an
// Error, which next() yields once (Error{}: plain end, Error::end_of_stream).
template <class T>
class [[nodiscard]] [[clang::coro_return_type]] [[clang::coro_lifetimebound]] Generator {
 public:
  class promise_type final : public PromiseBase {
   public:
    [[clang::coro_wrapper]] Generator get_return_object() noexcept { return Generator{this}; }
    [[clang::coro_wrapper]] static Generator get_return_object_on_allocation_failure() noexcept {
      return Generator{nullptr};
    }
    static std::suspend_always initial_suspend() noexcept { return {}; }

    // Hands control back to whoever called next().
    struct BackToConsumer {
      static bool await_ready() noexcept { return false; }
      static std::coroutine_handle<> await_suspend(
          std::coroutine_handle<promise_type> self) noexcept {
        return self.promise().parent->handle();
      }
      static void await_resume() noexcept {}
    };
    static BackToConsumer final_suspend() noexcept { return {}; }
    BackToConsumer yield_value(T value) noexcept {
      value_.emplace(std::move(value));
      return {};
    }
    void return_value(Error end) noexcept { end_ = end == Error{} ? Error::end_of_stream : end; }
    void return_value(Result<void> end) noexcept { return_value(end ? Error{} : end.error()); }

   private:
    friend Generator;
    std::optional<T> value_;
    Error end_{};
  };

  Generator(Generator&& other) noexcept : promise_{std::exchange(other.promise_, nullptr)} {}
  Generator& operator=(Generator&& other) noexcept {
    std::swap(promise_, other.promise_);
    return *this;
  }
  ~Generator() {
    if (promise_) handle_of(*promise_).destroy();
  }

  class Next {
   public:
    explicit Next(promise_type* promise) noexcept : promise_{promise} {}
    [[nodiscard]] bool await_ready() const noexcept {
      return !promise_ || promise_->end_ != Error{};
    }
    template <class Consumer>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Consumer> consumer) const noexcept {
      promise_->parent = &consumer.promise();
      promise_->strand = consumer.promise().strand;
      return handle_of(*promise_);
    }
    Result<T> await_resume() const noexcept {
      if (!promise_) return Error::no_memory;
      if (!promise_->value_) return std::exchange(promise_->end_, Error::end_of_stream);
      Result<T> value{std::move(*promise_->value_)};
      promise_->value_.reset();
      return value;
    }

   private:
    promise_type* promise_;
  };
  // The next value. MUST be awaited before it is called again.
  Next next() noexcept { return Next{promise_}; }

 private:
  explicit Generator(promise_type* promise) noexcept : promise_{promise} {}
  promise_type* promise_;
};

}  // namespace lichen::coro

namespace lichen {
using coro::Generator;
}  // namespace lichen

// Result<T>: a value or an Error. The return type of everything that can fail.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "lichen/base/error.hpp"

namespace lichen::base {

// Contract: value accessors MUST be called only when has_value(), error() only when not. Result is
// trivially copyable when T is, so that Result<size_t> travels in two registers.
template <class T = void>
class [[nodiscard]] Result {
  static_assert(!std::is_reference_v<T>, "Result holds values; return a pointer instead");
  static_assert(!std::is_same_v<std::remove_cv_t<T>, Error>, "Result<Error> is ambiguous");

 public:
  using value_type = T;

  constexpr Result() noexcept
    requires std::is_default_constructible_v<T>
      : value_{}, error_{} {}
  constexpr Result(Error error) noexcept : nothing_{}, error_{error} {}
  template <class U = T>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error>)
  constexpr explicit(!std::is_convertible_v<U&&, T>) Result(U&& value) noexcept
      : value_(std::forward<U>(value)), error_{} {}

  constexpr Result(const Result&) noexcept
    requires std::is_trivially_copy_constructible_v<T>
  = default;
  constexpr Result(const Result& other) noexcept
    requires(std::is_copy_constructible_v<T> && !std::is_trivially_copy_constructible_v<T>)
      : nothing_{}, error_{other.error_} {
    if (has_value()) std::construct_at(std::addressof(value_), other.value_);
  }
  constexpr Result(Result&&) noexcept
    requires std::is_trivially_move_constructible_v<T>
  = default;
  constexpr Result(Result&& other) noexcept
    requires(!std::is_trivially_move_constructible_v<T>)
      : nothing_{}, error_{other.error_} {
    if (has_value()) std::construct_at(std::addressof(value_), std::move(other.value_));
  }
  constexpr Result& operator=(const Result&) noexcept
    requires(std::is_trivially_copyable_v<T>)
  = default;
  constexpr Result& operator=(Result&&) noexcept
    requires(std::is_trivially_copyable_v<T>)
  = default;
  constexpr Result& operator=(Result&& other) noexcept
    requires(!std::is_trivially_copyable_v<T>)
  {
    if (this != &other) {
      std::destroy_at(this);
      std::construct_at(this, std::move(other));
    }
    return *this;
  }
  constexpr ~Result()
    requires std::is_trivially_destructible_v<T>
  = default;
  constexpr ~Result()
    requires(!std::is_trivially_destructible_v<T>)
  {
    if (has_value()) std::destroy_at(std::addressof(value_));
  }

  [[nodiscard]] constexpr bool has_value() const noexcept { return error_ == Error{}; }
  constexpr explicit operator bool() const noexcept { return has_value(); }
  constexpr Error error() const noexcept { return error_; }
  [[nodiscard]] constexpr bool failed_with(Error error) const noexcept { return error_ == error; }

  constexpr T& value() & noexcept { return value_; }
  constexpr const T& value() const& noexcept { return value_; }
  constexpr T&& value() && noexcept { return std::move(value_); }
  constexpr T& operator*() & noexcept { return value_; }
  constexpr const T& operator*() const& noexcept { return value_; }
  constexpr T&& operator*() && noexcept { return std::move(value_); }
  constexpr T* operator->() noexcept { return std::addressof(value_); }
  constexpr const T* operator->() const noexcept { return std::addressof(value_); }
  template <class U>
  [[nodiscard]] constexpr T value_or(U&& other) && noexcept {
    return has_value() ? std::move(value_) : static_cast<T>(std::forward<U>(other));
  }

  // Says in the code that neither value nor error matters here.
  constexpr void ignore() const noexcept {}

 private:
  union {
    T value_;
    char nothing_;
  };
  Error error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  constexpr Result() noexcept : error_{} {}
  constexpr Result(Error error) noexcept : error_{error} {}

  [[nodiscard]] constexpr bool has_value() const noexcept { return error_ == Error{}; }
  constexpr explicit operator bool() const noexcept { return has_value(); }
  constexpr Error error() const noexcept { return error_; }
  [[nodiscard]] constexpr bool failed_with(Error error) const noexcept { return error_ == error; }
  constexpr void value() const noexcept {}
  constexpr void operator*() const noexcept {}
  constexpr void ignore() const noexcept {}

 private:
  Error error_;
};

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<Result<T>> = true;

}  // namespace lichen::base

namespace lichen {
using base::Result;
}  // namespace lichen

// TRY(expression): the value of a Result, or return its error from this function. CO_TRY is the
// same inside a coroutine (and its expression may co_await). They are the only control macros in
// Lichen.
#define TRY(...)                      \
  ({                                  \
    auto lichen_try_ = (__VA_ARGS__); \
    if (!lichen_try_) [[unlikely]]    \
      return lichen_try_.error();     \
    *std::move(lichen_try_);          \
  })

#define CO_TRY(...)                   \
  ({                                  \
    auto lichen_try_ = (__VA_ARGS__); \
    if (!lichen_try_) [[unlikely]]    \
      co_return lichen_try_.error();  \
    *std::move(lichen_try_);          \
  })

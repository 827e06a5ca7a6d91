// FunctionRef<R(Args...)>: a callable borrowed for the length of a call. Two words, no allocation.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace lichen::base {

template <class Signature>
class FunctionRef;

// The callable MUST outlive the reference: a parameter of this type is safe, a member seldom is.
template <class R, class... Args>
class FunctionRef<R(Args...)> {
  template <class F>
  static constexpr bool is_callable = std::is_invocable_r_v<R, F, Args...>;

 public:
  constexpr FunctionRef(R (*function)(Args...)) noexcept
      : target_{.function = function}, call_{[](Target target, Args... args) noexcept -> R {
          return target.function(std::forward<Args>(args)...);
        }} {}

  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
             !std::is_function_v<std::remove_reference_t<F>> && is_callable<F&>)
  constexpr FunctionRef(F&& callable) noexcept
      : target_{.object = std::addressof(callable)},
        call_{[](Target target, Args... args) noexcept -> R {
          auto& object =
              *static_cast<std::remove_reference_t<F>*>(const_cast<void*>(target.object));
          return static_cast<R>(object(std::forward<Args>(args)...));
        }} {}

  constexpr R operator()(Args... args) const noexcept {
    return call_(target_, std::forward<Args>(args)...);
  }

 private:
  union Target {
    const void* object;
    R (*function)(Args...);
  };

  Target target_;
  R (*call_)(Target, Args...) noexcept;
};

template <class R, class... Args>
FunctionRef(R (*)(Args...)) -> FunctionRef<R(Args...)>;

}  // namespace lichen::base

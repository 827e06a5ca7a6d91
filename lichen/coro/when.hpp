// when_all, when_any, with_timeout: several tasks at once, inside one await.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

#include "lichen/base/member.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"

namespace lichen::coro {

namespace detail {

// Runs `task`, keeps its result, then tells `on_end` how it went.
template <class T, class OnEnd>
Task<> run_and_tell(Task<T> task, std::optional<Result<typename Task<T>::Value>>& result,
                    OnEnd on_end) {
  result.emplace(co_await std::move(task));
  on_end(result->has_value());
}

template <class Results, class... Tasks, std::size_t... I>
void spawn_all(Scope& scope, Results& results, auto on_end, std::index_sequence<I...>,
               Tasks&... tasks) {
  auto spawn_one = [&]<std::size_t Index>(auto& task) {
    auto end = [on_end](bool ok) { on_end(Index, ok); };
    if (!scope.spawn(run_and_tell(std::move(task), std::get<Index>(results), end))) {
      std::get<Index>(results).emplace(Error::no_memory);
      end(false);
    }
  };
  (spawn_one.template operator()<I>(tasks), ...);
}

}  // namespace detail

// Runs the tasks concurrently and yields the tuple of their Results, in order. As soon as one fails
// the others are asked to stop (they may still succeed).
template <class... T>
Task<std::tuple<Result<typename Task<T>::Value>...>> when_all(Task<T>... tasks) {
  std::tuple<std::optional<Result<typename Task<T>::Value>>...> results;
  Scope scope;
  detail::spawn_all(
      scope, results,
      [&scope](std::size_t, bool ok) {
        if (!ok) scope.request_stop();
      },
      std::index_sequence_for<T...>{}, tasks...);
  (co_await scope.join()).ignore();  // every outcome is in its own Result
  co_return std::apply([](auto&... result) { return std::tuple{std::move(*result)...}; }, results);
}

// The first task to end, by its place in the argument list, and its Result.
template <class... T>
using First = std::variant<Result<typename Task<T>::Value>...>;

// Runs the tasks concurrently, yields the Result of the first that ends and asks the others to
// stop; returns when all have ended. What the others yield is dropped.
template <class... T>
Task<First<T...>> when_any(Task<T>... tasks) {
  static_assert(sizeof...(T) > 0);
  std::tuple<std::optional<Result<typename Task<T>::Value>>...> results;
  std::atomic<std::size_t> first{sizeof...(T)};
  Scope scope;
  detail::spawn_all(
      scope, results,
      [&](std::size_t index, bool) {
        std::size_t none = sizeof...(T);
        if (first.compare_exchange_strong(none, index)) scope.request_stop();
      },
      std::index_sequence_for<T...>{}, tasks...);
  (co_await scope.join()).ignore();
  std::optional<First<T...>> winner;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((first == I ? void(winner.emplace(std::in_place_index<I>, std::move(*std::get<I>(results))))
                 : void()),
     ...);
  }(std::index_sequence_for<T...>{});
  co_return std::move(*winner);
}

// Asks a scope to stop at a deadline. Destroyed only after disarm().
class ScopeDeadline {
 public:
  explicit ScopeDeadline(Scope& scope) noexcept : scope_{scope} {}
  void arm(Deadline deadline) noexcept { this_core()->timers().set(timer_, deadline.ns); }
  // True when the deadline had passed first.
  bool disarm() noexcept { return !timer_.cancel() && fired_; }

 private:
  static void fire(Timer& timer) noexcept {
    auto& self = *base::holder_of<ScopeDeadline, &ScopeDeadline::timer_>(&timer);
    self.fired_ = true;
    self.scope_.request_stop();
    timer.fired();
  }

  Scope& scope_;
  Timer timer_{&fire};
  bool fired_ = false;
};

// Runs the task until the deadline, then asks it to stop and waits for its end. Yields
// Error::timed_out when it ended by that stop, else what it yielded: a value that came late is not
// thrown away.
template <class T>
Task<Result<typename Task<T>::Value>> with_deadline(Deadline deadline, Task<T> task) {
  if (!task.has_frame()) co_return Error::no_memory;
  Scope scope;
  ScopeDeadline limit{scope};
  scope.start(task);
  limit.arm(deadline);
  (co_await scope.join()).ignore();
  const bool late = limit.disarm();
  Result<typename Task<T>::Value> result = task.take_result();
  if (late && result.failed_with(Error::stopped)) co_return Error::timed_out;
  co_return result;
}
template <class T>
[[clang::coro_wrapper]] auto with_timeout(Duration timeout, Task<T> task) {
  return with_deadline(Deadline::after(timeout), std::move(task));
}

}  // namespace lichen::coro

namespace lichen {
using coro::when_all;
using coro::when_any;
using coro::with_deadline;
using coro::with_timeout;
}  // namespace lichen

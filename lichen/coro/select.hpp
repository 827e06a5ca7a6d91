// select: waits for the first of several operations; the others do not happen.
//
//   auto first = CO_TRY(co_await select(messages.receive(), stop.requested(), sleep_for(1ms)));
//   if (first.index() == 0) use(std::get<0>(first));        // Result of that operation
#pragma once

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "lichen/coro/event.hpp"
#include "lichen/coro/loan.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

namespace detail {

template <class Source>
struct ArmStart {
  Source& source;
  Scope& scope;
};

// An operation that a primitive offers takes part as it is.
template <class Operation>
class Arm {
  static_assert(
      !requires(Operation operation) { operation.partial(); },
      "what may be done in part (send_all) cannot take part in a select: it would happen "
      "although another operation is first");

 public:
  using Value = typename Operation::Value;
  static constexpr bool is_child = false;
  static constexpr bool knows_whom = requires(Operation& of, Waiter& by) { of.hurry(by, Lent{}); };
  explicit Arm(ArmStart<Await<Operation>> start) noexcept : operation_{start.source.operation()} {}

  bool try_now() noexcept { return operation_.try_now(); }
  Enqueued enqueue(Waiter& waiter) noexcept { return operation_.enqueue(waiter); }
  void dequeue(Waiter& waiter) noexcept { operation_.dequeue(waiter); }
  void hurry(Waiter& waiter, Lent lent) noexcept { operation_.hurry(waiter, lent); }
  Result<Value> result() noexcept { return operation_.result(); }

 private:
  Operation& operation_;
};

// A task takes part by running as a child; it is stopped when it is not first, and what it yields
// nevertheless is dropped.
template <class T>
class TaskArm {
 public:
  using Value = typename Task<T>::Value;
  static constexpr bool is_child = true;
  static constexpr bool knows_whom = false;
  explicit TaskArm(ArmStart<Task<T>> start) noexcept {
    if (!start.scope.spawn(run(std::move(start.source), result_, done_))) {
      result_.emplace(Error::no_memory);
      done_.set();
    }
  }

  bool try_now() noexcept { return done_.is_set(); }
  Enqueued enqueue(Waiter& waiter) noexcept { return Event::WaitOperation{done_}.enqueue(waiter); }
  void dequeue(Waiter& waiter) noexcept { Event::WaitOperation{done_}.dequeue(waiter); }
  Result<Value> result() noexcept { return std::move(*result_); }

 private:
  static Task<> run(Task<T> task, std::optional<Result<Value>>& result, Event& done) {
    result.emplace(co_await std::move(task));
    done.set();
  }

  std::optional<Result<Value>> result_;
  Event done_;
};

template <class Source>
struct ArmOf;
template <class Operation>
struct ArmOf<Await<Operation>> {
  using Type = Arm<Operation>;
};
template <class T>
struct ArmOf<Task<T>> {
  using Type = TaskArm<T>;
};
template <class Source>
using ArmFor = typename ArmOf<std::remove_cvref_t<Source>>::Type;

// How one round of subscribing and waiting ended: the index of an arm, or one of these.
inline constexpr std::size_t select_stopped = ~std::size_t{0};
inline constexpr std::size_t select_again = ~std::size_t{1};

template <class Arms>
class SelectRound : WaitingForSeveral {
 public:
  SelectRound(Arms& arms, Scope& children) noexcept
      : WaitingForSeveral{kind_of_wait}, arms_{arms}, children_{children} {}

  static bool await_ready() noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    Preemption& core = *this_preemption();
    core.begin_suspension();
    if (subscribe(handle.promise())) return true;
    core.abandon_suspension();
    return false;
  }
  std::size_t await_resume() noexcept {
    end_wait(*waiter->strand);
    const Waiter* winner = winner_.load(std::memory_order_acquire);
    std::size_t index = 0;
    std::size_t decided = again_ ? select_again : select_stopped;
    for_each_arm([&](auto& arm, Waiter& place) {
      if (&place == winner) {
        if (!again_) decided = index;
      } else if (place.has_owner()) {
        arm.dequeue(place);
      }
      ++index;
    });
    return decided;
  }

 private:
  // Whether the task suspends; it may be running elsewhere already then.
  bool subscribe(PromiseBase& promise) noexcept {
    waiter = &promise;
    begin_wait(*waiter->strand, *this);
    if constexpr (has_children)
      if (waiter->strand->hurried()) [[unlikely]]
        children_.hurry(hooks::lent_lane(*waiter->strand));
    Waiter* last = nullptr;
    Enqueued outcome = Enqueued::waiting;
    for_each_arm([&](auto& arm, Waiter& place) {
      if (outcome != Enqueued::waiting) return;
      place.belongs_to(*this);
      last = &place;
      outcome = arm.enqueue(place);
    });
    if (outcome == Enqueued::complete) return false;
    if (outcome == Enqueued::refused) {
      if (winner_.load(std::memory_order_acquire) == last) {
        // Decided for this arm, whose partner was gone: nothing happened.
        again_ = true;
        return false;
      }
      if (claim(&stop_marker_)) return false;
    }
    // Subscribed, or decided by another core that is about to complete() this.
    hooks::interleave();
    return phase_.exchange(Phase::suspended, std::memory_order_acq_rel) != Phase::decided;
  }
  void for_each_arm(auto function) noexcept {
    std::apply(
        [&](auto&... arm) {
          std::size_t i = 0;
          (function(arm, places_[i++]), ...);
        },
        arms_);
  }
  static Core* cancel_wait(Wait& wait) noexcept {
    auto& self = static_cast<SelectRound&>(wait);
    if (self.claim(&self.stop_marker_)) self.complete();
    return nullptr;
  }
  // It may be subscribing still, on another core. What it then waits for sees what it is lent;
  // whose place is in a queue, the operation finds out under its lock.
  static void hurry_wait(Wait& wait, Lent lent) noexcept {
    auto& self = static_cast<SelectRound&>(wait);
    if constexpr (has_children) self.children_.hurry(lent);
    self.for_each_arm([&](auto& arm, Waiter& place) {
      if constexpr (std::remove_reference_t<decltype(arm)>::knows_whom) arm.hurry(place, lent);
    });
  }
  static constexpr bool has_children = []<class... Each>(std::type_identity<std::tuple<Each...>>) {
    return (Each::is_child || ...);
  }(std::type_identity<Arms>{});
  static constexpr Wait::Kind kind_of_wait =
      []<class... Each>(std::type_identity<std::tuple<Each...>>) {
        if constexpr (((Each::is_child || Each::knows_whom) || ...))
          return Wait::Kind{&cancel_wait, &hurry_wait};
        else
          return Wait::Kind{&cancel_wait};
      }(std::type_identity<Arms>{});

  Arms& arms_;
  Scope& children_;
  Waiter places_[std::tuple_size_v<Arms>];
  Waiter stop_marker_;
  bool again_ = false;
};

}  // namespace detail

// Yields a variant with the Result of the operation that was first; an earlier argument has
// precedence where several are ready. Operations of primitives that are not first do not happen at
// all: no message is taken, no permit held. Tasks run as children and are stopped. Error::stopped
// when the caller is.
template <class... Sources>
Task<Result<std::variant<Result<typename detail::ArmFor<Sources>::Value>...>>> select(
    Sources&&... sources) {
  static_assert(sizeof...(Sources) > 0);
  using Arms = std::tuple<detail::ArmFor<Sources>...>;
  using Outcome = std::variant<Result<typename detail::ArmFor<Sources>::Value>...>;
  Scope children;
  std::size_t first = detail::select_again;
  std::optional<Outcome> outcome;
  Arms arms{detail::ArmStart<std::remove_cvref_t<Sources>>{sources, children}...};
  while (first == detail::select_again) {
    std::size_t index = 0;
    std::apply(
        [&](auto&... arm) {
          (void)((arm.try_now() ? (first = index, true) : (++index, false)) || ...);
        },
        arms);
    if (first == detail::select_again) first = co_await detail::SelectRound<Arms>{arms, children};
  }
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((first == I ? void(outcome.emplace(std::in_place_index<I>, std::get<I>(arms).result()))
                 : void()),
     ...);
  }(std::index_sequence_for<Sources...>{});
  children.request_stop();
  (co_await children.join()).ignore();
  if (!outcome) co_return Error::stopped;
  co_return std::move(*outcome);
}

}  // namespace lichen::coro

namespace lichen {
using coro::select;
}  // namespace lichen

// TimerWheel: a core's timers. Setting and cancelling are O(1) and touch only neighbours.
//
// Hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP
// 1987): nine levels of 64 slots. A timer lies on the level of the highest 6-bit digit in which its
// tick differs from the wheel's, so the lowest occupied level always holds the earliest timers.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "lichen/coro/lock.hpp"

namespace lichen::coro {

inline constexpr std::uint64_t no_deadline = ~std::uint64_t{0};

class TimerWheel;

struct TimerLink {
  TimerLink* next = nullptr;
  TimerLink* previous = nullptr;
};

// One deadline. MUST stay where it is while set; MUST NOT be destroyed while set or firing, which
// cancel() assures on return.
class Timer : TimerLink {
 public:
  using Fire = void(Timer& timer) noexcept;

  // `fire` is called once, on the wheel's core, at or after the deadline. It MUST call
  // timer.fired() before it lets anybody run who may end the timer's life, and not touch the timer
  // after that.
  explicit Timer(Fire* fire) noexcept : fire_{fire} {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Withdraws the timer, on any core. True when it will not fire; false when it has fired (or was
  // never set), and then fired() has been called. MUST NOT be called from inside its own `fire`.
  bool cancel() noexcept;
  void fired() noexcept {
    hooks::interleave();
    state_.store(State::idle, std::memory_order_release);
  }
  [[nodiscard]] std::uint64_t deadline() const noexcept { return deadline_; }

 private:
  friend class TimerWheel;
  enum class State : std::uint8_t { idle, set, firing };

  Fire* fire_;
  TimerWheel* wheel_ = nullptr;
  std::uint64_t deadline_ = 0;
  std::atomic<State> state_{State::idle};
};

class TimerWheel {
 public:
  static constexpr unsigned tick_bits = 10;  // a tick is 1,024 ns

  TimerWheel() noexcept;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Sets a timer that is not set. Called on the wheel's core. A deadline in the past fires at the
  // next advance(); a timer never fires early and at most one tick late by the wheel's own doing.
  void set(Timer& timer, std::uint64_t deadline_ns) noexcept;
  // Names the wheel before the timer is set, so that cancel() may come at any time. Then sets it,
  // unless `stopped` is true: the check and the setting are one step for cancel().
  void prepare(Timer& timer) noexcept { timer.wheel_ = this; }
  bool set_unless(const std::atomic<bool>& stopped, Timer& timer,
                  std::uint64_t deadline_ns) noexcept;
  // Fires what is due at `now_ns`, in order of ticks. Returns how many fired.
  std::size_t advance(std::uint64_t now_ns) noexcept;
  // The earliest deadline, or a moment before it at which advance() has sorting to do; no_deadline
  // when nothing is set.
  [[nodiscard]] std::uint64_t next_deadline() noexcept;
  // The same at a constant price: a moment not after the earliest deadline, and less than a slot of
  // its level before it.
  [[nodiscard]] std::uint64_t not_before() noexcept;
  // For the core's plan of when it looks at its timers again although a task keeps it: a timer that
  // is set for an earlier moment than `ns` requests preemption, so that it plans anew. 0: none
  // does. May be called in interrupt handlers.
  void plan_look(std::uint64_t ns) noexcept { planned_ns_.store(ns, std::memory_order_relaxed); }
  // From now on first_set() is not after `ns`...
  void watch_from(std::uint64_t ns) noexcept { first_set_ns_.store(ns, std::memory_order_relaxed); }
  // ... nor after any deadline set since then. May be called in interrupt handlers.
  [[nodiscard]] std::uint64_t first_set() const noexcept {
    return first_set_ns_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  friend class Timer;
  static constexpr unsigned level_bits = 6;
  static constexpr unsigned slots = 1U << level_bits;
  static constexpr unsigned levels = (64 - tick_bits) / level_bits;
  static constexpr std::uint64_t last_tick = (std::uint64_t{1} << (levels * level_bits)) - 1;
  static_assert(levels * level_bits + tick_bits == 64);
  using Link = TimerLink;

  static std::uint64_t tick_of(std::uint64_t deadline_ns) noexcept;
  void set_locked(Timer& timer, std::uint64_t deadline_ns) noexcept;
  void set_first(std::uint64_t deadline_ns) noexcept;
  void insert(Timer& timer) noexcept;
  void remove(Timer& timer) noexcept;
  // Level and slot of the earliest occupied slot; MUST NOT be empty.
  struct Position {
    unsigned level;
    unsigned slot;
    std::uint64_t start;  // first tick the slot stands for
  };
  [[nodiscard]] Position earliest() const noexcept;

  SpinLock lock_;
  std::uint32_t occupied_levels_ = 0;
  std::uint64_t elapsed_ = 0;  // ticks that have been processed
  std::atomic<std::size_t> size_{0};
  std::atomic<std::uint64_t> first_set_ns_{no_deadline};
  std::atomic<std::uint64_t> planned_ns_{0};
  std::array<std::uint64_t, levels> occupied_{};
  std::array<std::array<Link, slots>, levels> table_;
};

}  // namespace lichen::coro

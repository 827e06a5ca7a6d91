// Strand: a spawned task with everything it awaits. The unit of scheduling, stopping and tracing.
//
// At any time a strand runs, is ready, or waits in exactly one place; that place is its `wait`. So
// a stop request finds the operation to cancel without any operation having registered anywhere,
// and a stack trace finds the leaf. A wait costs two stores on one core.
//
//                 spawn                    begin_wait                 finish
//      (created) ------> ready <---> running ---------> waiting        ------> (gone)
//                          ^                               |
//                          +------- wake, or cancel -------+
#pragma once

#include <atomic>
#include <cstdint>
#include <source_location>
#include <utility>

#include "lichen/base/list.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/lock.hpp"

namespace lichen::coro {

class PromiseBase;
class Scope;

// What a strand waits for, seen by whoever stops or traces it.
struct Wait {
  // A stop was requested. Called with the strand's lock held, so the waiting task cannot resume
  // before the call returns. MUST make the task ready, now or soon, unless it is being woken
  // anyway. Returns null when that is done, or the only core on which it can be done; it is then
  // called again there.
  using Cancel = Core*(Wait& wait) noexcept;
  // The strand has been lent a lane, see loan.hpp. Called as Cancel is. Lends it on to those for
  // whom the task waits.
  using Hurry = void(Wait& wait, Lent lent) noexcept;
  struct Kind {
    Cancel* cancel;
    Hurry* hurry = nullptr;  // null: it waits for nobody that is known
  };

  const Kind* kind;
  PromiseBase* waiter = nullptr;
};

struct Strand {
  Strand(Scope& scope, std::source_location where, LaneId lane, Core* pinned_to) noexcept
      : home_{home_of(lane, pinned_to)}, owner{&scope}, spawned_at{where} {}

  // The only core on which it runs; null: any. Changed by the strand itself, or before it starts.
  [[nodiscard]] Core* pinned() const noexcept {
    const std::uint32_t index = (home() & pin_mask) >> lane_bits;
    return index ? Core::at(index - 1) : nullptr;
  }
  void pin(Core* core) noexcept { change_home(pin_mask, home_of(0, core)); }
  // Whose turn it waits for, see lane.hpp. Changed by the strand itself (change_lane() in
  // loan.hpp), or by the scheduler while it inherits what a more urgent one lends it.
  [[nodiscard]] LaneId lane() const noexcept { return static_cast<LaneId>(home()); }
  void set_lane(LaneId lane) noexcept { change_home(lane_mask, lane); }
  // For the strand itself; false: it is hurried, and nothing was done.
  bool set_lane_unless_hurried(LaneId lane) noexcept {
    return !(change_home(lane_mask, lane, hurried_bit) & hurried_bit);
  }
  // In a lane of a group that is its own.
  [[nodiscard]] bool in_usual_lane() const noexcept {
    return !(home() & (hurried_bit | reservation_lane_bit));
  }
  // Others have lent it a lane. It is in no core's home() then, so a wake goes to the scheduler.
  [[nodiscard]] bool hurried() const noexcept { return home() & hurried_bit; }
  // Returns what it was before.
  bool set_hurried(bool hurried) noexcept {
    return change_home(hurried_bit, hurried ? hurried_bit : 0) & hurried_bit;
  }
  // The number under which the scheduler watches it (lichen/sched/task_watch.hpp); 0: it does not.
  // It is in no core's home() then either. Changed by the strand itself.
  [[nodiscard]] std::uint32_t watch() const noexcept {
    return (home() & watch_mask) >> watch_shift;
  }
  void set_watch(std::uint32_t number) noexcept { change_home(watch_mask, number << watch_shift); }
  static constexpr std::uint32_t most_watches = 255;
  // All in one word, for the comparison that every wake makes.
  [[nodiscard]] std::uint32_t home() const noexcept {
    return home_.load(std::memory_order_relaxed);
  }
  // The same as if it were not watched.
  [[nodiscard]] std::uint32_t home_unwatched() const noexcept { return home() & ~watch_mask; }
  static constexpr std::uint32_t home_of(LaneId lane, const Core* pinned) noexcept {
    return lane | (pinned ? (pinned->index() + 1) << lane_bits : 0);
  }

  SpinLock lock;
  std::atomic<bool> stop_requested{false};
  enum class StopPost : std::uint8_t {
    none,
    under_way,      // post_stop() was called
    finished_since  // and the strand has finished since: who handles the stop ends it
  };
  StopPost stop_post = StopPost::none;
  bool keeps_frame = false;  // the frame belongs to whoever started the task, not to the scope

 private:
  //   31        30 ... 23   22 ... 16               15 ... 0
  //   hurried   watch       index of the core + 1   lane
  static constexpr unsigned lane_bits = 16;
  static constexpr unsigned watch_shift = 23;
  static constexpr std::uint32_t lane_mask = (1U << lane_bits) - 1;
  static constexpr std::uint32_t hurried_bit = 1U << 31;
  static constexpr std::uint32_t watch_mask = most_watches << watch_shift;
  static constexpr std::uint32_t pin_mask = ~lane_mask & ~watch_mask & ~hurried_bit;
  static_assert(max_cores << lane_bits < 1U << watch_shift);
  // The strand pins itself while others may lend it a lane, on one core, too, where it may be
  // interrupted in the middle. Unless one of the bits `unless` is set. Returns what was before.
  std::uint32_t change_home(std::uint32_t mask, std::uint32_t bits,
                            std::uint32_t unless = 0) noexcept {
    std::uint32_t before = home();
    while (!(before & unless) && !home_.compare_exchange_weak(before, (before & ~mask) | bits,
                                                              std::memory_order_relaxed)) {
    }
    return before;
  }

  std::atomic<std::uint32_t> home_;

 public:
  Wait* wait = nullptr;
  Scope* owner;
  base::ListNode sibling;      // in owner's children
  Scope* innermost = nullptr;  // the newest scope opened by this strand
  std::source_location spawned_at;
  Strand* next_stop = nullptr;  // in the list of post_stop()
};

// In await_suspend(), after begin_suspension().
inline void begin_wait(Strand& strand, Wait& wait) noexcept {
  SpinGuard guard{strand.lock, in_section};
  strand.wait = &wait;
}
inline void end_wait(Strand& strand) noexcept {
  if (!cores_share) {
    // One step for everything else on its core, and taken before the wait's memory is used again.
    strand.wait = nullptr;
    return std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  SpinGuard guard{strand.lock};
  strand.wait = nullptr;
}

// Asks the strand and everything below it to stop. Idempotent, on any core.
void request_stop(Strand& strand) noexcept;
// The other half of hooks::post_stop(), called by the scheduler on the core that was asked.
void handle_stop(Strand& strand) noexcept;

inline void Core::push_next(Runnable& runnable) noexcept {
  Runnable* displaced = std::exchange(here_.next, &runnable);
  if (!displaced) [[likely]]
    return;
  if (displaced->strand->pinned())
    push_pinned(*displaced);
  else
    push(*displaced);
}

inline bool Core::takes_next(Runnable& runnable) noexcept {
  const std::uint32_t its = runnable.strand->home();
  if (here_.next || (its != home() && its != pinned_home())) [[unlikely]]
    return false;
  here_.next = &runnable;
  return true;
}

// Puts a Runnable that is ready into the queues of `core`, the calling core, in a section without
// preemption. Whatever is not in the lane that has its turn, or may not run here, is for the
// scheduler.
template <Order order>
void make_ready(Core& core, Runnable& runnable) noexcept {
  if (runnable.strand) [[likely]] {
    const std::uint32_t home = runnable.strand->home();
    if (home == core.home()) [[likely]] {
      if constexpr (order == Order::last) return core.push(runnable);
      if constexpr (order == Order::forked) return core.push_fork(runnable);
      if constexpr (order == Order::next) return core.push_next(runnable);
    }
    if (home == core.pinned_home()) {
      if constexpr (order == Order::last) return core.push_pinned(runnable);
      if constexpr (order == Order::forked) return core.push_pinned_fork(runnable);
      if constexpr (order == Order::next) return core.push_next(runnable);
    }
  }
  hooks::make_ready(&core, runnable, order);
}

// Makes a suspended task ready. Called once for each suspension, on any thread; the task may run at
// once on another core, so the caller MUST NOT touch its frame afterwards.
template <Order order = Order::last>
void wake(Runnable& runnable) noexcept {
  Core* core = this_core();
  if (!core) [[unlikely]]
    return hooks::make_ready(nullptr, runnable, order);
  const PreemptionOff section{core};
  make_ready<order>(*core, runnable);
}
// The same, but the task runs next on this core: for a task that was handed something.
inline void wake_next(Runnable& runnable) noexcept { wake<Order::next>(runnable); }
// The same in a section without preemption of `core`, the calling one; null on a thread that is
// none.
inline void wake_next(Runnable& runnable, Preemption* core) noexcept {
  if (core) [[likely]]
    make_ready<Order::next>(*static_cast<Core*>(core), runnable);
  else
    hooks::make_ready(nullptr, runnable, Order::next);
}

}  // namespace lichen::coro

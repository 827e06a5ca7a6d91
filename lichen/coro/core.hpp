// Core: what a core's hot paths touch, and nobody else does. The scheduler's executor derives from
// it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>

#include "lichen/base/core_slot.hpp"
#include "lichen/coro/lane.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/coro/preemption.hpp"
#include "lichen/coro/runnable.hpp"
#include "lichen/coro/timer_wheel.hpp"

namespace lichen::coro {

inline constexpr std::uint32_t max_cores = 64;

class Core : public Preemption {
 public:
  // MUST be below max_cores; one core of an index at a time.
  explicit Core(std::uint32_t index) noexcept : index_{index} { table_[index] = this; }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  static Core* at(std::uint32_t index) noexcept { return table_[index]; }

  // The queues of the lane that has its turn here. Called on this core, in a section without
  // preemption.
  void push(Runnable& runnable) noexcept {
    here_.ready.push_back(runnable);
    if (here_.ready.size() >= share_at_.load(std::memory_order_relaxed)) [[unlikely]]
      hooks::share(*this);
  }
  void push_fork(Runnable& runnable) noexcept {
    here_.forks.push_front(runnable);
    if (here_.forks.size() >= share_at_.load(std::memory_order_relaxed)) [[unlikely]]
      hooks::share(*this);
  }
  void push_pinned(Runnable& runnable) noexcept {
    (cores_share ? here_.pinned : here_.ready).push_back(runnable);
  }
  void push_pinned_fork(Runnable& runnable) noexcept {
    (cores_share ? here_.pinned : here_.forks).push_front(runnable);
  }
  // Whoever had the wake slot goes behind the others.
  inline void push_next(Runnable& runnable) noexcept;
  // The usual case of waking a task that runs next: it may run here, in the lane that has its turn,
  // and nobody has the wake slot. False: it is another, and nothing was done.
  inline bool takes_next(Runnable& runnable) noexcept;

  // What the home of a strand in that lane is, if it may run anywhere, or here only.
  [[nodiscard]] std::uint32_t home() const noexcept { return home_; }
  [[nodiscard]] std::uint32_t pinned_home() const noexcept { return pinned_home_; }

  // Runs one Runnable until it suspends.
  void run(Runnable& runnable) noexcept {
    current_ = runnable.strand;
    begin_run();
    runnable.resume();
    end_run();
  }

  // The strand that runs now; null in the runtime's own code.
  [[nodiscard]] Strand* current() const noexcept { return current_; }
  [[nodiscard]] TimerWheel& timers() noexcept { return timers_; }
  // Time as of the current batch of tasks: free to read, late by at most the batch.
  [[nodiscard]] std::uint64_t batch_now_ns() const noexcept { return batch_now_ns_; }

 protected:
  static constexpr std::uint32_t never_share = std::numeric_limits<std::uint32_t>::max();

  inline static constinit std::array<Core*, max_cores> table_{};

  const std::uint32_t index_;
  // Set by idle cores that look for work, so it is read on every push and seldom written.
  std::atomic<std::uint32_t> share_at_{never_share};
  void set_turn(LaneId lane) noexcept {
    home_ = lane;
    pinned_home_ = lane | (index_ + 1) << 16;
  }

  std::uint32_t home_ = default_lane;
  std::uint32_t pinned_home_ = default_lane | (index_ + 1) << 16;
  LaneQueues here_;
  Strand* current_ = nullptr;
  std::uint64_t batch_now_ns_ = 0;
  TimerWheel timers_;
};

// The calling thread's core; null on a thread that is none. Safe to call across suspensions.
inline Core* this_core() noexcept { return static_cast<Core*>(this_preemption()); }
// Makes the calling thread `core` (null: none).
inline void set_this_core(Core* core) noexcept {
  base::set_core_slot(static_cast<Preemption*>(core));
}

}  // namespace lichen::coro

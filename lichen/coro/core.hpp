// Core: what a core's hot paths touch, and nobody else does. The scheduler's executor derives from
// it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>

#include "lichen/base/core_slot.hpp"
#include "lichen/coro/runnable.hpp"
#include "lichen/coro/timer_wheel.hpp"

namespace lichen::coro {

inline constexpr std::uint32_t max_cores = 64;

class Core {
 public:
  // MUST be below max_cores; one core of an index at a time.
  explicit Core(std::uint32_t index) noexcept : index_{index} { table_[index] = this; }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  static Core* at(std::uint32_t index) noexcept { return table_[index]; }

  // Behind everything that is ready here. Called on this core.
  void push(Runnable& runnable) noexcept {
    ready_.push_back(runnable);
    if (ready_.size() >= share_at_.load(std::memory_order_relaxed)) [[unlikely]]
      hooks::share(*this);
  }
  // Before what is ready here: the newest fork first.
  void push_fork(Runnable& runnable) noexcept {
    forks_.push_front(runnable);
    if (forks_.size() >= share_at_.load(std::memory_order_relaxed)) [[unlikely]]
      hooks::share(*this);
  }
  // Behind the other tasks that may run on this core only.
  void push_pinned(Runnable& runnable) noexcept { pinned_.push_back(runnable); }
  // Runs before everything else that is ready here, as soon as the running task suspends: for a
  // task that was just handed something (the wake slot). Called on this core. Returns what it
  // displaces, which MUST be pushed.
  [[nodiscard]] Runnable* exchange_next(Runnable* runnable) noexcept {
    return std::exchange(next_, runnable);
  }

  // Runs one Runnable until it suspends.
  void run(Runnable& runnable) noexcept {
    current_ = runnable.strand;
    runnable.resume();
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
  Runnable* next_ = nullptr;
  RunQueue ready_;
  RunQueue pinned_;
  RunQueue forks_;
  Strand* current_ = nullptr;
  std::uint64_t batch_now_ns_ = 0;
  TimerWheel timers_;
};

// The calling thread's core; null on a thread that is none. Safe to call across suspensions.
inline Core* this_core() noexcept { return static_cast<Core*>(base::core_slot()); }
// Makes the calling thread `core` (null: none).
inline void set_this_core(Core* core) noexcept { base::set_core_slot(core); }

}  // namespace lichen::coro

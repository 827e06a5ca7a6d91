// StallMonitor: says who held a core for too long while something else was ready there.
//
// A core that runs one task for long interrupts itself now and then, to see whether something else
// has its turn (executor.hpp); it looks here at the same moments, so a machine that is idle, or
// runs nothing else, is not woken for it. Whoever is found is reported where it stands: in the
// middle of its own code it cannot end, so its stack of awaits can be read. Who was in a section
// that must not be preempted is reported when it leaves that.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <vector>

#include "lichen/coro/lane.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/coro/trace.hpp"

namespace lichen::sched {

using coro::LaneId;

struct Stall {
  static constexpr std::size_t max_lines = 24;

  std::uint64_t since_ns = 0;  // when the core was last in its loop
  std::uint64_t held_ns = 0;   // from then until it was found
  LaneId lane = 0;
  std::uintptr_t at = 0;  // in the program's code; 0: not known
  const char* call = "";  // of the host's, in which the core was left to another thread; or empty
  std::array<coro::TraceLine, max_lines> lines{};
  std::size_t line_count = 0;  // 0: no task was found, the core was in code of the runtime or host
};

class StallMonitor {
 public:
  static constexpr std::chrono::nanoseconds default_threshold = std::chrono::milliseconds{20};

  explicit StallMonitor(std::uint32_t core) noexcept : core_{core} {}

  // On any thread; 0: never.
  void set_threshold(std::chrono::nanoseconds threshold) noexcept {
    threshold_ns_.store(static_cast<std::uint64_t>(threshold.count()), std::memory_order_relaxed);
  }

  // On the core, if something else is ready: whether to report that it was last in its loop at
  // `since`. Once for each time it is held, and again whenever that has become twice as long.
  [[nodiscard]] bool due(std::uint64_t since, std::uint64_t now) noexcept {
    const std::uint64_t threshold = threshold_ns_.load(std::memory_order_relaxed);
    const std::uint64_t held = now - since;
    if (threshold == 0 || held < threshold) [[likely]]
      return false;
    return since != reported_since_ || held >= 2 * reported_held_;
  }
  // When due() may become true, for the one who plans the next interrupt.
  [[nodiscard]] std::uint64_t next_look(std::uint64_t since) const noexcept;

  // On the core, without preemption. `strand` runs or ran meanwhile and stays where it is until
  // this returns; null: not known. `at`: where it goes on, 0: not known. `call`: as in Stall.
  void report(std::uint64_t since, std::uint64_t now, LaneId lane, std::string_view group,
              const coro::Strand* strand, std::uintptr_t at, const char* call = "") noexcept;

  // On any thread: how many were reported, and the latest of them, oldest first.
  [[nodiscard]] std::uint64_t count() const noexcept {
    return count_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::vector<Stall> latest() const;

 private:
  static constexpr std::size_t kept = 8;
  static constexpr std::uint64_t log_pause_ns = 1'000'000'000;

  void log(const Stall& stall, std::string_view group) noexcept;

  const std::uint32_t core_;
  std::atomic<std::uint64_t> threshold_ns_{static_cast<std::uint64_t>(default_threshold.count())};
  std::uint64_t reported_since_ = 0;
  std::uint64_t reported_held_ = 0;
  std::uint64_t logged_ns_ = 0;
  std::uint64_t not_logged_ = 0;
  std::atomic<std::uint64_t> count_{0};

  mutable coro::SpinLock lock_;
  std::array<Stall, kept> stalls_ __attribute__((guarded_by(lock_)));
};

}  // namespace lichen::sched

// StallMonitor: says who held a core for too long while something else was ready there.
//
// A core that runs one task for long interrupts itself now and then, to see whether something else
// has its turn (executor.hpp); it looks here at the same moments, so a machine that is idle, or
// runs nothing else, is not woken for it. Whoever is found is reported where it stands: in the
// middle of its own code it cannot end, so its stack of awaits can be read. Who is in code that
// must not be left, a library's, is reported by the interrupt handler that finds it there: it may
// never come out. The log hears of it at once if its sink is fit for handlers, else when the core
// looks again. Who was in a section that must not be preempted is reported when it leaves that.
//
// On a core that a host shares with others, the time in which those ran is told apart: it holds up
// nobody who would not have waited for it anyway. Since the clock of the core's own time costs a
// system call, it is read now and then only, so of what the host had, a few milliseconds may have
// been before.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <vector>

#include "lichen/base/text_buffer.hpp"
#include "lichen/coro/lane.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/coro/trace.hpp"

namespace lichen::sched {

using coro::LaneId;
using TaskName = base::FixedString<32>;

struct Stall {
  static constexpr std::size_t max_lines = 24;

  std::uint64_t since_ns = 0;  // when the core was last in its loop
  std::uint64_t held_ns = 0;   // from then until it was found, less what the host had of it
  std::uint64_t kept_ns = 0;   // that, as far as the host says; too much by a few ms at most
  LaneId lane = 0;
  std::uintptr_t at = 0;  // in the program's code; 0: not known
  TaskName task;          // under which it is watched (task_watch.hpp); empty: it is not
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
  // `since`, unless the host had it. Once for each time it is held, and again whenever that has
  // become twice as long; or that it is to be logged late.
  [[nodiscard]] bool due(std::uint64_t since, std::uint64_t now) noexcept {
    const std::uint64_t threshold = threshold_ns_.load(std::memory_order_relaxed);
    const std::uint64_t held = now - since;
    if (threshold == 0 || held < threshold) [[likely]]
      return false;
    return since != reported_since_ || held >= 2 * reported_held_ || late_;
  }
  // On the core, before it runs what may hold it, now and then: what the host has had in all.
  void note_host(std::uint64_t kept_ns) noexcept { noted_kept_ns_ = kept_ns; }
  // Of the time since `since`, when note_host() was last due: what the host had, at most, if it
  // has had `kept_ns` in all. And whether what is left is worth a report.
  [[nodiscard]] std::uint64_t kept_since(std::uint64_t since, std::uint64_t now,
                                         std::uint64_t kept_ns) const noexcept {
    return std::min(kept_ns - std::min(kept_ns, noted_kept_ns_), now - since);
  }
  [[nodiscard]] bool is_stall(std::uint64_t held_ns) const noexcept {
    return held_ns >= threshold_ns_.load(std::memory_order_relaxed);
  }
  // When due() may become true, for the one who plans the next interrupt.
  [[nodiscard]] std::uint64_t next_look(std::uint64_t since) const noexcept;

  // On the core, without preemption. `strand` runs or ran meanwhile and stays where it is until
  // this returns; null: not known. `at`: where it goes on, 0: not known. `kept_ns`, `task`, `call`:
  // as in Stall.
  void report(std::uint64_t since, std::uint64_t now, std::uint64_t kept_ns, LaneId lane,
              std::string_view group, const coro::Strand* strand, const TaskName& task,
              std::uintptr_t at, const char* call = "") noexcept;
  // The same in an interrupt handler.
  void report_in_handler(std::uint64_t since, std::uint64_t now, std::uint64_t kept_ns, LaneId lane,
                         std::string_view group, const coro::Strand* strand, const TaskName& task,
                         std::uintptr_t at) noexcept;
  // On the core, outside of handlers: logs what a handler could not. Whether there was any.
  bool log_late(std::uint64_t now) noexcept;
  [[nodiscard]] bool is_late() const noexcept { return late_; }

  // On any thread: how many were reported, and the latest of them, oldest first.
  [[nodiscard]] std::uint64_t count() const noexcept {
    return count_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::vector<Stall> latest() const;

 private:
  static constexpr std::size_t kept = 8;
  static constexpr std::uint64_t log_pause_ns = 1'000'000'000;

  void keep(const Stall& stall, std::uint64_t now) noexcept;
  void log(const Stall& stall, std::string_view group, std::uint64_t now) noexcept;

  const std::uint32_t core_;
  std::atomic<std::uint64_t> threshold_ns_{static_cast<std::uint64_t>(default_threshold.count())};
  std::uint64_t noted_kept_ns_ = 0;
  std::uint64_t reported_since_ = 0;
  std::uint64_t reported_held_ = 0;
  std::uint64_t logged_ns_ = 0;
  std::uint64_t not_logged_ = 0;
  bool late_ = false;  // a handler has reported the latest stall, and it is not logged yet
  TaskName late_group_;
  std::atomic<std::uint64_t> count_{0};

  mutable coro::SpinLock lock_;
  std::array<Stall, kept> stalls_ __attribute__((guarded_by(lock_)));
};

}  // namespace lichen::sched

#include "lichen/sched/stall.hpp"

#include <algorithm>
#include <limits>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/strand.hpp"

// Where the program's image begins, from the linker: addresses in it are told from there, since a
// debugger or symbolizer does not know where it was loaded.
extern "C" const char __executable_start[];

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::sched {

namespace {

Stall stall_of(std::uint64_t since, std::uint64_t now, std::uint64_t kept_ns, LaneId lane,
               const coro::Strand* strand, const TaskName& task, std::uintptr_t at,
               const char* call) noexcept {
  Stall stall{.since_ns = since,
              .held_ns = now - since - kept_ns,
              .kept_ns = kept_ns,
              .lane = lane,
              .at = at ? at - reinterpret_cast<std::uintptr_t>(__executable_start) : 0,
              .task = task,
              .call = call};
  if (strand) stall.line_count = coro::trace_ancestors(*strand, stall.lines);
  return stall;
}

}  // namespace

std::uint64_t StallMonitor::next_look(std::uint64_t since) const noexcept {
  const std::uint64_t threshold = threshold_ns_.load(std::memory_order_relaxed);
  if (threshold == 0) return std::numeric_limits<std::uint64_t>::max();
  return since + (since == reported_since_ ? 2 * reported_held_ : threshold);
}

[[gnu::noinline]] void StallMonitor::report(std::uint64_t since, std::uint64_t now,
                                            std::uint64_t kept_ns, LaneId lane,
                                            std::string_view group, const coro::Strand* strand,
                                            const TaskName& task, std::uintptr_t at,
                                            const char* call) noexcept {
  const Stall stall = stall_of(since, now, kept_ns, lane, strand, task, at, call);
  keep(stall, now);
  log(stall, group, now);
}

void StallMonitor::report_in_handler(std::uint64_t since, std::uint64_t now, std::uint64_t kept_ns,
                                     LaneId lane, std::string_view group,
                                     const coro::Strand* strand, const TaskName& task,
                                     std::uintptr_t at) noexcept {
  const Stall stall = stall_of(since, now, kept_ns, lane, strand, task, at, "");
  keep(stall, now);
  if (base::log::fit_for_handlers()) return log(stall, group, now);
  late_group_ = format<32>("{}", group);
  late_ = true;
}

bool StallMonitor::log_late(std::uint64_t now) noexcept {
  if (!late_) return false;
  late_ = false;
  Stall stall;
  {
    coro::SpinGuard guard{lock_};
    stall = stalls_[(count_.load(std::memory_order_relaxed) - 1) % kept];
  }
  log(stall, late_group_.view(), now);
  return true;
}

void StallMonitor::keep(const Stall& stall, std::uint64_t now) noexcept {
  reported_since_ = stall.since_ns;
  reported_held_ = now - stall.since_ns;
  const std::uint64_t number = count_.load(std::memory_order_relaxed);
  coro::SpinGuard guard{lock_};
  stalls_[number % kept] = stall;
  count_.store(number + 1, std::memory_order_relaxed);
}

void StallMonitor::log(const Stall& stall, std::string_view group, std::uint64_t now) noexcept {
  // A program that stalls all the time would say little else.
  if (logged_ns_ != 0 && now - logged_ns_ < log_pause_ns) {
    ++not_logged_;
    return;
  }
  logged_ns_ = now;
  const auto more =
      not_logged_ ? format<48>(" ({} more since the last report)", not_logged_) : format<48>("");
  const auto kept = stall.kept_ns >= 1'000'000
                        ? format<48>(", {} ms more by the host", stall.kept_ns / 1'000'000)
                        : format<48>("");
  const auto who =
      stall.task.empty() ? format<48>("a task") : format<48>("\"{}\"", stall.task.view());
  if (*stall.call)
    base::log::warning("core {} was held for {} ms by {} of {} in {}(){}", core_,
                       stall.held_ns / 1'000'000, who, group, stall.call, more);
  else
    base::log::warning("core {} was held for {} ms by {} of {} while others waited{}{}", core_,
                       stall.held_ns / 1'000'000, who, group, kept, more);
  if (stall.at)
    base::log::warning("  at image+{:#x}, which llvm-symbolizer --obj=PROGRAM tells", stall.at);
  if (stall.line_count == 0)
    base::log::warning("  in code of the runtime or the host; its task has gone on since");
  std::array<char, base::log::max_line> text;
  for (std::size_t i = 0; i < stall.line_count; ++i)
    base::log::warning("{}", coro::format_line(stall.lines[i], text));
  not_logged_ = 0;
}

std::vector<Stall> StallMonitor::latest() const {
  std::vector<Stall> found;
  found.reserve(kept);  // so that nothing is allocated in the section
  coro::SpinGuard guard{lock_};
  const std::uint64_t end = count_.load(std::memory_order_relaxed);
  for (std::uint64_t i = end - std::min<std::uint64_t>(end, kept); i < end; ++i)
    found.push_back(stalls_[i % kept]);
  return found;
}

}  // namespace lichen::sched

#pragma clang attribute pop

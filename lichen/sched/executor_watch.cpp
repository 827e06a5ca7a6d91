// What the executor tells its observers.
#include <algorithm>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::sched {

namespace {

// What the host has had of the calling core in all. The two clocks are not read at the same moment.
std::uint64_t host_had(std::uint64_t now) noexcept {
  return now - std::min(now, hal::core_time_ns());
}

}  // namespace

// It begins, or goes on.
const coro::Strand* Executor::note_run(coro::Runnable& runnable) noexcept {
  const coro::Strand* strand = runnable.strand;
  note(hal::now_ns(), is_preempted(runnable) ? TraceKind::resume_preempted : TraceKind::run_begin,
       strand, strand ? argument_of(strand->spawned_at) : 0);
  return strand;
}

void Executor::look_for_stall(std::uint64_t since, std::uint64_t now, const coro::Strand* running,
                              std::uintptr_t at, bool others_waited) noexcept {
  if (stalls_.log_late(now) && !stalls_.due(since, now)) return;
  if (!others_waited && !has_turn_work() && schedule_.empty()) return;
  const std::uint64_t kept = stalls_.kept_since(since, now, host_had(now));
  if (!stalls_.is_stall(now - since - kept)) return;
  stalls_.report(since, now, kept, lane_->id, lane_->group ? lane_->group->name() : "runtime",
                 running, name_of(running), at);
  if (trace_.on()) note(now, TraceKind::stall, running, now - since - kept);
}

// In an interrupt handler: the running task is in code that must not be left, and may never come
// out of it. Outside of sections, so nothing of the core's is in the middle of a change.
void Executor::look_for_stall_in_handler(std::uint64_t now) noexcept {
  const std::uint64_t since = batch_now_ns_;
  if (stalls_.is_late() || !stalls_.due(since, now)) [[likely]]
    return;
  if (!has_turn_work() && schedule_.empty() && posted_.empty() && timers_.first_set() > now) return;
  const std::uint64_t kept = stalls_.kept_since(since, now, host_had(now));
  if (!stalls_.is_stall(now - since - kept)) return;
  begin_suspension();  // so that the locks which are taken now look at no requests
  stalls_.report_in_handler(since, now, kept, lane_->id,
                            lane_->group ? lane_->group->name() : "runtime", current_,
                            name_of(current_), hal::interrupted_at());
  if (trace_.on()) note(now, TraceKind::stall, current_, now - since - kept);
  begin_run();
}

TaskName Executor::name_of(const coro::Strand* strand) const noexcept {
  return strand ? machine_.task_watches().name_of(*strand) : TaskName{};
}

void Executor::frame_began(LaneId lane, std::uint64_t number, std::uint64_t due_ns,
                           std::uint64_t left_out) noexcept {
  const coro::PreemptionOff section{this};
  const std::uint64_t now = hal::now_ns();
  const std::uint64_t late = now > due_ns ? now - due_ns : 0;
  watch_.frame_began(schedule_.lane(lane), late, left_out);
  if (current_->watch() != 0) [[unlikely]]
    machine_.task_watches().of(*current_).frame_began(late, left_out);
  if (trace_.on()) [[unlikely]]
    trace_.record(now, TraceKind::frame_begin, lane, number, late);
}

void Executor::frame_done(LaneId lane, std::uint64_t number, std::uint64_t deadline_ns,
                          std::uint64_t now) noexcept {
  const coro::PreemptionOff section{this};
  const bool missed = now > deadline_ns;
  if (missed) {
    watch_.frame_missed(schedule_.lane(lane));
    if (current_->watch() != 0) [[unlikely]]
      machine_.task_watches().of(*current_).frame_missed();
  }
  if (!trace_.on()) [[likely]]
    return;
  const std::uint64_t later = hal::now_ns();  // in the order of the other events
  if (missed) trace_.record(later, TraceKind::frame_missed, lane, number, now - deadline_ns);
  trace_.record(later, TraceKind::frame_done, lane, number, 0);
}

void Executor::count_ready(std::span<std::uint64_t, band_count> bands) noexcept {
  const coro::PreemptionOff section{this};
  for (const Lane& lane : waiting_) bands[machine_.band_of(lane)] += lane.queues.size();
  std::uint64_t& mine = bands[machine_.band_of(*lane_)];
  mine += here_.size();
  for (const coro::Runnable* runnable = batch_; runnable; runnable = runnable->next) ++mine;
}

}  // namespace lichen::sched

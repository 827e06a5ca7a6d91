// What the host has of a core while a lane has its turn there, who pays for it, and who of ours
// goes before the host.
#include <algorithm>
#include <utility>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::sched {

FrameWait::FrameWait(Executor& core, std::uint64_t due_ns) noexcept : core_{core}, due_ns_{due_ns} {
  if constexpr (hal::has_urgency) core_.frame_waits_.push(*this);
}
FrameWait::~FrameWait() {
  if constexpr (hal::has_urgency) core_.frame_waits_.erase(*this);
}

void Executor::clock_the_host(std::uint64_t now) noexcept {
  host_ns_ = now - hal::core_time_ns();
  waited_ns_ = 0;
}

// Of the time that ends now and is not charged yet, also not by a look that set the task aside.
void Executor::not_charged(std::uint64_t ns, std::uint64_t now) noexcept {
  const std::uint64_t since = std::max(charged_until_ns_, schedule_.paid_until());
  charged_until_ns_ = since + std::min(ns, now - std::min(now, since));
}

// A frame's budget is for what it does itself: if the host gives the core to somebody else in the
// middle, or another one that holds a lock which the frame needs, the frame has not used it up, and
// goes on as a frame.
void Executor::leave_out_of_frame(std::uint64_t now) noexcept {
  const std::uint64_t before = host_ns_;
  const std::uint64_t waited = waited_ns_;
  clock_the_host(now);
  // The two clocks are not read at the same moment: it may be a little less than nothing.
  const auto kept = static_cast<std::int64_t>(host_ns_ - before + waited);
  if (kept > 0) not_charged(static_cast<std::uint64_t>(kept), now);
}

void Executor::wait_for_the_host() noexcept {
  const std::uint64_t before = hal::core_time_ns();
  hal::yield_to_host();
  waited_ns_ += hal::core_time_ns() - before;
}

std::uint64_t Executor::next_frame() const noexcept {
  const FrameWait* const next = frame_waits_.top();
  return next ? next->due() : coro::no_deadline;
}

// Before something runs. Frames go before other processes; whatever else we have takes its turn
// among them, until a frame is due.
void Executor::rank_turn(std::uint64_t now) noexcept {
  if (!machine_.realtime()) [[likely]]
    return;
  const bool frame = lane_->kind == LaneKind::frame && !lane_->exhausted;
  std::uint64_t from = next_frame();
  // It has come to the one that was due. One that does not come back is waited for, too.
  if (frame) from = from <= now ? lane_->comeback() : std::min(from, lane_->comeback());
  // First: who goes behind others may be kept from running at once.
  hal::urgent_from(index_, from);
  const std::uint64_t waits = now - std::min(now, from);
  const bool urgent =
      frame || schedule_.frames_wait() || (from <= hal::now_ns() && waits < hal::most_awaited_ns);
  hal::set_urgent(index_, urgent);
}

// Before the core looks for work for a while: the host may have something better to do.
void Executor::rank_poll() noexcept {
  if (!machine_.realtime()) [[likely]]
    return;
  hal::urgent_from(index_, next_frame());
  hal::set_urgent(index_, false);
}

// Before the core sleeps: who is woken for a frame does not stand in line.
void Executor::rank_rest() noexcept {
  if (!machine_.realtime()) [[likely]]
    return;
  hal::set_urgent(index_, frames_reserved());
  hal::urgent_from(index_, coro::no_deadline);
}

// In interrupt handlers: in code that must not be left a frame may run for ever, and so may others
// when one was woken from another core.
void Executor::rank_overrun(std::uint64_t now) noexcept {
  if (!machine_.realtime()) return;
  const bool overdue = now > decision_ns_ && now - decision_ns_ >= most_overrun_ns;
  const bool awaited = refused_at_ns_ != 0 && now - refused_at_ns_ >= hal::most_awaited_ns;
  if (!overdue && !awaited) return;
  hal::urgent_from(index_, coro::no_deadline);
  hal::set_urgent(index_, false);
}

// The calling thread is the core from now on; each has clocks of its own.
void Executor::begin_own_time(std::uint64_t now) noexcept {
  read_own_time(now);
  taken_ns_ = hal::taken_ns();
  waits_ = hal::waits();
}

void Executor::read_own_time(std::uint64_t now) noexcept {
  own_ns_ = hal::core_time_ns();
  own_read_ns_ = now;
  idled_ = false;
  // The two clocks are not read at the same moment.
  stalls_.note_host(now - std::min(now, own_ns_));
}

// Fair classes share what the host leaves. What a task waits for in a call of the host's is its
// own: nobody else has the core meanwhile.
void Executor::leave_out_of_fair(std::uint64_t now) noexcept {
  const std::uint64_t since = looked_at_until();
  // What ran before, after the clock was read, was not interrupted. Nobody knows what idling took:
  // then a part of what the host took is charged.
  const std::uint64_t before = own_ns_ + (idled_ ? 0 : since - own_read_ns_);
  read_own_time(now);
  const std::uint64_t passed = now - since;
  const std::uint64_t own = own_ns_ - std::min(own_ns_, before);
  if (own + least_taken_ns >= passed) return;
  const std::uint64_t taken = std::max(hal::taken_ns(), taken_ns_);
  const std::uint64_t queued = taken - taken_ns_;
  // Else all that is missing was taken, also where a machine below took it, which no queue shows.
  const std::uint64_t waits = hal::waits();
  const bool waited = std::exchange(waits_, waits) != waits;
  const std::uint64_t kept = waited ? std::min(passed - own, queued) : passed - own;
  // What it took while we asked is a part of what passes from now on.
  taken_ns_ = taken - std::min(queued - std::min(kept, queued), hal::now_ns() - now);
  not_charged(kept, now);
  schedule_.host_took(*lane_, kept, now);
}

}  // namespace lichen::sched

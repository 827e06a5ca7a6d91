// What the host has of a core while a lane has its turn there, and who pays for it.
#include <algorithm>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/executor.hpp"

namespace lichen::sched {

void Executor::clock_the_host(std::uint64_t now) noexcept {
  host_ns_ = now - hal::core_time_ns();
  waited_ns_ = 0;
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
  if (kept > 0)
    charged_until_ns_ += std::min(static_cast<std::uint64_t>(kept), now - charged_until_ns_);
}

void Executor::wait_for_the_host() noexcept {
  const std::uint64_t before = hal::core_time_ns();
  hal::yield_to_host();
  waited_ns_ += hal::core_time_ns() - before;
}

// The calling thread is the core from now on; each has clocks of its own.
void Executor::begin_own_time(std::uint64_t now) noexcept {
  read_own_time(now);
  taken_ns_ = hal::taken_ns();
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
  const std::uint64_t kept = std::min(passed - own, taken - taken_ns_);
  // What it took while we asked is a part of what passes from now on.
  taken_ns_ = taken - std::min(taken - taken_ns_ - kept, hal::now_ns() - now);
  charged_until_ns_ += kept;
  schedule_.host_took(*lane_, kept, now);
}

}  // namespace lichen::sched

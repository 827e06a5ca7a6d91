#include "lichen/sched/clutch.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace lichen::sched {

namespace {

constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

void take(std::uint64_t& from, std::uint64_t amount) { from -= std::min(from, amount); }

}  // namespace

Clutch::Clutch(const ScheduleParameters& parameters) noexcept
    : parameters_{&parameters}, warp_{parameters.warp_ns} {}

void Clutch::add(unsigned bucket, std::uint64_t now) noexcept {
  if (waits(bucket)) return;
  waiting_ |= bit(bucket);
  // One that was served until now keeps the deadline which it got for that.
  if (bucket != running_) deadline_[bucket] = now + parameters_->latency_ns[bucket];
}

// By deadline: it has had its turn.
void Clutch::serve(unsigned bucket, std::uint64_t now) noexcept {
  deadline_[bucket] = now + parameters_->latency_ns[bucket];
  warp_[bucket] = parameters_->warp_ns[bucket];
}

unsigned Clutch::select(std::uint64_t now) noexcept {
  if (window_ != none) {
    if (waits(window_) && window_left_ > 0) {
      right_ = Right::window;
      return running_ = window_;
    }
    window_ = none;
  }
  const auto highest = static_cast<unsigned>(std::countr_zero(waiting_));
  unsigned earliest = highest;
  for (std::uint32_t rest = waiting_ & (waiting_ - 1); rest != 0; rest &= rest - 1) {
    const auto bucket = static_cast<unsigned>(std::countr_zero(rest));
    if (deadline_[bucket] < deadline_[earliest]) earliest = bucket;
  }
  if (earliest == highest) {
    serve(highest, now);
    right_ = Right::deadline;
    return running_ = static_cast<std::uint8_t>(highest);
  }
  for (std::uint32_t rest = waiting_ & (bit(earliest) - 1); rest != 0; rest &= rest - 1) {
    const auto bucket = static_cast<unsigned>(std::countr_zero(rest));
    if (warp_[bucket] == 0) continue;
    right_ = Right::warp;
    return running_ = static_cast<std::uint8_t>(bucket);
  }
  serve(earliest, now);
  window_left_ = parameters_->window_ns[earliest];
  window_ = static_cast<std::uint8_t>(earliest);
  right_ = Right::window;
  return running_ = window_;
}

void Clutch::run_besides(unsigned bucket, std::uint64_t now) noexcept {
  if (!waits(bucket)) deadline_[bucket] = now + parameters_->latency_ns[bucket];
  running_ = static_cast<std::uint8_t>(bucket);
  right_ = Right::other;
}

std::uint64_t Clutch::earliest_deadline(std::uint32_t buckets) const noexcept {
  std::uint64_t earliest = never;
  for (std::uint32_t rest = waiting_ & buckets; rest != 0; rest &= rest - 1)
    earliest = std::min(earliest, deadline_[static_cast<unsigned>(std::countr_zero(rest))]);
  return earliest;
}

void Clutch::charge(std::uint64_t ran_ns, std::uint64_t now) noexcept {
  if (running_ == none) return;
  switch (right_) {
    case Right::deadline: {
      // Its deadline moves on with the time until another's is earlier. From there on it warps.
      const std::uint64_t latency = parameters_->latency_ns[running_];
      deadline_[running_] = now + latency;
      const std::uint64_t others = earliest_deadline(less_urgent(running_));
      if (others >= now + latency) break;
      const std::uint64_t warps_since = others - std::min(others, latency);
      take(warp_[running_], std::min(ran_ns, now - warps_since));
      right_ = Right::warp;
      break;
    }
    case Right::warp: take(warp_[running_], ran_ns); break;
    case Right::window: take(window_left_, ran_ns); break;
    case Right::other: break;
  }
}

std::uint64_t Clutch::next_change(std::uint64_t since) const noexcept {
  if (running_ == none || (waiting_ & ~bit(running_)) == 0) return never;
  switch (right_) {
    case Right::deadline: {
      // Its deadline passes theirs; it may then warp before the less urgent.
      const std::uint64_t latency = parameters_->latency_ns[running_];
      const auto passes = [&](std::uint64_t deadline, std::uint64_t warp) {
        return deadline == never ? never
                                 : std::max(since, deadline - std::min(deadline, latency)) + warp;
      };
      return std::min(passes(earliest_deadline(less_urgent(running_)), warp_[running_]),
                      passes(earliest_deadline(bit(running_) - 1), 0));
    }
    case Right::warp: return since + warp_[running_];
    case Right::window: return since + window_left_;
    case Right::other: return since;
  }
  return never;
}

bool Clutch::goes_before_running(unsigned bucket) const noexcept {
  if (running_ == none) return true;
  if (bucket >= running_ || right_ == Right::window || right_ == Right::other) return false;
  Clutch trial = *this;
  trial.waiting_ |= bit(running_);
  return trial.select(0) == bucket;
}

}  // namespace lichen::sched

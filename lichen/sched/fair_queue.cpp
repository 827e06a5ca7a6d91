#include "lichen/sched/fair_queue.hpp"

#include <algorithm>
#include <utility>

namespace lichen::sched {

void FairQueue::set_weight(Claim& claim, std::uint32_t weight) noexcept {
  claim.weight = weight;
  claim.inverse = (std::uint64_t{1} << 32) / weight;
}

void FairQueue::begin_request(Claim& claim) const noexcept {
  claim.eligible = claim.runtime;
  claim.deadline = claim.runtime + ticks_of(claim, parameters_->slice_ns);
}

// Brings the virtual time to the mean.
void FairQueue::advance() noexcept {
  if (weight_ == 0) return;
  const auto weight = static_cast<std::int64_t>(weight_);
  std::int64_t mean = moment_ / weight;
  if (moment_ % weight < 0) --mean;
  base_ = base_ + mean;
  moment_ -= mean * weight;
  if (time_ < base_) time_ = base_;
}

void FairQueue::admit_begun() noexcept {
  for (Claim* claim = early_.top(); claim && claim->eligible <= time_; claim = early_.top()) {
    early_.pop();
    claim->begun = true;
    begun_.push(*claim);
  }
}

void FairQueue::join(Claim& claim) noexcept {
  advance();
  if (claim.last != this || claim.runtime < time_) claim.runtime = time_;
  const std::int64_t most = ticks_of(claim, parameters_->debt_limit_ns);
  if (claim.runtime - time_ > most) claim.runtime = time_ + most;
  begin_request(claim);
  if (weight_ == 0) base_ = time_;
  moment_ += static_cast<std::int64_t>(claim.weight) * (claim.runtime - base_);
  weight_ += claim.weight;
  claim.queue = claim.last = this;
  used_ = true;
}

void FairQueue::change_weight(Claim& claim, std::uint32_t weight) noexcept {
  if (claim.weight == weight) return;
  advance();
  const auto before = static_cast<std::int64_t>(claim.weight);
  const auto after = static_cast<std::int64_t>(weight);
  const auto scaled = [&](VirtualTime time) {
    const std::int64_t service = (time - base_) * before;
    return base_ + (service + (service < 0 ? -after : after) / 2) / after;
  };
  moment_ -= before * (claim.runtime - base_);
  claim.runtime = scaled(claim.runtime);
  claim.eligible = scaled(claim.eligible);
  claim.deadline = scaled(claim.deadline);
  moment_ += after * (claim.runtime - base_);
  weight_ += weight;
  weight_ -= claim.weight;
  set_weight(claim, weight);
}

void FairQueue::leave(Claim& claim) noexcept {
  // The mean of those who are left while others still go would forgive the last what it is ahead.
  if (std::exchange(used_, false)) advance();
  moment_ -= static_cast<std::int64_t>(claim.weight) * (claim.runtime - base_);
  weight_ -= claim.weight;
  claim.queue = nullptr;
}

void FairQueue::push(Claim& claim) noexcept {
  ++waiting_;
  claim.begun = claim.eligible <= time_;
  if (claim.begun)
    begun_.push(claim);
  else
    early_.push(claim);
}

void FairQueue::erase(Claim& claim) noexcept {
  --waiting_;
  if (claim.begun)
    begun_.erase(claim);
  else
    early_.erase(claim);
}

Claim* FairQueue::pop() noexcept {
  if (waiting_ > 1) {
    advance();
    admit_begun();
  } else if (waiting_ == 0) {
    return nullptr;
  }
  --waiting_;
  used_ = true;
  // Somebody who competes is not ahead of the mean, and all who compete wait.
  Claim* claim = begun_.pop();
  return claim ? claim : early_.pop();
}

void FairQueue::charge(Claim& claim, std::uint64_t ran_ns) noexcept {
  const std::int64_t ticks = ticks_of(claim, ran_ns);
  const auto weight = static_cast<std::int64_t>(claim.weight);
  claim.runtime = claim.runtime + ticks;
  moment_ += weight * ticks;
  used_ = true;
  const std::int64_t most = ticks_of(claim, parameters_->debt_limit_ns);
  if (claim.runtime - time_ > most) [[unlikely]] {
    advance();
    if (const std::int64_t excess = claim.runtime - time_ - most; excess > 0) {
      claim.runtime = claim.runtime + -excess;
      moment_ -= weight * excess;
    }
  }
  if (claim.deadline <= claim.runtime) begin_request(claim);
}

bool FairQueue::yields(const Claim& claim, std::uint64_t ran_ns) noexcept {
  if (waiting_ == 0) return false;
  const std::int64_t ticks = ticks_of(claim, ran_ns);
  const VirtualTime runtime = claim.runtime + ticks;
  if (runtime < claim.deadline) return false;
  // The time was used, whoever charges it; so those whose turn it brings may begin.
  const std::int64_t used = static_cast<std::int64_t>(claim.weight) * ticks;
  moment_ += used;
  advance();
  moment_ -= used;
  admit_begun();
  if (time_ < runtime) return true;
  const Claim* first = begun_.top();
  return first && first->deadline < runtime + ticks_of(claim, parameters_->slice_ns);
}

std::uint64_t FairQueue::request_left(const Claim& claim) const noexcept {
  const std::int64_t ticks = claim.deadline - claim.runtime;
  if (ticks <= 0) return 0;
  return (static_cast<std::uint64_t>(ticks) * claim.weight >> 10) + 1;
}

std::int64_t FairQueue::lag_ns(const Claim& claim) const noexcept {
  if (weight_ == 0) return 0;
  const std::int64_t mean = moment_ / static_cast<std::int64_t>(weight_);
  return (base_ + mean - claim.runtime) * static_cast<std::int64_t>(claim.weight) / 1024;
}

}  // namespace lichen::sched

// FrameBalance: what frames may have of a core that the host gives us only a part of.
//
// Budgets are of the core's own time, periods pass whatever the host does. So on a core that is
// taken away most of the time, what was admitted as a part of it may come to all that is left, and
// nothing else would ever run. Here the time that the core really has is divided: while fair work
// waits, frames have at most the part that admission allows, over intervals of twice all budgets
// and a few milliseconds. Where the host takes nothing they never come to that: within t they run
// for the admitted part of t and two budgets of each at most.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace lichen::sched {

class FrameBalance {
 public:
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

  // `permille`: of the core, for frames.
  explicit FrameBalance(std::uint32_t permille) noexcept
      : fair_part_{1'000 - permille}, frame_part_{permille} {}

  // Frames give way to fair work that waits.
  [[nodiscard]] bool holds() const noexcept { return holds_; }

  // Frames ran while fair work waited; `budgets_ns`: of all reservations.
  void frames_ran(std::uint64_t ns, std::uint64_t budgets_ns) noexcept {
    ahead_ += ns * fair_part_;
    const std::uint64_t limit = most(budgets_ns), turn = turn_ns * frame_part_;
    if (ahead_ < limit) return;
    ahead_ = std::min(ahead_, limit + turn);
    release_at_ = limit - turn;
    holds_ = true;
  }
  void fair_ran(std::uint64_t ns) noexcept {
    ahead_ -= std::min(ahead_, ns * frame_part_);
    if (ahead_ <= release_at_) holds_ = false;
  }
  void no_fair_work() noexcept {
    ahead_ = 0;
    holds_ = false;
  }

  // Whether it would hold if frames ran for so long, or no longer if fair work did.
  [[nodiscard]] bool would_hold(std::uint64_t ns, std::uint64_t budgets_ns) const noexcept {
    return holds_ || ahead_ + ns * fair_part_ >= most(budgets_ns);
  }
  [[nodiscard]] bool would_hold_still(std::uint64_t ns) const noexcept {
    return holds_ && ahead_ - std::min(ahead_, ns * frame_part_) > release_at_;
  }
  // For how long until either.
  [[nodiscard]] std::uint64_t until_it_holds(std::uint64_t budgets_ns) const noexcept {
    if (holds_) return 0;
    if (fair_part_ == 0) return never;
    const std::uint64_t left = most(budgets_ns) - std::min(ahead_, most(budgets_ns));
    return (left + fair_part_ - 1) / fair_part_;
  }
  [[nodiscard]] std::uint64_t until_it_ends() const noexcept {
    if (!holds_) return 0;
    return (ahead_ - release_at_ + frame_part_ - 1) / frame_part_;
  }

 private:
  // What fair work has at a time when frames give way, and what its turns and batches may take from
  // frames without that they fall behind.
  static constexpr std::uint64_t turn_ns = 1'000'000;
  static constexpr std::uint64_t slack_ns = 5'000'000;

  [[nodiscard]] static std::uint64_t most(std::uint64_t budgets_ns) noexcept {
    return (2 * budgets_ns + slack_ns) * 1'000;
  }

  std::uint64_t fair_part_, frame_part_;
  // Thousandths of what frames have had beyond their part, in nanoseconds.
  std::uint64_t ahead_ = 0;
  std::uint64_t release_at_ = 0;
  bool holds_ = false;
};

}  // namespace lichen::sched

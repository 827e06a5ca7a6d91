// Clutch: which root bucket runs, so that urgent ones run at once and none starves. After the
// bucket level of Apple's Clutch scheduler (xnu, doc/scheduler/sched_clutch_edge.md).
//
// A bucket's deadline is its latency behind the time at which it became runnable or was last served
// by deadline. The bucket with the earliest deadline is next, but more urgent ones go before it
// until they have used up their warp; then it has a window in which it goes before everybody.
#pragma once

#include <array>
#include <cstdint>

#include "lichen/sched/parameters.hpp"

namespace lichen::sched {

// A plain value: a copy answers what would be.
class Clutch {
 public:
  static constexpr unsigned none = bucket_count;

  explicit Clutch(const ScheduleParameters& parameters) noexcept;

  // The bucket has, or has no longer, somebody who waits for the core.
  void add(unsigned bucket, std::uint64_t now) noexcept;
  void remove(unsigned bucket) noexcept { waiting_ &= ~bit(bucket); }
  [[nodiscard]] bool empty() const noexcept { return waiting_ == 0; }
  [[nodiscard]] bool waits(unsigned bucket) const noexcept { return waiting_ & bit(bucket); }

  // The bucket that is next among those that wait, one of which there MUST be. It is the one that
  // runs until the next select() or rest().
  unsigned select(std::uint64_t now) noexcept;
  // `bucket` runs although it was not selected: it has the core by another right. If nobody waits
  // there it becomes runnable by that, so this MUST precede the remove() for the one who runs.
  void run_besides(unsigned bucket, std::uint64_t now) noexcept;
  // The bucket that ran is charged. MUST be called before remove(), add() or select() when time was
  // used.
  void charge(std::uint64_t ran_ns, std::uint64_t now) noexcept;
  // Nothing fair runs. The bucket that ran is forgotten by add() if `ready`, and is idle otherwise.
  void rest() noexcept { running_ = none; }
  [[nodiscard]] unsigned running() const noexcept { return running_; }

  // The time at which, others waiting, the running bucket will have used up what it may; `since`
  // is when it was last selected or charged. The far future if it need not give way.
  [[nodiscard]] std::uint64_t next_change(std::uint64_t since) const noexcept;
  // Whether `bucket`, which waits now, goes before the running one at once.
  [[nodiscard]] bool goes_before_running(unsigned bucket) const noexcept;

  [[nodiscard]] std::uint64_t deadline(unsigned bucket) const noexcept { return deadline_[bucket]; }
  [[nodiscard]] std::uint64_t warp_left(unsigned bucket) const noexcept { return warp_[bucket]; }
  [[nodiscard]] bool in_window() const noexcept { return window_ != none; }

 private:
  // By what right the running bucket runs.
  enum class Right : std::uint8_t { deadline, warp, window, other };

  static constexpr std::uint32_t bit(unsigned bucket) noexcept { return 1U << bucket; }
  static constexpr std::uint32_t less_urgent(unsigned bucket) noexcept {
    return ~(2 * bit(bucket) - 1);
  }
  [[nodiscard]] std::uint64_t earliest_deadline(std::uint32_t buckets) const noexcept;
  void serve(unsigned bucket, std::uint64_t now) noexcept;

  const ScheduleParameters* parameters_;
  std::array<std::uint64_t, bucket_count> deadline_{};
  std::array<std::uint64_t, bucket_count> warp_;
  std::uint64_t window_left_ = 0;
  std::uint32_t waiting_ = 0;  // a bit for each bucket
  std::uint8_t window_ = none;
  std::uint8_t running_ = none;
  Right right_ = Right::other;
};

}  // namespace lichen::sched

// Group: an app as the scheduler sees it. What it may have of the machine, and what it has had.
//
// A group lives in a slot of the registry (registry.hpp) that is reused but never freed while the
// registry lives. So a core that still charges the last task of a group which has just ended
// touches a record that exists, and nobody needs to wait for the cores.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/lane.hpp"
#include "lichen/sched/parameters.hpp"
#include "lichen/sched/qos.hpp"

namespace lichen::sched {

using coro::LaneId;
class Registry;

inline constexpr std::uint32_t max_groups = 4'096;
static_assert(max_groups * qos_count < coro::reservation_lane_bit);

struct GroupOptions {
  std::string_view name = {};  // the first 31 bytes are kept
  // Its part beside the other groups of its bucket: 1 to max_weight.
  std::uint32_t weight = 100;
  bool foreground = false;
  // Of one core, over all cores, also under full foreground load. 0: none.
  std::uint32_t guarantee_permille = 0;
  // Of one core, over all cores, in each limit period. May pass 1000. 0: none.
  std::uint32_t limit_permille = 0;

  static constexpr std::uint32_t max_weight = 10'000;
  static constexpr std::uint32_t max_limit_permille = 64'000;
};

// Sums over all cores since the group began.
struct GroupStatistics {
  std::uint64_t run_ns[qos_count] = {};  // fair time by class, overruns of frames included
  std::uint64_t frame_ns = 0;            // within the budgets of its reservations
  std::uint64_t picks = 0;               // of fair lanes
  std::uint64_t overruns = 0;            // budgets of reservations that were used up
  std::uint64_t throttlings = 0;         // times it met its limit, counted on each core
  std::uint64_t boosts = 0;              // see Lane::count_boost

  [[nodiscard]] std::uint64_t fair_ns() const noexcept {
    return run_ns[0] + run_ns[1] + run_ns[2] + run_ns[3];
  }
};

class Group {
 public:
  Group() noexcept = default;  // the registry's; use create()
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Drops the owner's use of the group.
  struct Release {
    void operator()(Group* group) const noexcept { group->release(); }
  };
  using Handle = std::unique_ptr<Group, Release>;

  // On any thread. limit_reached: max_groups exist, or the guarantees of all groups would pass
  // guarantee_total_permille. invalid_argument: an option outside its domain, or a guarantee above
  // the limit. no_memory. The group's tasks MUST have ended when its handle goes, or each of them
  // MUST hold a use of its own: ids are given away again once the last use is gone.
  static Result<Handle> create(Registry& registry, const GroupOptions& options) noexcept;

  // Uses keep the group and its lane ids. On any thread.
  void retain() noexcept { uses_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  // Where the group's work of a class goes. MUST be a live group.
  [[nodiscard]] LaneId lane(Qos qos) const noexcept {
    return static_cast<LaneId>(1 + index_ * qos_count + static_cast<unsigned>(qos));
  }
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  [[nodiscard]] std::string_view name() const noexcept { return {name_, name_size_}; }

  // Moves the group, not its tasks: takes effect at the next pick on every core, each of which
  // moves at most four entries. On any thread, O(1) in tasks and groups (it tells every core). A
  // core in the middle of a task learns of it there; whoever wants it sooner interrupts the cores.
  void set_foreground(bool foreground) noexcept;
  void set_weight(std::uint32_t weight) noexcept;  // clamped to 1..max_weight
  [[nodiscard]] bool foreground() const noexcept {
    return foreground_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t weight() const noexcept {
    return weight_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t guarantee_permille() const noexcept {
    return guarantee_permille_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t limit_permille() const noexcept {
    return limit_permille_.load(std::memory_order_relaxed);
  }

  // On any thread; a core is late by at most a millisecond of one lone lane.
  [[nodiscard]] GroupStatistics statistics() const noexcept;

  // --- for schedules -----------------------------------------------------------------------------

  // Odd while the group lives; another number for each group that lives in this slot.
  [[nodiscard]] std::uint32_t generation() const noexcept {
    return generation_.load(std::memory_order_acquire);
  }

  // The guarantee as a rate: the group has been given its part up to this time. It runs ahead of
  // the clock while the group gets more than that.
  [[nodiscard]] std::uint64_t served_until() const noexcept {
    return served_until_.load(std::memory_order_relaxed);
  }
  // Some core has work of the group, or no longer. What it was owed before it had any is forgotten.
  void guarantee_begin(std::uint64_t now) noexcept;
  void guarantee_end() noexcept;
  // Cores that have work of it, or have had it a moment ago.
  [[nodiscard]] std::uint32_t claimed_cores() const noexcept {
    return std::max(1U, active_cores_.load(std::memory_order_relaxed));
  }
  // `window_ns`: what it is owed for longer ago is forgotten.
  void guarantee_charge(std::uint64_t ran_ns, std::uint64_t now, std::uint64_t window_ns) noexcept;

  // The limit: takes up to `wanted` of what is left in the period of `now`; 0: nothing is left.
  std::uint64_t limit_take(std::uint64_t wanted, std::uint64_t now,
                           const ScheduleParameters& parameters) noexcept;
  // Gives back what was taken at `taken_at` and not used; without effect when that period is over.
  void limit_return(std::uint64_t unused, std::uint64_t taken_at,
                    const ScheduleParameters& parameters) noexcept;
  // What was run without having been taken: it is missing in this and the next periods.
  void limit_overdraw(std::uint64_t ran_ns, std::uint64_t now,
                      const ScheduleParameters& parameters) noexcept;
  // The start of the first period after that of `now` in which something is left.
  [[nodiscard]] std::uint64_t limit_returns_at(std::uint64_t now,
                                               const ScheduleParameters& parameters) const noexcept;

  // Reservations of a limited group are part of its limit. In millionths of a core.
  [[nodiscard]] bool reserve(std::uint32_t ppm) noexcept;
  void unreserve(std::uint32_t ppm) noexcept {
    reserved_ppm_.fetch_sub(ppm, std::memory_order_relaxed);
  }
  // Counts what ran in a reservation, whose record does not outlive it.
  void count_frame(std::uint64_t ran_ns, bool overrun) noexcept;

 private:
  friend class Registry;

  static constexpr std::uint32_t name_limit = 31;

  [[nodiscard]] std::uint64_t limit_budget(const ScheduleParameters& parameters) const noexcept;
  // What is used in the period of `now`, with what earlier ones overdrew.
  [[nodiscard]] std::uint64_t limit_used(std::uint64_t state, std::uint64_t now,
                                         const ScheduleParameters& parameters) const noexcept;

  Registry* registry_ = nullptr;
  std::uint32_t index_ = 0;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<std::uint32_t> uses_{0};
  std::atomic<bool> taken_{false};  // the slot, also while its owner sets it up or clears it
  std::atomic<std::uint32_t> weight_{100};
  std::atomic<std::uint32_t> guarantee_permille_{0};
  std::atomic<std::uint32_t> limit_permille_{0};
  std::atomic<std::uint32_t> reserved_ppm_{0};
  std::atomic<bool> foreground_{false};
  std::uint8_t name_size_ = 0;
  char name_[name_limit] = {};

  alignas(64) std::atomic<std::uint64_t> served_until_{0};
  std::atomic<std::uint32_t> active_cores_{0};
  std::atomic<std::uint64_t> limit_used_{0};  // the period's number and what is used of it

  std::atomic<std::uint64_t> frame_ns_{0};
  std::atomic<std::uint64_t> frame_overruns_{0};
};

}  // namespace lichen::sched

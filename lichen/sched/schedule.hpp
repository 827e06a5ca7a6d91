// Schedule: which lane a core runs next. Policy only: it has no clock, time comes as an argument
// (steps back by less than a batch do no harm), and nothing in it but lane() allocates, takes a
// lock or waits. docs/scheduling.md explains it.
//
// The order, top down: the event lane; frame lanes by deadline (reservation.hpp); lanes of groups
// that are owed guaranteed time; the root buckets (clutch.hpp); in a bucket the groups
// (fair_queue.hpp); a group's lane and its exhausted frame lanes in turn.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>

#include "lichen/base/heap.hpp"
#include "lichen/base/list.hpp"
#include "lichen/sched/clutch.hpp"
#include "lichen/sched/fair_queue.hpp"
#include "lichen/sched/frame_balance.hpp"
#include "lichen/sched/lane.hpp"
#include "lichen/sched/registry.hpp"
#include "lichen/sched/reservation.hpp"

namespace lichen::sched {

struct LocalGroup;

// A group's claim in one QoS class on one core.
struct Share : Claim {
  LocalGroup* local = nullptr;
  Progress elsewhere;  // what it has left behind in the foreground, or in the background
  base::List<Lane, &Lane::member> lanes;  // those that are ready
  bool runs = false;                      // the running lane is one of it, by a fair right
  LaneCounter run_ns;                     // of all its lanes, as fair time
  Lane lane;                              // the group's own, of kind fair
};

// A group on one core.
struct LocalGroup {
  Group* group = nullptr;
  std::atomic<std::uint32_t> generation{0};  // whose the rest is
  std::uint32_t guarantee_permille = 0;
  bool foreground = false;
  bool limited = false;
  bool throttled = false;
  std::uint32_t active = 0;      // shares that compete
  std::uint32_t ready = 0;       // fair lanes in the order
  std::uint64_t owed_at = 0;     // while linked: when it will be owed a slice, or later
  std::uint64_t returns_at = 0;  // while throttled
  std::uint64_t chunk_left = 0;  // of what was taken from the limit for the running lane
  std::uint64_t chunk_taken_at = 0;
  base::ListNode claim;     // among those with a guarantee that compete here
  base::HeapNode owed;      // among the groups with a guarantee and ready lanes
  base::HeapNode comeback;  // among the throttled
  LaneCounter throttlings;
  std::array<Share, qos_count> shares;
};

[[nodiscard]] inline unsigned bucket_of(const Share& share) noexcept {
  return bucket_of(share.local->foreground, share.lane.qos);
}

// What a core's run time went to. Read on any thread.
struct ScheduleStatistics {
  std::uint64_t run_ns[band_count] = {};
  std::uint64_t picks = 0;
  std::uint64_t overruns = 0;
  std::uint64_t throttlings = 0;
  std::uint64_t guaranteed_picks = 0;  // lanes that went first because their group was owed
  std::uint64_t windows = 0;           // starved buckets that got their window
  std::uint64_t lanes_missing = 0;  // lookups answered with the default group's for want of memory
};

// Belongs to one core; what is not said to be for any thread is for that core.
class Schedule {
 public:
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

  // The core MUST NOT have a schedule yet. `capacity`: of full_capacity.
  Schedule(Registry& registry, std::uint32_t core, std::uint32_t capacity = full_capacity) noexcept;
  // Nothing may be in the order any more. MUST NOT race with lookups of other threads.
  ~Schedule();
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  // This core's record of a lane, made on first use. A reservation of another core gives its
  // group's lane of class user_interactive. An id that nobody has, or want of memory (both
  // counted), gives the default group's lane of the same class (user_initiated where the id has
  // none).
  Lane& lane(LaneId id) noexcept;
  [[nodiscard]] Lane& event_lane() noexcept { return event_; }

  // The lane, which is idle, has work now. A frame lane holds a use of its reservation until it is
  // idle again.
  void insert(Lane& lane, std::uint64_t now) noexcept;
  // The lane, which is ready or throttled, has no work any more: it was taken elsewhere.
  void remove(Lane& lane, std::uint64_t now) noexcept;
  // Takes the most urgent lane out of the order: it is the one that runs now. None MUST be running.
  // Null when the order is empty.
  Lane* pick(std::uint64_t now) noexcept {
    if (lone_) [[likely]] {
      Lane* lane = lone_;
      lone_ = nullptr;
      lane->state = LaneState::running;
      return lane;
    }
    return pick_in_order(now);
  }
  // The running lane stops. Charges what it ran since it was picked or charged, and puts it back if
  // it still has work.
  void put_back(Lane& running, std::uint64_t ran_ns, std::uint64_t now, bool still_ready) noexcept {
    if (alone_ && still_ready) [[likely]] {
      alone_ns_ += ran_ns;
      if (alone_ns_ < settle_after_ns) [[likely]] {
        running.state = LaneState::ready;
        lone_ = &running;
        return;
      }
      ran_ns = 0;
    }
    put_in_order(running, ran_ns, now, still_ready);
  }
  // The same charge, but the lane goes on running.
  void charge(Lane& running, std::uint64_t ran_ns, std::uint64_t now) noexcept;

  // The host had the core for so long while the lane had its turn, which is not charged to it. No
  // guarantee earns anything by that time: each is a part of what the host leaves.
  void host_took(const Lane& running, std::uint64_t ns, std::uint64_t now) noexcept;

  // Whether something else would run if the running lane were put back now; `since` is when it was
  // picked or last charged. Also true when it may not go on although nothing else is ready (its
  // group has met its limit). If it is false the lane goes on and has been charged until now: what
  // the next call is told of that time is not charged again.
  [[nodiscard]] bool overtaken(const Lane& running, std::uint64_t since,
                               std::uint64_t now) noexcept;
  // Whether `candidate`, which was just inserted, must interrupt `running` at once: it is of a more
  // urgent band and is not held back there. Lanes of one bucket do not interrupt each other.
  [[nodiscard]] bool more_urgent(const Lane& candidate, const Lane& running) const noexcept;
  // When overtaken() may become true by time alone, for a timer; `never` if it cannot. Later than
  // `now` if overtaken() has just been false.
  [[nodiscard]] std::uint64_t next_decision(const Lane& running, std::uint64_t since,
                                            std::uint64_t now) noexcept;
  // When a throttled lane or an exhausted server comes back, for a core with nothing to run.
  [[nodiscard]] std::uint64_t next_event(std::uint64_t now) noexcept;

  // Lanes in the order, throttled ones not counted.
  [[nodiscard]] std::size_t ready() const noexcept { return ready_ + (lone_ ? 1 : 0); }
  [[nodiscard]] bool empty() const noexcept { return ready() == 0; }
  // A frame lane waits that goes before all fair work.
  [[nodiscard]] bool frames_wait() const noexcept {
    return !frames_.empty() && !frame_balance_.holds();
  }
  // The lane that runs, or the only one in the order, had no company: it is charged later, and no
  // group change is looked at.
  [[nodiscard]] bool alone() const noexcept { return alone_; }
  // What the running lane ran before is charged, also by overtaken().
  [[nodiscard]] std::uint64_t paid_until() const noexcept { return paid_until_; }

  [[nodiscard]] std::uint32_t core() const noexcept { return core_; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return admission_.capacity(); }
  [[nodiscard]] Registry& registry() const noexcept { return registry_; }
  // For tests and inspection. Time that a lone lane ran is not in it yet.
  [[nodiscard]] const Clutch& clutch() const noexcept { return clutch_; }
  // On any thread.
  [[nodiscard]] Admission& admission() noexcept { return admission_; }
  [[nodiscard]] const Admission& admission() const noexcept { return admission_; }
  [[nodiscard]] ScheduleStatistics statistics() const noexcept;
  // On any thread: this core's record of the group, null if it never had work here. Its counters
  // belong to the group if the generations agree.
  [[nodiscard]] const LocalGroup* local(std::uint32_t group_index) const noexcept;
  // On any thread: the group's weight or place has changed.
  void group_changed(std::uint32_t index) noexcept;

  // What the running lane's group is behind its share of the bucket, for tests and inspection.
  [[nodiscard]] std::int64_t lag_ns(const Lane& lane) const noexcept;

 private:
  // By what right the running lane runs.
  enum class Right : std::uint8_t { none, event, frame, guarantee, bucket };

  // A lone lane's time is charged when it comes to so much, or when it is no longer alone.
  static constexpr std::uint64_t settle_after_ns = 1'000'000;
  static constexpr std::uint32_t group_chunk = 64;
  using LocalChunk = std::array<std::atomic<LocalGroup*>, group_chunk>;

  Lane* pick_in_order(std::uint64_t now) noexcept;
  Lane* first_frame(std::uint64_t now) noexcept;
  Lane* pick_frame(std::uint64_t now) noexcept;
  Lane* pick_fair(std::uint64_t now) noexcept;
  Lane* begin(Lane& lane, Right right) noexcept;
  void put_in_order(Lane& running, std::uint64_t ran_ns, std::uint64_t now,
                    bool still_ready) noexcept;
  void rest(Share& share, std::uint64_t now) noexcept;
  void settle(std::uint64_t now) noexcept;
  void catch_up(std::uint64_t now) noexcept;

  Lane& fallback(LaneId id) noexcept;
  void set_up(LocalGroup& local, Group& group) noexcept;
  static void drain(LocalGroup& local) noexcept;
  static void end_use(Lane& lane) noexcept;
  LocalGroup* local_for(std::uint32_t index) noexcept;
  void refresh(LocalGroup& local, std::uint64_t now) noexcept;
  void pay_where_it_ran(const LocalGroup& local, std::uint64_t now) noexcept;
  static void reweigh(LocalGroup& local, std::uint32_t weight) noexcept;
  void take_changes(std::uint64_t now) noexcept;
  void bring_back(std::uint64_t now) noexcept;
  void update_comeback() noexcept;

  void link(Lane& lane, std::uint64_t now) noexcept;
  void link_fair(Lane& lane, std::uint64_t now) noexcept;
  void unlink(Lane& lane) noexcept;
  void count_ready(LocalGroup& local, std::uint32_t lanes) noexcept;
  void count_gone(LocalGroup& local, std::uint32_t lanes) noexcept;
  void queue(Share& share, std::uint64_t now) noexcept;
  void unqueue(Share& share) noexcept;
  void join(Share& share, std::uint64_t now) noexcept;
  void leave(Share& share) noexcept;

  bool take_chunk(LocalGroup& local, std::uint64_t now) noexcept;
  void return_chunk(LocalGroup& local) noexcept;
  void throttle(LocalGroup& local, std::uint64_t now) noexcept;
  void pay_guarantee(const LocalGroup& local, std::uint64_t ns, std::uint64_t now) noexcept;
  LocalGroup* owed(std::uint64_t now) noexcept;
  [[nodiscard]] std::uint64_t owed_at(const LocalGroup& local) const noexcept;
  [[nodiscard]] std::uint64_t owed_ns(const LocalGroup& local, std::uint64_t now) const noexcept;
  [[nodiscard]] std::uint64_t guarantee_window(const LocalGroup& local) const noexcept;

  void account(Lane& lane, std::uint64_t ran_ns, std::uint64_t now, bool goes_on) noexcept;
  [[nodiscard]] std::uint64_t unpaid(std::uint64_t ran_ns, std::uint64_t now) const noexcept;
  bool would_switch(const Lane& running, std::uint64_t ran, std::uint64_t now) noexcept;
  void fall(Lane& running, std::uint64_t now) noexcept;
  void account_fair(Lane& lane, std::uint64_t ran_ns, std::uint64_t now) noexcept;

  // What the fastest path touches.
  Lane* lone_ = nullptr;  // the only ready lane, not linked anywhere
  bool alone_ = false;    // the running lane is the only one with work, and is of a plain group
  Right right_ = Right::none;
  std::uint64_t alone_ns_ = 0;
  std::size_t ready_ = 0;
  Lane* running_ = nullptr;
  std::uint64_t owed_left_ = 0;     // of the running lane, by right of guarantee
  std::uint64_t comeback_ = never;  // the earliest of those who come back by time
  std::uint64_t last_now_ = 0;
  std::uint64_t paid_until_ = 0;  // what the running lane ran before is charged
  std::uint64_t unpaid_ns_ = 0;   // of the running lane, while changes of groups are taken over

  bool event_ready_ = false;
  Clutch clutch_;
  base::Heap<Lane, &Lane::order, &Lane::frame_deadline> frames_;
  base::Heap<Lane, &Lane::order, &Lane::comeback> exhausted_;
  base::List<LocalGroup, &LocalGroup::claim> claims_;
  base::Heap<LocalGroup, &LocalGroup::owed, &LocalGroup::owed_at> guaranteed_;
  base::Heap<LocalGroup, &LocalGroup::comeback, &LocalGroup::returns_at> throttled_;
  std::array<FairQueue, bucket_count> buckets_;

  Registry& registry_;
  const std::uint32_t core_;
  Admission admission_;
  FrameBalance frame_balance_;
  Lane event_;
  LocalGroup default_local_;
  std::array<std::atomic<LocalChunk*>, max_groups / group_chunk> locals_{};

  std::array<LaneCounter, band_count> band_ns_;
  LaneCounter picks_;
  LaneCounter overruns_;
  LaneCounter throttlings_;
  LaneCounter guaranteed_picks_;
  LaneCounter windows_;
  LaneCounter lanes_missing_;

  // Which groups have changed, for this core to look at: a bit for each, and one for each word.
  alignas(64) std::atomic<std::uint64_t> changed_words_{0};
  std::array<std::atomic<std::uint64_t>, max_groups / 64> changed_{};
};

}  // namespace lichen::sched

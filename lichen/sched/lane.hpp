// Lane: what one core has ready of one group and class, or of one reservation. The unit that the
// schedule orders; inside it the executor takes tasks first in, first out.
#pragma once

#include <atomic>
#include <cstdint>

#include "lichen/base/heap.hpp"
#include "lichen/base/list.hpp"
#include "lichen/coro/lane.hpp"
#include "lichen/sched/qos.hpp"
#include "lichen/sched/utilisation.hpp"

namespace lichen::sched {

using coro::LaneId;
class Group;
class Reservation;
struct Share;

enum class LaneKind : std::uint8_t { event, frame, fair };

//             insert                    pick
//     idle ----------> ready <--------------------------> running
//      ^                 |    put_back, still ready         |
//      |  remove         |                                  |
//      +-----------------+<---------------------------------+  put_back, not ready
//      ^                 |
//      |  remove         v  its group has met the limit; back at the next period
//      +------------ throttled
//
// A frame lane whose budget is used up is `exhausted` besides: it is ready or running in the fair
// class of its group until its next period begins.
enum class LaneState : std::uint8_t { idle, ready, running, throttled };

// Written by the lane's core, read on any thread.
class LaneCounter {
 public:
  [[nodiscard]] std::uint64_t get() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }
  void add(std::uint64_t n) noexcept { value_.store(get() + n, std::memory_order_relaxed); }
  void reset() noexcept { value_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Lane {
  LaneId id = coro::event_lane;
  LaneKind kind = LaneKind::event;
  Qos qos = Qos::user_interactive;
  LaneState state = LaneState::idle;
  Group* group = nullptr;              // null for the event lane
  Reservation* reservation = nullptr;  // of a frame lane
  coro::LaneQueues queues;             // the executor's
  base::ListNode waiting;              // the same: among those with work that are not installed
  Utilisation load;                    // the same: of this core, where the placement wants to know
  // The same: tasks that are set aside wait for the others until run_ns has come to that, after the
  // slice of one of them was over; 0: they do not. Only where several cores share, and not in the
  // event lane.
  std::uint64_t others_until_ns = 0;
  static constexpr std::uint64_t from_now_on = ~std::uint64_t{0};  // for a slice

  LaneCounter run_ns;  // all time that was charged to it
  LaneCounter picks;
  LaneCounter overruns;     // of a frame lane: budgets used up
  LaneCounter throttlings;  // times it was taken out of the order by its group's limit
  LaneCounter boosts;

  // Somebody more urgent waits for a task of this lane, which runs in another one meanwhile. On the
  // lane's core.
  void count_boost() noexcept { boosts.add(1); }

  // --- the schedule's ----------------------------------------------------------------------------
  Share* share = nullptr;  // where it competes when it is fair; null for the event lane
  base::ListNode member;   // among the ready lanes of the share
  base::HeapNode order;    // among frames by deadline; of exhausted ones by their next period
  bool exhausted = false;
  bool in_frames = false;     // linked among the frames, by deadline
  bool in_exhausted = false;  // linked among the exhausted, by their next period

  [[nodiscard]] std::uint64_t frame_deadline() const noexcept;
  [[nodiscard]] std::uint64_t comeback() const noexcept;
};

}  // namespace lichen::sched

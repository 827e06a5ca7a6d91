// Lanes as the queues see them: a lane is what the scheduler orders, and every strand is in one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/coro/runnable.hpp"

namespace lichen::coro {

// 0 is the event lane, the runtime's own work. Then four for each group, one per QoS class: the
// lane of group g and class q is 1 + 4 g + q. Reservations have the ids from 0xC000 on, and alone
// of all have the highest bit set.
using LaneId = std::uint16_t;

inline constexpr LaneId first_reservation_lane = 0xC000;
inline constexpr LaneId reservation_lane_bit = 0x8000;

inline constexpr LaneId event_lane = 0;
// Group 0, "default", class user_initiated: where a strand is that nobody put elsewhere.
inline constexpr LaneId default_lane = 2;

// A lane that a task lends. A frame's lane is that frame's alone: for what goes on beyond the wait,
// or elsewhere, `fair` stands for it, the most urgent class of its group. event_lane: not known
// yet.
struct Lent {
  LaneId lane = default_lane;
  LaneId fair = event_lane;
  std::uint8_t levels = 0;  // of children of children that it has come down
};

// What is ready in one lane on one core. It owns nothing.
struct LaneQueues {
  Runnable* next = nullptr;  // the wake slot
  RunQueue ready;
  RunQueue pinned;
  RunQueue forks;

  [[nodiscard]] bool empty() const noexcept {
    return !next && ready.empty() && forks.empty() && pinned.empty();
  }
  [[nodiscard]] std::size_t size() const noexcept {
    return (next ? 1 : 0) + ready.size() + pinned.size() + forks.size();
  }
};

}  // namespace lichen::coro

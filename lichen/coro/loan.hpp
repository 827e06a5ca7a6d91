// Loan: a more urgent task waits for what another one has, and lends it its lane until then
// (priority inheritance; Sha, Rajkumar and Lehoczky, 1990). What that one waits for inherits it,
// too: who holds the next mutex, who serves the next channel, the children that it joins.
#pragma once

#include "lichen/base/list.hpp"
#include "lichen/coro/lane.hpp"
#include "lichen/coro/strand.hpp"

namespace lichen::coro {

// Belongs to what is waited for, such as a mutex, and is used under its lock.
struct Loan {
  Strand* to = nullptr;  // null: nothing is lent
  LaneId lane = default_lane;
  LaneId base = default_lane;  // the lane of `to` without any loan
  Lent asked;                  // as it was before it came to another core
  bool base_hurried = false;   // `base` was given by hooks::raise()
  bool passed_on = false;      // to whom `to` waits for
  base::ListNode node;         // among all loans
};

namespace hooks {

// Whether work in lane `a` goes before work in lane `b` whatever else there is.
[[nodiscard]] bool more_urgent(LaneId a, LaneId b) noexcept;
// `to` runs on that lane from now on, if it is more urgent than its own, wherever it is: ready,
// preempted, waiting. It MUST live until take_back(). A loan to the same strand may be raised.
void lend(Loan& loan, Strand& to, Lent lent) noexcept;
// Ends the loan, if there is one.
void take_back(Loan& loan) noexcept;
// The strand runs on the fair lane to its end, if that is more urgent than its own: somebody who is
// lent that lane waits until then. False: it is hurried as much already, and so is, or will be,
// what it waits for.
bool raise(Strand& strand, Lent lent) noexcept;
// Of a strand that is hurried: its lane without loans; what it is lent.
[[nodiscard]] LaneId own_lane(const Strand& strand) noexcept;
[[nodiscard]] Lent lent_lane(const Strand& strand) noexcept;
void set_own_lane(Strand& strand, LaneId lane) noexcept;

}  // namespace hooks

// The lane of a strand, but for what it is lent for a while; for the strand itself.
[[nodiscard]] inline LaneId own_lane(const Strand& strand) noexcept {
  return strand.hurried() ? hooks::own_lane(strand) : strand.lane();
}
inline void change_lane(Strand& strand, LaneId lane) noexcept {
  if (!strand.set_lane_unless_hurried(lane)) hooks::set_own_lane(strand, lane);
}

}  // namespace lichen::coro

// Loan: a more urgent task waits for what another one has, and lends it its lane until then
// (priority inheritance; Sha, Rajkumar and Lehoczky, 1990).
#pragma once

#include "lichen/base/list.hpp"
#include "lichen/coro/lane.hpp"

namespace lichen::coro {

struct Strand;

// Belongs to what is waited for, such as a mutex, and is used under its lock.
struct Loan {
  Strand* to = nullptr;  // null: nothing is lent
  LaneId lane = default_lane;
  LaneId base = default_lane;  // the lane of `to` without any loan
  base::ListNode node;         // among all loans
};

namespace hooks {

// Whether work in lane `a` goes before work in lane `b` whatever else there is.
[[nodiscard]] bool more_urgent(LaneId a, LaneId b) noexcept;
// `to` runs on `lane` from now on, if that is more urgent than its own, wherever it is: ready,
// preempted, waiting. It MUST live until take_back(). A loan to the same strand may be raised.
void lend(Loan& loan, Strand& to, LaneId lane) noexcept;
// Ends the loan, if there is one.
void take_back(Loan& loan) noexcept;

}  // namespace hooks
}  // namespace lichen::coro

// Loans: priority inheritance, as coro::hooks want it.
#include "lichen/coro/loan.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::coro::hooks {

bool more_urgent(LaneId a, LaneId b) noexcept {
  auto& machine = sched::Machine::current();
  return machine.band_of(a) < machine.band_of(b);
}

void lend(Loan& loan, Strand& to, LaneId lane) noexcept {
  sched::Machine::current().loans().lend(loan, to, lane);
}

void take_back(Loan& loan) noexcept { sched::Machine::current().loans().take_back(loan); }

}  // namespace lichen::coro::hooks

namespace lichen::sched {

void Loans::lend(coro::Loan& loan, coro::Strand& to, LaneId lane) noexcept {
  coro::SpinGuard guard{lock_};
  const LaneId before = to.lane();
  if (machine_.band_of(lane) >= machine_.band_of(before)) return;
  if (!loan.to) {
    loan.base = before;
    for (const coro::Loan& other : loans_)
      if (other.to == &to) loan.base = other.base;
    loan.to = &to;
    loans_.push_back(loan);
  }
  loan.lane = lane;
  Executor& here = Executor::current();
  here.schedule().lane(before).count_boost();
  if (here.promote({&to, before, lane})) return to.set_lane(lane);
  // It waits, runs or is ready on another core, where a reservation of this one means nothing: it
  // goes first there, until it has done what is waited for.
  if (lane >= first_reservation_lane) loan.lane = coro::event_lane;
  to.set_lane(loan.lane);
  for (unsigned i = 0; i < machine_.cores(); ++i)
    if (Executor& other = machine_.core(i); &other != &here)
      other.ask_to_promote({&to, before, loan.lane});
}

void Loans::take_back(coro::Loan& loan) noexcept {
  coro::SpinGuard guard{lock_};
  if (!loan.to) return;
  coro::Strand& to = *std::exchange(loan.to, nullptr);
  loan.node.unlink();
  LaneId lane = loan.base;
  for (const coro::Loan& other : loans_)
    if (other.to == &to && machine_.band_of(other.lane) < machine_.band_of(lane)) lane = other.lane;
  to.set_lane(lane);
  // It goes on in a lane that is no longer its own.
  if (coro::Core* core = coro::this_core(); core->current() == &to) core->request_preemption();
}

// Takes a strand from the queues of a lane, if it is ready there.
coro::Runnable* Executor::take_out(Lane& lane, const coro::Strand& strand, bool& pinned) noexcept {
  coro::LaneQueues& queues = queues_of(lane);
  coro::Runnable* runnable = queues.ready.remove(strand);
  pinned = false;
  if (!runnable) {
    runnable = queues.pinned.remove(strand);
    pinned = runnable != nullptr;
  }
  if (!runnable) runnable = queues.forks.remove(strand);
  if (!runnable && queues.next && queues.next->strand == &strand)
    runnable = std::exchange(queues.next, nullptr);
  if (runnable && &lane != lane_ && queues.empty()) {
    lane.waiting.unlink();
    schedule_.remove(lane, batch_now_ns_);
  }
  return runnable;
}

bool Executor::promote(const Promotion& promotion) noexcept {
  bool pinned = false;
  coro::Runnable* runnable = take_out(schedule_.lane(promotion.from), *promotion.strand, pinned);
  if (!runnable) return false;
  Lane& lane = schedule_.lane(promotion.to);
  coro::LaneQueues& into = queues_of(lane);
  (pinned ? into.pinned : into.ready).push_front(*runnable);
  has_work_now(lane, batch_now_ns_);
  return true;
}

void Executor::ask_to_promote(const Promotion& promotion) noexcept {
  {
    coro::SpinGuard guard{promotions_lock_};
    if (promotion_count_ == promotions_.size()) return;  // its urgency comes with its next wake
    promotions_[promotion_count_++] = promotion;
    promotions_waiting_.store(true, std::memory_order_relaxed);
  }
  if (!notify()) interrupt();
}

void Executor::take_promotions() noexcept {
  std::array<Promotion, most_promotions> taken;
  std::size_t count = 0;
  {
    coro::SpinGuard guard{promotions_lock_};
    count = std::exchange(promotion_count_, 0);
    taken = promotions_;
    promotions_waiting_.store(false, std::memory_order_relaxed);
  }
  // A strand may have ended since. At most another one of its old lane, in the same place, runs
  // earlier than it would.
  for (std::size_t i = 0; i < count; ++i) promote(taken[i]);
}

}  // namespace lichen::sched

// Loans: priority inheritance, as coro::hooks want it.
#include <cstdint>

#include "lichen/base/hash.hpp"
#include "lichen/coro/loan.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/machine.hpp"

// All of it is seldom needed, and an image need not be larger for it.
#define RARE [[clang::minsize, gnu::noinline]]

namespace lichen::coro::hooks {

bool more_urgent(LaneId a, LaneId b) noexcept {
  auto& machine = sched::Machine::current();
  return machine.band_of(a) < machine.band_of(b);
}

RARE void lend(Loan& loan, Strand& to, Lent lent) noexcept {
  sched::Machine::current().loans().lend(loan, to, lent);
}

void take_back(Loan& loan) noexcept { sched::Machine::current().loans().take_back(loan); }
RARE bool raise(Strand& strand, Lent lent) noexcept {
  return sched::Machine::current().loans().raise(strand, lent);
}
RARE LaneId own_lane(const Strand& strand) noexcept {
  return sched::Machine::current().loans().own_lane(strand);
}
RARE Lent lent_lane(const Strand& strand) noexcept {
  return sched::Machine::current().loans().lent_lane(strand);
}
RARE void set_own_lane(Strand& strand, LaneId lane) noexcept {
  sched::Machine::current().loans().set_own_lane(strand, lane);
}

}  // namespace lichen::coro::hooks

namespace lichen::sched {

using coro::Lent;
using coro::Loan;
using coro::SpinGuard;
using coro::Strand;

RARE unsigned Loans::band_of(LaneId lane) noexcept { return machine_.band_of(lane); }

// By its place in a granule of memory: that is the same in each run of the simulator, as its
// address is not, which would decide how many steps a look takes.
RARE Loans::List& Loans::loans_to(const Strand& debtor) noexcept {
  const std::uintptr_t place = reinterpret_cast<std::uintptr_t>(&debtor) % hal::granule_size;
  return loans_[base::hash(place) % loans_.size()];
}

RARE void Loans::set_passed_on(Loan& loan, bool passed_on) noexcept {
  loan.passed_on = passed_on;
  loan.node.unlink();
  List& loans = loans_to(*loan.to);
  if (passed_on)
    loans.push_back(loan);
  else
    loans.push_front(loan);
}

RARE void Loans::lend(Loan& loan, Strand& to, Lent lent) noexcept {
  SpinGuard guard{lock_};
  const Loan* other = &loan;
  if (!loan.to) {
    other = nullptr;
    if (to.hurried())
      for (const Loan& each : loans_to(to))
        if (each.to == &to) other = &each;
  }
  const unsigned band = band_of(lent.lane);
  if (band >= band_of(loan.to ? loan.lane : other ? other->base : to.lane())) return;
  // From now on it comes to us when it goes to another lane by itself.
  const bool hurried = to.set_hurried(true);
  const LaneId before = to.lane();
  if (lent.fair == coro::event_lane)
    lent.fair = lent.lane == coro::event_lane
                    ? machine_.registry().default_group().lane(Qos::user_interactive)
                    : machine_.fair_lane(lent.lane);
  if (!loan.to) {
    loan.base = other ? other->base : before;
    loan.base_hurried = other ? other->base_hurried : hurried;
    loan.to = &to;
    loans_to(to).push_back(loan);
  }
  lent.levels = 0;
  loan.asked = lent;
  loan.lane = lent.lane;
  set_passed_on(loan, true);
  if (band >= band_of(before)) {
    // Others lend it more: it counts when they have that back.
    if (loan.lane >= first_reservation_lane) loan.lane = coro::event_lane;
    return;
  }
  Executor& here = Executor::current();
  here.schedule().lane(before).count_boost();
  if (move(to, loan.lane)) return;
  set_passed_on(loan, false);
  here.will_pass_loans_on();
}

RARE bool Loans::move(Strand& strand, LaneId& lane) noexcept {
  const LaneId before = strand.lane();
  Executor& here = Executor::current();
  if (here.schedule().lane(lane).id == lane && here.promote({&strand, before, lane})) {
    strand.set_lane(lane);
    return true;
  }
  // It waits, runs or is ready on another core, where a reservation of this one means nothing: it
  // goes first there, until it has done what is waited for.
  if (lane >= first_reservation_lane) lane = coro::event_lane;
  strand.set_lane(lane);
  for (unsigned i = 0; i < machine_.cores(); ++i)
    if (Executor& other = machine_.core(i); &other != &here)
      other.ask_to_promote({&strand, before, lane});
  return false;
}

RARE void Loans::take_back(Loan& loan) noexcept {
  SpinGuard guard{lock_};
  if (!loan.to) return;
  Strand& to = *std::exchange(loan.to, nullptr);
  loan.node.unlink();
  LaneId lane = loan.base;
  bool hurried = loan.base_hurried;
  for (const Loan& other : loans_to(to)) {
    if (other.to != &to) continue;
    hurried = true;
    if (band_of(other.lane) < band_of(lane)) lane = other.lane;
  }
  to.set_lane(lane);
  to.set_hurried(hurried);
  // It goes on in a lane that is no longer its own.
  if (coro::Core* core = coro::this_core(); core->current() == &to) core->request_preemption();
}

RARE bool Loans::raise(Strand& strand, Lent lent) noexcept {
  SpinGuard guard{lock_};
  const LaneId lane = lent.fair;
  const unsigned band = band_of(lane);
  for (Loan& loan : loans_to(strand)) {
    if (loan.to != &strand || band_of(loan.base) <= band) continue;
    loan.base = lane;
    loan.base_hurried = true;
  }
  const bool hurried = strand.set_hurried(true);
  const LaneId before = strand.lane();
  if (band_of(before) <= band) return !hurried;
  Executor::current().schedule().lane(before).count_boost();
  strand.set_lane(lane);
  // There may be thousands of them: each core looks through its queues once.
  for (unsigned i = 0; i < machine_.cores(); ++i) machine_.core(i).ask_to_sort_out();
  return true;
}

RARE LaneId Loans::own_lane(const Strand& strand) noexcept {
  SpinGuard guard{lock_};
  for (const Loan& loan : loans_to(strand))
    if (loan.to == &strand) return loan.base;
  return strand.lane();
}

RARE Lent Loans::lent_lane(const Strand& strand) noexcept {
  SpinGuard guard{lock_};
  // Without a loan it was raised, to a fair lane.
  Lent lent{.lane = strand.lane(), .fair = machine_.fair_lane(strand.lane())};
  const Loan* most = nullptr;
  for (const Loan& loan : loans_to(strand)) {
    if (loan.to != &strand) continue;
    if (most && band_of(most->lane) <= band_of(loan.lane)) continue;
    most = &loan;
    lent = loan.asked;
  }
  return lent;
}

RARE void Loans::set_own_lane(Strand& strand, LaneId lane) noexcept {
  SpinGuard guard{lock_};
  LaneId best = lane;
  bool hurried = false;
  for (Loan& loan : loans_to(strand)) {
    if (loan.to != &strand) continue;
    hurried = true;
    loan.base = lane;
    loan.base_hurried = false;
    if (band_of(loan.lane) < band_of(best)) best = loan.lane;
  }
  strand.set_lane(best);
  strand.set_hurried(hurried);
}

// A strand's lock comes before ours elsewhere (a stop ends a wait, and that ends a loan), so here
// it is only tried.
RARE Strand* Loans::lock_debtor(Lent& lent) noexcept __attribute__((no_thread_safety_analysis)) {
  for (unsigned tries = 0;; ++tries) {
    {
      SpinGuard guard{lock_};
      Loan* open = nullptr;
      for (List& loans : loans_) {
        open = loans.front();
        if (open && !open->passed_on) break;
        open = nullptr;
      }
      if (!open) return nullptr;
      // It lives: to end, it would have to take the loan back first.
      if (open->to->lock.try_lock()) {
        set_passed_on(*open, true);
        lent = open->asked;
        return open->to;
      }
    }
    coro::hooks::relax(tries);
  }
}

RARE void Loans::pass_on() noexcept __attribute__((no_thread_safety_analysis)) {
  const coro::PreemptionOff section;
  Lent lent;
  while (Strand* debtor = lock_debtor(lent)) {
    // While we have its lock it does not go on from what it waits for.
    if (debtor->wait && debtor->wait->kind->hurry) debtor->wait->kind->hurry(*debtor->wait, lent);
    debtor->lock.unlock();
  }
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
  if (!runnable && queues.next && queues.next->strand == &strand) {
    runnable = std::exchange(queues.next, nullptr);
    pinned = stays(*runnable);
  }
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
    if (promotion_count_ > promotions_.size()) return;
    if (promotion_count_ < promotions_.size()) promotions_[promotion_count_] = promotion;
    ++promotion_count_;  // too many: all are looked through
    promotions_waiting_.store(true, std::memory_order_relaxed);
  }
  if (!notify()) interrupt();
}

RARE void Executor::ask_to_sort_out() noexcept {
  {
    coro::SpinGuard guard{promotions_lock_};
    if (promotion_count_ > promotions_.size()) return;
    promotion_count_ = promotions_.size() + 1;
    promotions_waiting_.store(true, std::memory_order_relaxed);
  }
  if (this == coro::this_core()) return request_preemption();
  if (!notify()) interrupt();
}

// Those of a lane that have been hurried since, and so belong to another one. What is among the
// pinned ones stays so: a task that was set aside is there, too.
RARE void Executor::sort_out(coro::LaneQueues& queues, LaneId lane, coro::RunQueue& pinned,
                             coro::RunQueue& others) noexcept {
  const auto moves = [lane](const coro::Runnable& runnable) {
    const Strand* strand = runnable.strand;
    return strand && strand->hurried() && strand->lane() != lane;
  };
  if (queues.next && moves(*queues.next)) {
    coro::Runnable& runnable = *std::exchange(queues.next, nullptr);
    (stays(runnable) ? pinned : others).push_back(runnable);
  }
  for (coro::RunQueue* queue : {&queues.ready, &queues.pinned, &queues.forks}) {
    coro::RunQueue& moved = queue == &queues.pinned ? pinned : others;
    coro::RunQueue rest;
    while (!queue->empty()) {
      coro::Runnable& runnable = queue->pop_front();
      (moves(runnable) ? moved : rest).push_back(runnable);
    }
    *queue = rest;
  }
}

RARE void Executor::sort_out_all() noexcept {
  coro::RunQueue pinned;
  coro::RunQueue others;
  decltype(waiting_) left;
  while (Lane* lane = waiting_.pop_front()) {
    sort_out(lane->queues, lane->id, pinned, others);
    if (lane->queues.empty())
      schedule_.remove(*lane, batch_now_ns_);
    else
      left.push_back(*lane);
  }
  waiting_.append(left);
  sort_out(here_, lane_->id, pinned, others);
  for (bool stay : {true, false})
    for (coro::RunQueue& queue = stay ? pinned : others; !queue.empty();) {
      coro::Runnable& runnable = queue.pop_front();
      this->queue(lane_of(runnable), runnable, stay, coro::Order::last);
    }
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
  if (count > taken.size()) return sort_out_all();
  // A strand may have ended since. At most another one of its old lane, in the same place, runs
  // earlier than it would.
  for (std::size_t i = 0; i < count; ++i) promote(taken[i]);
}

}  // namespace lichen::sched

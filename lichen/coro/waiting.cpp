#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

bool WaitingForSeveral::claim(Waiter* by) noexcept {
  hooks::interleave();
  Waiter* nobody = nullptr;
  return winner_.compare_exchange_strong(nobody, by, std::memory_order_acq_rel);
}

void WaitingForSeveral::complete() noexcept {
  // The task that is still subscribing sees the decision when it is through, and does not suspend.
  PromiseBase& task = *waiter;
  hooks::interleave();
  if (phase_.exchange(Phase::decided, std::memory_order_acq_rel) == Phase::suspended)
    wake_next(task);
}

bool Waiter::claim_one_of_several() noexcept { return select().claim(this); }
void Waiter::complete_one_of_several() noexcept { select().complete(); }
Strand& Waiter::strand_of_several() const noexcept { return *select().waiter->strand; }

}  // namespace lichen::coro

#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

bool Waiting::claim_one_of_several(Waiter* by) noexcept {
  Waiter* nobody = nullptr;
  auto& self = static_cast<WaitingForSeveral&>(*this);
  return self.winner_.compare_exchange_strong(nobody, by, std::memory_order_acq_rel);
}

void Waiting::complete_one_of_several() noexcept {
  // The task that is still subscribing sees the decision when it is through, and does not suspend.
  using Phase = WaitingForSeveral::Phase;
  auto& self = static_cast<WaitingForSeveral&>(*this);
  PromiseBase& promise = *waiter;
  hooks::interleave();
  if (self.phase_.exchange(Phase::decided, std::memory_order_acq_rel) == Phase::suspended)
    wake_next(promise);
}

}  // namespace lichen::coro

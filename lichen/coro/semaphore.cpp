#include "lichen/coro/semaphore.hpp"

namespace lichen::coro {

bool Semaphore::try_acquire() noexcept {
  SpinGuard guard{lock_};
  if (permits_ == 0) return false;
  --permits_;
  return true;
}

void Semaphore::release(std::size_t permits) noexcept {
  Woken woken;
  {
    SpinGuard guard{lock_};
    permits_ += permits;
    while (permits_ > 0) {
      Waiter* waiter = waiters_.pop_front();
      if (!waiter) break;
      if (!waiter->waiting->claim(waiter)) continue;
      --permits_;
      woken.push(*waiter);
    }
  }
  woken.complete_all();
}

Enqueued Semaphore::AcquireOperation::enqueue(Waiter& waiter) const noexcept {
  SpinGuard guard{semaphore.lock_};
  if (semaphore.permits_ > 0) {
    if (!waiter.waiting->claim(&waiter)) return Enqueued::refused;
    --semaphore.permits_;
    return Enqueued::complete;
  }
  if (waiter.waiting->stop_requested()) return Enqueued::refused;
  semaphore.waiters_.push_back(waiter);
  return Enqueued::waiting;
}

bool Semaphore::AcquireOperation::dequeue(Waiter& waiter) const noexcept {
  SpinGuard guard{semaphore.lock_};
  if (!waiter.node.is_linked()) return false;
  waiter.node.unlink();
  return true;
}

}  // namespace lichen::coro

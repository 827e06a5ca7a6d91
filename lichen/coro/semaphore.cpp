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
      if (!waiter->claim()) continue;
      --permits_;
      woken.push(*waiter);
    }
  }
  woken.complete_all();
}

Enqueued Semaphore::AcquireOperation::enqueue(Waiter& waiter) const noexcept {
  SpinGuard guard{semaphore.lock_, in_section};
  if (semaphore.permits_ > 0) {
    if (!waiter.claim()) return Enqueued::refused;
    --semaphore.permits_;
    return Enqueued::complete;
  }
  if (waiter.stop_requested()) return Enqueued::refused;
  semaphore.waiters_.push_back(waiter);
  return Enqueued::waiting;
}

bool Semaphore::AcquireOperation::dequeue(Waiter& waiter) const noexcept {
  SpinGuard guard{semaphore.lock_};
  if (!waiter.node.is_linked()) return false;
  waiter.node.unlink();
  return true;
}

bool Mutex::try_lock() noexcept {
  SpinGuard guard{lock_};
  if (holder_) return false;
  holder_ = this_core()->current();
  return true;
}

Waiter* Mutex::take_next() noexcept {
  while (!waiters_.empty()) {
    Waiter* next = waiters_.front();
    if (lanes_differ_) [[unlikely]] {
      for (Waiter& waiter : waiters_)
        if (hooks::more_urgent(waiter.strand().lane(), next->strand().lane())) next = &waiter;
    }
    next->node.unlink();
    if (next->claim()) return next;
  }
  return nullptr;
}

void Mutex::unlock() noexcept {
  const PreemptionOff section;  // to the end: the next one is woken first
  Waiter* next = nullptr;
  {
    SpinGuard guard{lock_};
    if (loan_.to) [[unlikely]]
      hooks::take_back(loan_);
    next = take_next();
    holder_ = next ? &next->strand() : nullptr;
    if (waiters_.empty())
      lanes_differ_ = false;
    else if (holder_->hurried()) [[unlikely]]
      lend_all();
  }
  // Those left are not more urgent than the one who was taken.
  if (next) next->complete_in_order();
}

// Some of those left may be more urgent than the holder is when nobody lends it anything any more.
[[clang::minsize, gnu::noinline]] void Mutex::lend_all() noexcept {
  for (const Waiter& waiter : waiters_)
    hooks::lend(loan_, *holder_, {.lane = waiter.strand().lane()});
}

Enqueued Mutex::LockOperation::enqueue(Waiter& waiter) const noexcept {
  SpinGuard guard{mutex.lock_, in_section};
  Strand& strand = waiter.strand();
  if (!mutex.holder_) {
    if (!waiter.claim()) return Enqueued::refused;
    mutex.holder_ = &strand;
    return Enqueued::complete;
  }
  if (waiter.stop_requested()) return Enqueued::refused;
  mutex.waiters_.push_back(waiter);
  if (strand.lane() != mutex.holder_->lane() || mutex.holder_->hurried()) [[unlikely]] {
    mutex.lanes_differ_ = true;
    hooks::lend(mutex.loan_, *mutex.holder_, {.lane = strand.lane()});
  }
  return Enqueued::waiting;
}

[[clang::minsize]] void Mutex::LockOperation::hurry(Waiter& waiter, Lent lent) const noexcept {
  SpinGuard guard{mutex.lock_};
  if (!waiter.node.is_linked()) return;  // it has been handed the mutex, or is not there yet
  mutex.lanes_differ_ = true;
  hooks::lend(mutex.loan_, *mutex.holder_, lent);
}

bool Mutex::LockOperation::dequeue(Waiter& waiter) const noexcept {
  SpinGuard guard{mutex.lock_};
  if (!waiter.node.is_linked()) return false;
  waiter.node.unlink();
  return true;
}

}  // namespace lichen::coro

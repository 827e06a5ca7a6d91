#include "lichen/coro/stop.hpp"

namespace lichen::coro {

void StopSource::request_stop() noexcept {
  Woken woken;
  {
    SpinGuard guard{lock_};
    if (requested_.exchange(true, std::memory_order_acq_rel)) return;
    while (Waiter* waiter = waiters_.pop_front())
      if (waiter->claim()) woken.push(*waiter);
    while (StopCallback* callback = callbacks_.pop_front()) {
      callback->running_.store(true, std::memory_order_relaxed);
      guard.unlock();
      callback->function_(*callback);
      callback->running_.store(false, std::memory_order_release);
      guard.lock();
    }
  }
  woken.complete_all();
}

Enqueued StopSource::WaitOperation::enqueue(Waiter& waiter) const noexcept {
  SpinGuard guard{source.lock_};
  if (source.requested_.load(std::memory_order_relaxed))
    return waiter.claim() ? Enqueued::complete : Enqueued::refused;
  if (waiter.stop_requested()) return Enqueued::refused;
  source.waiters_.push_back(waiter);
  return Enqueued::waiting;
}

bool StopSource::WaitOperation::dequeue(Waiter& waiter) const noexcept {
  SpinGuard guard{source.lock_};
  if (!waiter.node.is_linked()) return false;
  waiter.node.unlink();
  return true;
}

void StopCallback::follow(Function* function) noexcept {
  function_ = function;
  {
    SpinGuard guard{source_.lock_};
    if (!source_.requested_.load(std::memory_order_relaxed)) {
      source_.callbacks_.push_back(*this);
      return;
    }
  }
  function_(*this);
}

StopCallback::~StopCallback() {
  {
    SpinGuard guard{source_.lock_};
    if (node_.is_linked()) {
      node_.unlink();
      return;
    }
  }
  for (unsigned tries = 0; running_.load(std::memory_order_acquire); ++tries) hooks::relax(tries);
}

}  // namespace lichen::coro

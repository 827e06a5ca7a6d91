#include "lichen/coro/event.hpp"

namespace lichen::coro {

void Event::set() noexcept {
  Woken woken;
  {
    SpinGuard guard{lock_};
    set_.store(true, std::memory_order_release);
    while (Waiter* waiter = waiters_.pop_front())
      if (waiter->claim()) woken.push(*waiter);
  }
  woken.complete_all();
}

void Event::reset() noexcept {
  SpinGuard guard{lock_};
  set_.store(false, std::memory_order_relaxed);
}

Enqueued Event::WaitOperation::enqueue(Waiter& waiter) const noexcept {
  SpinGuard guard{event.lock_, in_section};
  if (event.set_.load(std::memory_order_relaxed))
    return waiter.claim() ? Enqueued::complete : Enqueued::refused;
  if (waiter.stop_requested()) return Enqueued::refused;
  event.waiters_.push_back(waiter);
  return Enqueued::waiting;
}

bool Event::WaitOperation::dequeue(Waiter& waiter) const noexcept {
  SpinGuard guard{event.lock_};
  if (!waiter.node.is_linked()) return false;
  waiter.node.unlink();
  return true;
}

}  // namespace lichen::coro

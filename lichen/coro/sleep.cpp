#include "lichen/coro/sleep.hpp"

#include "lichen/base/member.hpp"

namespace lichen::coro {

Enqueued SleepOperation::enqueue(Waiter& waiter) noexcept {
  entry_.waiter = &waiter;
  const bool set = this_core()->timers().set_unless(waiter.stop_flag(), entry_.timer, deadline_.ns);
  return set ? Enqueued::waiting : Enqueued::refused;
}

void SleepOperation::fire(Timer& timer) noexcept {
  Waiter& waiter = *base::holder_of<Entry, &Entry::timer>(&timer)->waiter;
  const bool claimed = waiter.claim();
  // From here on the task may go on and take the timer with it; if it was claimed, not before we
  // say so.
  timer.fired();
  if (claimed) waiter.complete_in_order();
}

}  // namespace lichen::coro

// EventSource: where a core finds events when it looks, and waits for them when it has nothing to
// run.
#pragma once

#include <cstdint>

namespace lichen::sched {

// One a core; called on that core except wake(). A driver that owns a ring implements it; without
// one a core sleeps in the HAL.
class EventSource {
 public:
  virtual ~EventSource() = default;
  // Submits what is prepared and delivers the completions that are there; never waits. Returns how
  // many.
  virtual unsigned poll() noexcept = 0;
  // Waits for a completion, a wake() or the deadline (monotonic nanoseconds, coro::no_deadline:
  // none). May return early. Completions are delivered by the next poll().
  virtual void wait(std::uint64_t deadline_ns) noexcept = 0;
  // From any thread: ends the current or the next wait() at once.
  virtual void wake() noexcept = 0;

  // A task computes and does not come back. True: events interrupt the core
  // (hal::Interrupt::device) only when it asks for that, and it has not.
  [[nodiscard]] virtual bool is_deaf() const noexcept { return false; }
  // Asks for it, until the next poll(). True: there is something already. In a section without
  // preemption.
  virtual bool listen() noexcept { return false; }
};

}  // namespace lichen::sched

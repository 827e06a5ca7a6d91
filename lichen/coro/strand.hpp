// Strand: a spawned task with everything it awaits. The unit of scheduling, stopping and tracing.
//
// At any time a strand runs, is ready, or waits in exactly one place; that place is its `wait`. So
// a stop request finds the operation to cancel without any operation having registered anywhere,
// and a stack trace finds the leaf. A wait costs two stores on one core.
//
//                 spawn                    begin_wait                 finish
//      (created) ------> ready <---> running ---------> waiting        ------> (gone)
//                          ^                               |
//                          +------- wake, or cancel -------+
#pragma once

#include <atomic>
#include <cstdint>
#include <source_location>

#include "lichen/base/list.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/lock.hpp"

namespace lichen::coro {

class PromiseBase;
class Scope;

// What a strand waits for, seen by whoever stops or traces it.
struct Wait {
  // A stop was requested. Called with the strand's lock held, so the waiting task cannot resume
  // before the call returns. MUST make the task ready, now or soon, unless it is being woken
  // anyway. Returns null when that is done, or the only core on which it can be done; it is then
  // called again there.
  using Cancel = Core*(Wait& wait) noexcept;

  Cancel* cancel;
  PromiseBase* waiter = nullptr;
};

struct Strand {
  Strand(Scope& scope, std::source_location where, Core* pinned_to) noexcept
      : owner{&scope}, spawned_at{where} {
    pin(pinned_to);
  }

  // The only core on which it runs; null: any. Changed by the strand itself, or before it starts.
  [[nodiscard]] Core* pinned() const noexcept {
    return pinned_index_ ? Core::at(pinned_index_ - 1U) : nullptr;
  }
  void pin(Core* core) noexcept {
    pinned_index_ = core ? static_cast<std::uint8_t>(core->index() + 1) : 0;
  }

  SpinLock lock;
  std::atomic<bool> stop_requested{false};
  bool stop_posted = false;  // post_stop() is under way
  bool finished = false;     // finished while it was
  bool keeps_frame = false;  // the frame belongs to whoever started the task, not to the scope

 private:
  std::uint8_t pinned_index_ = 0;  // plus one; a byte, because every frame has room for a strand

 public:
  Wait* wait = nullptr;
  Scope* owner;
  base::ListNode sibling;      // in owner's children
  Scope* innermost = nullptr;  // the newest scope opened by this strand
  std::source_location spawned_at;
  Strand* next_stop = nullptr;  // in the list of post_stop()
};

inline void begin_wait(Strand& strand, Wait& wait) noexcept {
  SpinGuard guard{strand.lock};
  strand.wait = &wait;
}
inline void end_wait(Strand& strand) noexcept {
  SpinGuard guard{strand.lock};
  strand.wait = nullptr;
}

// Asks the strand and everything below it to stop. Idempotent, on any core.
void request_stop(Strand& strand) noexcept;
// The other half of hooks::post_stop(), called by the scheduler on the core that was asked.
void handle_stop(Strand& strand) noexcept;

// Puts a Runnable that may run on `core`, the calling core, into its queue.
inline void enqueue_here(Core& core, Runnable& runnable) noexcept {
  if (cores_share && runnable.strand && runnable.strand->pinned())
    core.push_pinned(runnable);
  else
    core.push(runnable);
}

// Makes a suspended task ready. Called once for each suspension, on any thread; the task may run at
// once on another core, so the caller MUST NOT touch its frame afterwards.
inline void wake(Runnable& runnable) noexcept {
  Core* core = this_core();
  if (core && !cores_share) [[likely]] {
    core->push(runnable);
    return;
  }
  Core* pinned = runnable.strand ? runnable.strand->pinned() : nullptr;
  if (core && (!pinned || pinned == core))
    enqueue_here(*core, runnable);
  else
    hooks::post(pinned, runnable);
}
// The same for a new strand that may run anywhere and goes before older work.
inline void wake_forked(Runnable& runnable) noexcept {
  if (Core* core = this_core()) [[likely]]
    core->push_fork(runnable);
  else
    hooks::post(nullptr, runnable);
}
// The same, but the task runs next on this core: for a task that was handed something.
inline void wake_next(Runnable& runnable) noexcept {
  Core* core = this_core();
  Core* pinned = cores_share && runnable.strand ? runnable.strand->pinned() : nullptr;
  if (core && (!pinned || pinned == core)) [[likely]] {
    if (Runnable* displaced = core->exchange_next(&runnable)) enqueue_here(*core, *displaced);
  } else {
    hooks::post(pinned, runnable);
  }
}

}  // namespace lichen::coro

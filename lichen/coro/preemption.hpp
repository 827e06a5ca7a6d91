// Preemption: whether the task that runs on a core may be interrupted just now.
#pragma once

#include <atomic>
#include <cstdint>

#include "lichen/base/core_slot.hpp"
#include "lichen/coro/hooks.hpp"

namespace lichen::coro {

// The part of a core that says so. Written by the core and by interrupt handlers on it; no other
// core looks. Sections of the runtime's own, which touch what belongs to the core, are entered and
// left by plain stores: a handler comes between two instructions or not at all.
//
// A task suspends in such a section, from before its frame can be found by others until it has let
// go of the core; the executor's next resumption ends it.
class Preemption {
 public:
  // Why nothing may be preempted; 0: it may.
  using Level = std::uint8_t;

  // Returns whether preemption was off before, which the matching leave() wants back.
  [[gnu::always_inline]] Level enter_section() noexcept {
    const Level before = off_;
    off_ = section;
    std::atomic_signal_fence(std::memory_order_acq_rel);
    return before;
  }
  // Leaving the outermost section lets run what came up meanwhile. Inlined always, since it counts
  // whose code the section is in.
  [[gnu::always_inline]] void leave_section(Level before) noexcept {
    std::atomic_signal_fence(std::memory_order_acq_rel);
    off_ = before;
    std::atomic_signal_fence(std::memory_order_acq_rel);
    if (requested_ && before == 0) [[unlikely]] {
      off_ = section;
      hooks::preempt(*this);
    }
  }

  // A section of a few instructions that enters no other section of this kind: two stores. A
  // request that meets it is repeated shortly.
  void enter_short_section() noexcept {
    short_section_ = true;
    std::atomic_signal_fence(std::memory_order_acq_rel);
  }
  void leave_short_section() noexcept {
    std::atomic_signal_fence(std::memory_order_acq_rel);
    short_section_ = false;
  }

  // For await_suspend(): from here on, until the executor resumes a task, nothing is preempted...
  void begin_suspension() noexcept {
    off_ = section;
    std::atomic_signal_fence(std::memory_order_acq_rel);
  }
  // ... or the task goes on after all.
  void abandon_suspension() noexcept { leave_section(0); }

  // For interrupt handlers and the scheduler.
  void request_preemption() noexcept { requested_ = true; }
  void clear_request() noexcept { requested_ = false; }
  [[nodiscard]] bool preemption_requested() const noexcept { return requested_; }
  [[nodiscard]] bool preemption_off() const noexcept { return off_ != 0; }
  // Whoever leaves a section sees a request that came meanwhile. Who is between two tasks, or
  // between two threads that are this core, may have looked already: it has to be repeated.
  [[nodiscard]] bool between_tasks() const noexcept { return off_ == next_task; }
  [[nodiscard]] bool in_short_section() const noexcept { return short_section_; }

 protected:
  // Before the executor looks for the last time whether to run a task at all.
  void begin_tasks() noexcept {
    off_ = next_task;
    std::atomic_signal_fence(std::memory_order_acq_rel);
  }
  // Around the run of a task, whose awaitable may know nothing of preemption and have left it on. A
  // request that comes just before is not seen here: whoever makes it repeats it.
  void begin_run() noexcept {
    std::atomic_signal_fence(std::memory_order_acq_rel);
    off_ = 0;
    std::atomic_signal_fence(std::memory_order_acq_rel);
  }
  void end_run() noexcept { begin_tasks(); }

 private:
  static constexpr Level section = 1, next_task = 2;

  volatile Level off_ = section;  // a core begins in its executor
  volatile bool requested_ = false;
  volatile bool short_section_ = false;
};

// The calling core's; null on a thread that is no core.
inline Preemption* this_preemption() noexcept {
  return static_cast<Preemption*>(base::core_slot());
}

// A short section, to the end of a block. Where a task runs, so on a core.
class [[nodiscard]] ShortSection {
 public:
  explicit ShortSection(Preemption& core) noexcept : core_{core} { core_.enter_short_section(); }
  ShortSection(const ShortSection&) = delete;
  ShortSection& operator=(const ShortSection&) = delete;
  ~ShortSection() { core_.leave_short_section(); }

 private:
  Preemption& core_;
};

// A section that must not be preempted, to the end of a block.
class [[nodiscard]] PreemptionOff {
 public:
  [[gnu::always_inline]] PreemptionOff() noexcept : PreemptionOff{this_preemption()} {}
  [[gnu::always_inline]] explicit PreemptionOff(Preemption* core) noexcept : core_{core} {
    if (core_) [[likely]]
      before_ = core_->enter_section();
  }
  PreemptionOff(const PreemptionOff&) = delete;
  PreemptionOff& operator=(const PreemptionOff&) = delete;
  [[gnu::always_inline]] ~PreemptionOff() {
    if (core_) [[likely]]
      core_->leave_section(before_);
  }
  [[nodiscard]] Preemption* core() const noexcept { return core_; }

 private:
  Preemption* core_;
  Preemption::Level before_ = 0;
};

}  // namespace lichen::coro

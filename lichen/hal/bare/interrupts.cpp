#include "lichen/hal/bare/interrupts.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "lichen/base/format.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/processor/redirect.hpp"

namespace lichen::hal {

namespace detail {

[[gnu::used]] void lichen_run_redirected(void (*entry)() noexcept) noexcept { entry(); }

Local& local() noexcept {
  [[gnu::tls_model("initial-exec")]] static constinit thread_local Local the_local{};
  return the_local;
}

}  // namespace detail

namespace {

using detail::Local;
using detail::local;

constinit std::array<std::atomic<InterruptHandler>, interrupt_count> handlers{};

constexpr unsigned index(Interrupt interrupt) noexcept { return static_cast<unsigned>(interrupt); }

void call_handler(Interrupt interrupt, Local& mine, detail::TrapFrame& frame) noexcept {
  InterruptHandler handler = handlers[index(interrupt)].load();
  if (!handler) return;
  mine.off_depth = 1;
  mine.interrupted = &frame;
  handler(interrupt, mine.core);
  mine.interrupted = nullptr;
  mine.off_depth = 0;
  detail::end_wait(mine.core);
  if (auto* entry = std::exchange(mine.after, nullptr))
    detail::redirect(detail::stack_pointer_of(frame), detail::instruction_of(frame), entry);
}

// There is one address space, so nothing else flushes. Seldom, and not for its own sake: a core
// that sleeps is left alone.
void flush_now_and_then(Local& mine, std::uint64_t now) noexcept {
  constexpr std::uint64_t pause = 50'000'000;
  if (now < mine.flush_ns) return;
  mine.flush_ns = detail::keeps_what_was_used() ? now + pause : no_deadline;
  detail::flush_translations();
}

void take_timer(Local& mine, detail::TrapFrame& frame) noexcept {
  const std::uint64_t now = now_ns();
  flush_now_and_then(mine, now);
  const bool due = mine.armed_ns <= now;
  if (due) mine.armed_ns = no_deadline;
  if (mine.waiting_ns <= now) mine.waiting_ns = no_deadline;
  // The timer may be early, and cannot be set as far ahead as we would like.
  mine.timer_ns = std::min(mine.armed_ns, mine.waiting_ns);
  detail::set_timer(mine.timer_ns);
  if (due) call_handler(Interrupt::deadline, mine, frame);
}

}  // namespace

void detail::set_timer_by(Local& mine, bool leaves_earlier) noexcept {
  const std::uint64_t by = std::min(mine.armed_ns, mine.waiting_ns);
  if (by == mine.timer_ns || (by > mine.timer_ns && leaves_earlier)) return;
  mine.timer_ns = by;
  set_timer(by);
}

void detail::take_interrupt(Signal signal, TrapFrame& frame) noexcept {
  Local& mine = local();
  switch (signal) {
    case Signal::timer: return take_timer(mine, frame);
    case Signal::preempt: return call_handler(Interrupt::preempt, mine, frame);
    case Signal::wake: return;  // it has ended the sleep
  }
}

void detail::take_device_interrupt(unsigned source, TrapFrame& frame) noexcept {
  Local& mine = local();
  mine.off_depth = 1;
  call_device_handlers(source);
  mine.off_depth = 0;
  end_wait(mine.core);
  call_handler(Interrupt::device, mine, frame);
}

Result<void> register_interrupt(Interrupt interrupt, InterruptHandler handler) noexcept {
  if (index(interrupt) >= interrupt_count) return Error::invalid_argument;
  if (handler && (interrupt == Interrupt::terminate || interrupt == Interrupt::hang_up))
    return Error::not_supported;
  handlers[index(interrupt)].store(handler);
  return {};
}

void interrupts_off() noexcept {
  detail::mask_interrupts();
  Local& mine = local();
  mine.off_depth = mine.off_depth + 1;
}

void interrupts_on() noexcept {
  Local& mine = local();
  if (mine.off_depth == 0) panic("interrupts are turned on more often than off");
  mine.off_depth = mine.off_depth - 1;
  if (mine.off_depth == 0) detail::unmask_interrupts();
}

bool interrupts_are_on() noexcept { return local().off_depth == 0; }

std::uintptr_t interrupted_at() noexcept {
  detail::TrapFrame* frame = local().interrupted;
  return frame ? detail::instruction_of(*frame) : 0;
}

void call_after_interrupt(void (*entry)() noexcept) noexcept { local().after = entry; }

Result<void> send_interrupt(CoreId core) noexcept {
  if (core >= detail::started_processors()) return Error::invalid_argument;
  if (!handlers[index(Interrupt::preempt)].load()) return Error::invalid_state;
  detail::send_signal(core, detail::Signal::preempt);
  return {};
}

std::uint64_t now_ns() noexcept { return detail::read_clock_ns(); }
std::uint64_t core_time_ns() noexcept { return now_ns() - local().waited_ns; }

Result<void> arm_deadline(CoreId core, std::uint64_t deadline_ns) noexcept {
  Local& mine = local();
  if (core != mine.core) return Error::invalid_argument;
  if (!handlers[index(Interrupt::deadline)].load()) return Error::invalid_state;
  const bool were_on = interrupts_are_on();
  detail::mask_interrupts();
  mine.armed_ns = deadline_ns;
  detail::set_timer_by(mine, true);
  if (were_on) detail::unmask_interrupts();
  return {};
}

}  // namespace lichen::hal

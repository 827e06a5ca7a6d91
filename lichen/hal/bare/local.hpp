// What a bare machine keeps for each core. Private to hal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

struct TrapFrame;

// Written and read by the core and by its own handlers only.
struct Local {
  CoreId core = 0;
  // The machine boots with interrupts off.
  volatile unsigned off_depth = 1;
  TrapFrame* interrupted = nullptr;
  void (*after)() noexcept = nullptr;      // what the interrupted flow is to call
  std::uint64_t armed_ns = no_deadline;    // Interrupt::deadline is due
  std::uint64_t waiting_ns = no_deadline;  // wait() is to return
  std::uint64_t timer_ns = no_deadline;    // Signal::timer comes by then
  bool leaves_timer = true;                // for a sleep: the last one ended before it would come
  std::uint64_t waited_ns = 0;             // slept
  std::uint64_t flush_ns = 0;              // not before that translations are forgotten again
  bool faulted = false;
  std::span<std::byte> stack{};  // the core's own
};
[[gnu::noinline]] Local& local() noexcept;

// Called on a stack of its own with interrupts off, when the processor has taken one for this
// core.
enum class Signal : std::uint8_t { timer, preempt, wake };
void take_interrupt(Signal signal, TrapFrame& frame) noexcept;
// The same for a device.
void take_device_interrupt(unsigned source, TrapFrame& frame) noexcept;
void call_device_handlers(unsigned source) noexcept;
// The same for what a flow cannot go on after. Says so and ends the machine.
[[noreturn]] void take_fault(const char* what, bool at_memory, std::uintptr_t address,
                             const TrapFrame& frame) noexcept;

// With interrupts masked: from now on the timer comes no later than what is awaited. To set it is
// dear where a machine below has to see to it; one that is set to an earlier moment may be left,
// for one interrupt in vain.
void set_timer_by(Local& mine, bool leaves_earlier) noexcept;

// In a handler: ends the wait of this core that is under way or about to begin.
void end_wait(CoreId self) noexcept;

}  // namespace lichen::hal::detail

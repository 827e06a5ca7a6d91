// Interrupts: signals. A core that has interrupts off takes note of them and serves them on `on`.
#pragma once

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Null gives the interrupt back to the host (terminate: SIGINT and SIGTERM; hang_up: SIGHUP).
Result<void> register_interrupt(Interrupt interrupt, InterruptHandler handler) noexcept;
// Off and on nest, counted on each thread; handlers run with interrupts off.
void interrupts_off() noexcept;
void interrupts_on() noexcept;
[[nodiscard]] bool interrupts_are_on() noexcept;
// Nothing to tell the host.
inline void end_of_interrupt(Interrupt) noexcept {}
// Raises Interrupt::preempt on a running core. Errors: invalid_argument, invalid_state (no
// handler).
Result<void> send_interrupt(CoreId core) noexcept;

}  // namespace lichen::hal

// Interrupts: signals. A core that has interrupts off takes note of them and serves them on `on`.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Null gives the interrupt back to the host (terminate: SIGINT and SIGTERM; hang_up: SIGHUP).
// device: SIGIO, for drivers that have the host send it to a core's thread.
Result<void> register_interrupt(Interrupt interrupt, InterruptHandler handler) noexcept;
// Off and on nest, counted on each thread; handlers run with interrupts off.
void interrupts_off() noexcept;
void interrupts_on() noexcept;
[[nodiscard]] bool interrupts_are_on() noexcept;
// For handlers: the address at which the interrupted flow goes on; 0 where it is not known, because
// the interrupt was served late, by interrupts_on().
[[nodiscard]] std::uintptr_t interrupted_at() noexcept;
// For handlers, where interrupted_at() is known: when they have returned the interrupted flow calls
// `entry` as if by itself between two of its instructions. Its registers, flags, vector state and
// errno are kept, its red zone is respected; interrupts are on. `entry` may switch contexts. The
// stack MUST have room for the vector state (3 KiB with AVX-512) and for what entry needs.
void call_after_interrupt(void (*entry)() noexcept) noexcept;
// Nothing to tell the host.
inline void end_of_interrupt(Interrupt) noexcept {}
// Raises Interrupt::preempt on a running core. Errors: invalid_argument, invalid_state (no
// handler).
Result<void> send_interrupt(CoreId core) noexcept;

}  // namespace lichen::hal

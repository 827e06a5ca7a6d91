// Interrupts and faults of a processor that is ours.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Null: what arrives is dropped. Errors: not_supported (terminate, hang_up: nobody can ask).
Result<void> register_interrupt(Interrupt interrupt, InterruptHandler handler) noexcept;
// Off and on nest, counted on each core; handlers run with interrupts off.
void interrupts_off() noexcept;
void interrupts_on() noexcept;
[[nodiscard]] bool interrupts_are_on() noexcept;
// For handlers: the address at which the interrupted flow goes on.
[[nodiscard]] std::uintptr_t interrupted_at() noexcept;
// For handlers: when they have returned the interrupted flow calls `entry` as if by itself between
// two of its instructions. Its registers, flags and vector state are kept, its red zone is
// respected; interrupts are on. `entry` may switch contexts. The stack MUST have room for the
// vector state (3 KiB with AVX-512) and for what entry needs.
void call_after_interrupt(void (*entry)() noexcept) noexcept;
// The world does it when the handler has returned.
inline void end_of_interrupt(Interrupt) noexcept {}
// Raises Interrupt::preempt on a running core. Errors: invalid_argument, invalid_state (no
// handler).
Result<void> send_interrupt(CoreId core) noexcept;

// After a fault the machine prints its registers, calls the handler, and ends with panic_status.
Result<void> register_fault_handler(FaultHandler handler) noexcept;

}  // namespace lichen::hal

// Interrupts: delivered at the first step of a core after they have arrived, if it has them on.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Null: what arrives is dropped.
Result<void> register_interrupt(Interrupt interrupt, InterruptHandler handler) noexcept;
// Off and on nest, counted on each core; handlers run with interrupts off.
void interrupts_off() noexcept;
void interrupts_on() noexcept;
[[nodiscard]] bool interrupts_are_on() noexcept;
// For handlers: where the interrupted flow stands; an address of sim::app_text() inside
// sim::compute(); 0 where the interrupt was served late, by interrupts_on(), and in a wait.
[[nodiscard]] std::uintptr_t interrupted_at() noexcept;
// For handlers: when they have returned the interrupted flow calls `entry` as if by itself, with
// interrupts on. `entry` may switch contexts.
void call_after_interrupt(void (*entry)() noexcept) noexcept;
inline void end_of_interrupt(Interrupt) noexcept {}
// Raises Interrupt::preempt on a running core after a seeded latency. Errors: invalid_argument,
// invalid_state (no handler).
Result<void> send_interrupt(CoreId core) noexcept;
// Never called: what faults here is the simulator's process, and the host says so.
inline Result<void> register_fault_handler(FaultHandler) noexcept { return {}; }

}  // namespace lichen::hal

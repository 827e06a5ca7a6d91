// Makes an interrupted flow call a function between two of its instructions, the way a
// processor's interrupt would: nothing of what it has in registers is lost. Private to hal.
#pragma once

#include <cstdint>

namespace lichen::hal::detail {

// Changes where an interrupted flow goes on, and its stack, so that it calls `entry` first.
void redirect(std::uintptr_t& stack_pointer, std::uintptr_t& instruction,
              void (*entry)() noexcept) noexcept;

// How much there is to save of vector registers. MUST be called when they have been enabled, before
// the first redirect().
void find_vector_state() noexcept;

extern "C" {
// Where a redirected flow goes on: saves everything, calls lichen_run_redirected(), goes back.
void lichen_redirected() noexcept;
// Defined by the world: calls `entry`, and keeps what the world itself has for each flow.
[[gnu::visibility("hidden")]] void lichen_run_redirected(void (*entry)() noexcept) noexcept;
}

}  // namespace lichen::hal::detail

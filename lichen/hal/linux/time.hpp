// Time: the host's monotonic clock and one timer for each core.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Nanoseconds since some moment before the start: CLOCK_MONOTONIC through the vDSO, 20 ns. A
// calibrated time stamp counter would take 9 ns, but drifts from the clock that the host's rings
// and timers count by while the host slews it; hot paths read time once a batch instead.
std::uint64_t now_ns() noexcept;

// The part of its time that the calling core was not kept from running by the host: differences
// between two moments in which it did not wait() count. A system call.
std::uint64_t core_time_ns() noexcept;

// For how long in all the host has kept the calling core, its thread, from running although that
// wanted to; what the thread has waited for in calls of the host's is none of it. 0 where the host
// does not say. Opens a file.
std::uint64_t taken_ns() noexcept;

// How often the calling core's thread has given its processor away by itself: between two moments
// at which that is the same, all of the time in which it did not run was taken from it, also by a
// machine below the host, which knows of no queue. A system call.
std::uint64_t waits() noexcept;

// Raises Interrupt::deadline on a running core at the moment given, once; replaces the one armed
// before; no_deadline disarms. MUST be called on `core`. Errors: invalid_argument (not this core),
// invalid_state (no handler is registered), no_memory.
Result<void> arm_deadline(CoreId core, std::uint64_t deadline_ns) noexcept;

}  // namespace lichen::hal

// Time: the processor's counter, calibrated, and one timer for each core.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Nanoseconds since the first instruction of the image.
std::uint64_t now_ns() noexcept;

// Since 1970-01-01 00:00 UTC, as the board's calendar said when it was first asked for; where there
// is none, since the machine started. Not in handlers.
std::int64_t wall_clock_ns() noexcept;

// Nobody takes time from a core: this is now_ns() less what it has slept. Of the first core: the
// instructions it took, where each takes a nanosecond.
std::uint64_t core_time_ns() noexcept;

// For how long in all a host has kept the calling core from running: here there is none.
inline std::uint64_t taken_ns() noexcept { return 0; }
inline std::uint64_t waits() noexcept { return 0; }

// Raises Interrupt::deadline on a running core at the moment given, once; replaces the one armed
// before; no_deadline disarms. MUST be called on `core`. Errors: invalid_argument (not this core),
// invalid_state (no handler is registered).
Result<void> arm_deadline(CoreId core, std::uint64_t deadline_ns) noexcept;

}  // namespace lichen::hal

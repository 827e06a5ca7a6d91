// Time: virtual nanoseconds. Each core has a clock; they drift apart by a bounded amount.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// The clock of the core that runs. Read by one core after another it never goes back: a core that
// is ahead lets the others catch up first.
std::uint64_t now_ns() noexcept;

// As now_ns(), without the time in which the core was stalled, stolen or blocked.
std::uint64_t core_time_ns() noexcept;
// For how long in all the core was stalled.
std::uint64_t taken_ns() noexcept;
// How often it has waited or blocked.
std::uint64_t waits() noexcept;

// Raises Interrupt::deadline on the running core some seeded time after the moment given, once;
// replaces the one armed before; no_deadline disarms. Errors: invalid_argument (not this core),
// invalid_state (no handler is registered).
Result<void> arm_deadline(CoreId core, std::uint64_t deadline_ns) noexcept;

}  // namespace lichen::hal

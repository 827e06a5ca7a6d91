// Cores: flows of control that take turns on one thread, each with a clock and a speed of its own.
#pragma once

#include <cstdint>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// As many as the simulator was set up with.
unsigned core_count_available() noexcept;
// Its speed: the biggest core of all has 1,024. 0: there is no such core.
std::uint32_t core_capacity(CoreId core) noexcept;

// Runs entry(core) on every core, each on a stack of its own, and returns when all have returned.
// Errors: invalid_argument (count), busy (cores run already), no_memory.
Result<void> start_cores(const CoreOptions& options,
                         base::FunctionRef<void(CoreId)> entry) noexcept;

// The core that runs now; no_core outside start_cores().
CoreId this_core() noexcept;

// Waits until wake(self), the deadline or an interrupt; now and then it returns early. MUST be
// called on `self`. When no core can ever go on, the simulator reports a deadlock.
void wait(CoreId self, std::uint64_t deadline_ns) noexcept;
// A core that waits goes on after the wake's latency; the next wait of one that does not returns
// at once.
void wake(CoreId core) noexcept;

// They take time, and let other cores go on.
void pause() noexcept;
void yield_to_host() noexcept;

inline constexpr bool has_urgency = true;
// A core that is urgent never stalls, and one that stalls goes on when it becomes so.
void set_urgent(CoreId core, bool urgent) noexcept;
void urgent_from(CoreId core, std::uint64_t moment_ns) noexcept;

}  // namespace lichen::hal

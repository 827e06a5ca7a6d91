// Cores: threads of the process, bound to processors where there are enough.
#pragma once

#include <cstdint>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// How many processors the process may use: its affinity mask, bounded by its control group's quota.
unsigned core_count_available() noexcept;
// The speed of the processor to which the core is bound if cores are, as the host tells it: the
// biggest one has 1,024, and so have all where it does not tell.
std::uint32_t core_capacity(CoreId core) noexcept;

// Runs entry(core) on every core and returns when all have returned: core 0 on the calling thread,
// the others on threads named lichen/1, lichen/2, ... Either all cores run or none does. Errors:
// invalid_argument (count), busy (cores run already), no_memory, limit_reached (threads),
// access_denied (urgency is wanted, and the host gives no right to real-time threads).
Result<void> start_cores(const CoreOptions& options,
                         base::FunctionRef<void(CoreId)> entry) noexcept;

// The core of the calling thread; no_core where it is none.
CoreId this_core() noexcept;

// Sleeps until wake(self), the deadline (monotonic) or an interrupt; it may return early. MUST be
// called on `self`.
void wait(CoreId self, std::uint64_t deadline_ns) noexcept;
// From any thread, never lost: if the core does not wait, its next wait returns at once, and no
// system call is made.
void wake(CoreId core) noexcept;

// For loops that poll: a short rest for the sibling thread; the rest of the slice for the host.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("" ::: "memory");
#endif
}
void yield_to_host() noexcept;

}  // namespace lichen::hal

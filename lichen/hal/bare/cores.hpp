// Cores: the processors of the machine. Core 0 is the one that booted.
#pragma once

#include <cstdint>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// How many processors the firmware names.
unsigned core_count_available() noexcept;
// 1,024: nothing tells how they differ.
std::uint32_t core_capacity(CoreId core) noexcept;

// Runs entry(core) on every core and returns when all have returned: core 0 on the calling flow,
// the others on stacks of their own. A core that was never needed has never been started; one that
// has returned sleeps. Either all cores run or none does. Errors: invalid_argument (count), busy
// (cores run already), no_memory, timed_out (a processor did not start).
Result<void> start_cores(const CoreOptions& options,
                         base::FunctionRef<void(CoreId)> entry) noexcept;

// The running core; while the machine boots, 0.
CoreId this_core() noexcept;

// Sleeps until wake(self), the deadline or an interrupt; it may return early. MUST be called on
// `self`, with interrupts on.
void wait(CoreId self, std::uint64_t deadline_ns) noexcept;
// From any core, never lost: if the core does not wait, its next wait returns at once, and no
// interrupt is sent.
void wake(CoreId core) noexcept;

// For loops that poll: a short rest for the sibling thread.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory");  // Zihintpause
#endif
}
// Nobody else wants the processor.
inline void yield_to_host() noexcept { pause(); }
inline constexpr bool has_urgency = false;
inline void set_urgent(CoreId, bool) noexcept {}
inline void urgent_from(CoreId, std::uint64_t) noexcept {}

}  // namespace lichen::hal

// Cores, time, interrupts, pages and console of the `linux` world. No host header is dragged in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// --- cores: threads ------------------------------------------------------------------------------

// Processors this process may use.
unsigned core_count_available() noexcept;
// Runs entry(core) on every core at once, core 0 on the calling thread; returns when all have returned.
// Error::limit_reached when the host gives no more threads; then no entry was called.
Result<void> run_cores(const CoreOptions& options, base::FunctionRef<void(unsigned core)> entry);
// The calling thread's core; 0 on a thread that is none.
unsigned this_core() noexcept;

// Sleeps until wake(core) or the deadline (monotonic nanoseconds). A wake that came before counts: the
// next wait returns at once. `core` MUST be the calling core.
void wait(unsigned core, std::uint64_t deadline_ns) noexcept;
// From any thread. Costs no system call unless the core sleeps.
void wake(unsigned core) noexcept;

// Tells the processor that this is a polling loop.
inline void pause() noexcept { __builtin_ia32_pause(); }
// Lets the host run something else on this processor.
void yield_to_host() noexcept;

// --- time ----------------------------------------------------------------------------------------

std::uint64_t now_ns() noexcept;       // monotonic; about 20 ns (vDSO)
std::int64_t wall_clock_ns() noexcept;  // since 1970-01-01 00:00 UTC
// One-shot: raises Interrupt::timer on the calling core at the deadline; replaces the one before.
Result<void> arm_deadline(std::uint64_t deadline_ns) noexcept;
void disarm_deadline() noexcept;

// --- interrupts: signals -------------------------------------------------------------------------

// Null restores the host's default. Interrupt::stop is Ctrl-C and a polite kill, reload is a hang-up.
Result<void> on_interrupt(Interrupt interrupt, InterruptHandler* handler) noexcept;
// Raises Interrupt::call on a core that runs (between run_cores' entry and its return).
void send_interrupt(unsigned core) noexcept;

// While one lives, interrupts of this core are noted and delivered when the last one goes. Nests.
class InterruptsOff {
 public:
  InterruptsOff() noexcept;
  ~InterruptsOff();
  InterruptsOff(const InterruptsOff&) = delete;
  InterruptsOff& operator=(const InterruptsOff&) = delete;
};

// --- pages: one memfd ----------------------------------------------------------------------------

// Zeroed page frames, `bytes` rounded up to whole pages, aligned to a power of two. Null when the
// host's memory or the reserved range is exhausted. Untouched pages cost nothing. Thread-safe.
std::byte* allocate_pages(std::size_t bytes, std::size_t alignment = page_size) noexcept;
// Gives frames back to the host; `bytes` as allocated.
void free_pages(std::byte* pages, std::size_t bytes) noexcept;
Result<void> protect_pages(std::byte* pages, std::size_t bytes, Access access) noexcept;
// Bytes handed out and not given back.
std::size_t pages_in_use() noexcept;

// --- console and power ---------------------------------------------------------------------------

void write_console(std::string_view text) noexcept;
// Says what went wrong and ends the machine at once; the host keeps a core file where it is told to.
[[noreturn]] void panic(const char* message) noexcept;
[[noreturn]] void exit_machine(int status) noexcept;
void random_bytes(std::span<std::byte> into) noexcept;

}  // namespace lichen::hal

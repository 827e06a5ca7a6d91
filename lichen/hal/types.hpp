// The words of the machine contract that are the same in every world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace lichen::hal {

using CoreId = std::uint32_t;

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t cache_line = 64;
inline constexpr unsigned max_cores = 256;
inline constexpr CoreId no_core = std::numeric_limits<CoreId>::max();
inline constexpr std::uint64_t no_deadline = std::numeric_limits<std::uint64_t>::max();

// For so long urgent_from() keeps a core urgent that does not come to what was due: it is then in
// code that it does not leave.
inline constexpr std::uint64_t most_awaited_ns = 20'000'000;

struct CoreOptions {
  unsigned count = 1;
  // Bind each core to a processor of its own; without effect where the process may not use enough.
  bool pin = false;
  // Which processors, one for each core; null: the first ones the process may use.
  const unsigned* processors = nullptr;
  // set_urgent() is going to be used.
  bool urgency = false;
};

enum class Interrupt : std::uint8_t {
  preempt,    // sent by another core
  deadline,   // the core's own timer
  terminate,  // the machine is asked to stop in an orderly way
  hang_up,    // the machine is asked to read its configuration again
  device,     // a device of the core's has something to tell
};
inline constexpr unsigned interrupt_count = 5;

// Runs with interrupts off on the core that took the interrupt (no_core: a thread that is none). It
// MUST NOT allocate, lock or wait.
using InterruptHandler = void (*)(Interrupt interrupt, CoreId core) noexcept;

// A call of the host's that a flow waits in.
struct HostCall {
  const char* name = "";      // of the C library's function that makes it
  std::uintptr_t caller = 0;  // where that returns to
};

// Why a core cannot go on.
struct Fault {
  CoreId core = no_core;
  const char* what = "";       // for people
  std::uintptr_t address = 0;  // of the memory that was meant; 0: none, or not known
  std::uintptr_t at = 0;       // of the instruction; 0: not in the program's code
  // Of the call that went there, if that is not in the program's code and the HAL prints no calls
  // itself; 0: not known.
  std::uintptr_t caller = 0;
  std::size_t overrun = 0;  // the size of the core's own stack, if it was that which overran
  // What the flow had in its registers, and what it left on its stack last; both may be empty.
  std::span<const std::uintptr_t> registers{};
  std::span<const std::uintptr_t> stack{};
  // Whether there is memory at an address; null where there are no registers and no stack.
  bool (*can_read)(std::uintptr_t at) noexcept = nullptr;
};

// Runs on the core that faulted, on a stack of its own, wherever it was. The same rules hold as for
// interrupts.
using FaultHandler = void (*)(const Fault& fault) noexcept;

enum class Access : std::uint8_t { none, read, read_write };

}  // namespace lichen::hal

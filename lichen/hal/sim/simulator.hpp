// The simulator: sets up the machine of the sim world, and tells what happened on it.
//
// Each core is a flow of control with a clock of its own; the one whose clock is least goes on, and
// gives way when it is ahead of another by more than the seed allows. Clocks move in:
//   - calls of the HAL, each by a seeded cost;
//   - steps: code compiled with -fsanitize-coverage=edge,no-prune,trace-pc (the kernel of this
//     world is) takes a nanosecond for each basic block of its, and may be stopped, interrupted or
//     overtaken at any of them, lock-free code included;
//   - compute(), the work of apps; and wait(), in which a core is idle.
// So a run is a function of Options, whatever the host does. Memory is seen in one order by all
// cores: orders weaker than that are for ThreadSanitizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lichen/hal/types.hpp"

namespace lichen::hal::sim {

inline constexpr std::uint32_t full_capacity = 1024;

struct CoreModel {
  std::uint32_t capacity =
      full_capacity;              // speed: work of the biggest core a nanosecond, in 1/1024
  std::uint32_t busy_mw = 1'000;  // power while it runs
  std::uint32_t idle_mw = 50;     // power while it waits
};

// Both ends included.
struct Range {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

// What a core's clock does apart from work; nanoseconds of a core of full capacity for costs.
struct Timing {
  Range call_cost{5, 60};            // each call of the HAL
  Range pause_cost{40, 200};         // a turn of a polling loop
  Range yield_cost{200, 2'000};      // the rest of a slice
  Range interrupt_cost{300, 1'200};  // entry and exit of a handler
  Range wake_latency{500, 8'000};    // from wake() to the end of wait()
  Range interrupt_latency{300, 4'000};
  Range timer_latency{0, 3'000};  // of deadlines and of the end of a wait
  std::uint64_t ahead = 200;      // how far a core may run ahead of the others
  // A core stops for a while in the middle of anything (its host took the processor away), once in
  // so many steps on average; 0: never.
  std::uint64_t steps_between_stalls = 4'000;
  Range stall{1'000, 60'000};
  // Interrupt::preempt comes for no reason, to a core that does not wait, after such a time and
  // again; {0, 0}: never.
  Range spurious_interrupts{0, 0};
  unsigned early_returns = 64;  // one wait in so many returns for no reason; 0: none
};

struct Options {
  std::uint64_t seed = 1;
  std::vector<CoreModel> cores{4};
  Timing timing{};
  // Past these the run has failed: it does not come to an end.
  std::uint64_t time_limit_ns = 60'000'000'000;
  std::uint64_t turn_limit = 200'000'000;  // calls of the HAL and looks at other cores
  // Gets each event as a line of text. Null: only their hash is kept.
  void (*trace)(std::string_view line) noexcept = nullptr;
  bool trace_switches = false;  // also each time another core goes on
  // Called when the run has failed, before that is reported: to write out what `trace` has kept.
  void (*failed)() noexcept = nullptr;
};

// Timing in which a seed draws everything: how fine the cores interleave, how often they stall.
Timing seeded_timing(std::uint64_t seed) noexcept;

// Makes the machine anew, with what has happened on it forgotten; not while cores run.
void configure(const Options& options);
[[nodiscard]] const Options& options() noexcept;

// Work of an app: takes `work_ns` on a core of full capacity, longer on a smaller one. The only
// place where much time passes; an interrupt may end it in the middle, and its handler may make the
// flow call a function there, after which the rest of the work goes on.
void compute(std::uint64_t work_ns) noexcept;
// The code in which interrupted_at() lies during compute(). Apps put theirs there, too, with
// #pragma clang section text="lichen_app_text"
[[nodiscard]] std::span<const std::byte> app_text() noexcept;

// The host takes the running core away for so long, in the middle of an app's work; says_so: and
// core_time_ns() tells.
void take_core(std::uint64_t ns, bool says_so = true) noexcept;
// A machine below the host does: core_time_ns() tells, taken_ns() does not.
void steal_core(std::uint64_t ns) noexcept;
// The work waits in a call of the host's for so long: its core does not run, and nobody took it.
void block(std::uint64_t ns) noexcept;
// The host takes the core when it next sets its timer; it does not say so.
void take_core_when_arming(std::uint64_t ns) noexcept;
// And when it is next asked for the core's own time; it says so.
void take_core_when_asked(std::uint64_t ns) noexcept;

// A point at which another core may go on.
void step() noexcept;
// Puts a word of the program's own into the trace.
void note(std::string_view what) noexcept;
void note(std::string_view what, std::uint64_t value) noexcept;
// Raises an interrupt on a core at a moment, as a device would.
void raise_interrupt(CoreId core, Interrupt interrupt, std::uint64_t at_ns) noexcept;
[[nodiscard]] std::uint32_t capacity(CoreId core) noexcept;

// The run has failed: reports why, the seed, and where each core stands, and ends the program.
[[noreturn]] void fail(std::string_view reason) noexcept;

struct CoreStatistics {
  std::uint64_t clock_ns = 0;
  std::uint64_t busy_ns = 0;
  std::uint64_t idle_ns = 0;
  std::uint64_t computed_ns = 0;  // of busy: in compute()
  std::uint64_t energy_pj = 0;    // power times time
  std::uint64_t waits = 0;
  std::uint64_t wakes = 0;  // that ended a wait
  std::uint64_t interrupts = 0;
  std::uint64_t stalls = 0;
};
struct Statistics {
  std::vector<CoreStatistics> cores{};  // those that were started last
  std::uint64_t end_ns = 0;             // the latest clock
  std::uint64_t energy_pj = 0;          // until then, waiting included
  std::uint64_t switches = 0;
  std::uint64_t events = 0;
  std::uint64_t trace_hash = 0;  // of all events; equal for equal runs
};
[[nodiscard]] Statistics statistics();

}  // namespace lichen::hal::sim

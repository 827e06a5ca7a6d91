#include "lichen/hal/sim/simulator.hpp"

#include <algorithm>

#include "lichen/base/random.hpp"
#include "lichen/hal/sim/machine.hpp"

// The text of apps, from the linker.
extern "C" {
extern const std::byte __start_lichen_app_text;
extern const std::byte __stop_lichen_app_text;
}

// Called at the beginning of each basic block of instrumented code.
extern "C" void __sanitizer_cov_trace_pc() noexcept {
  using namespace lichen::hal;
  if (--sim::steps_left < 0) [[unlikely]]
    sim::Machine::instance().step(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
}

namespace lichen::hal::sim {

Timing seeded_timing(std::uint64_t seed) noexcept {
  Random random{seed ^ 0x7a11'51e5};
  const auto one_of = [&random](auto... choices) {
    const std::uint64_t all[] = {static_cast<std::uint64_t>(choices)...};
    return all[random.below(sizeof...(choices))];
  };
  Timing timing;
  // From a switch at every other block to hardly any within a call.
  timing.ahead = one_of(2, 10, 50, 200, 1'000, 5'000);
  // Often and short, or seldom and long: a core spends at most two thirds of its time stalled.
  timing.steps_between_stalls = one_of(0, 500, 2'000, 10'000, 50'000);
  timing.stall = {0, timing.steps_between_stalls * one_of(1, 2, 4)};
  timing.call_cost.most = one_of(5, 60, 500);
  timing.wake_latency.most = one_of(500, 8'000, 50'000);
  timing.interrupt_latency.most = one_of(300, 4'000, 20'000);
  if (random.below(2) == 0)
    timing.spurious_interrupts = {1'000, one_of(20'000, 200'000, 2'000'000)};
  timing.early_returns = static_cast<unsigned>(one_of(0, 4, 64));
  return timing;
}

void configure(const Options& options) { Machine::instance().configure(options); }
const Options& options() noexcept { return Machine::instance().options(); }

[[gnu::section("lichen_app_text"), gnu::used]] void compute(std::uint64_t work_ns) noexcept {
  Machine::instance().compute(work_ns);
}

[[gnu::section("lichen_app_text"), gnu::used]] void take_core(std::uint64_t ns,
                                                              bool says_so) noexcept {
  Machine::instance().take_core(ns, says_so);
}

[[gnu::section("lichen_app_text"), gnu::used]] void steal_core(std::uint64_t ns) noexcept {
  Machine::instance().steal_core(ns);
}

void block(std::uint64_t ns) noexcept { Machine::instance().block(ns); }

void take_core_when_arming(std::uint64_t ns) noexcept {
  if (SimCore* core = Machine::instance().running()) core->taken_when_arming_ns = ns;
}

void take_core_when_asked(std::uint64_t ns) noexcept {
  if (SimCore* core = Machine::instance().running()) core->taken_when_asked_ns = ns;
}

std::span<const std::byte> app_text() noexcept {
  return {&__start_lichen_app_text, &__stop_lichen_app_text};
}

void step() noexcept { Machine::instance().call({}); }

void note(std::string_view what) noexcept { note(what, no_value); }

void note(std::string_view what, std::uint64_t value) noexcept {
  Machine& machine = Machine::instance();
  if (SimCore* core = machine.running()) machine.emit(*core, what, value);
}

void raise_interrupt(CoreId id, Interrupt interrupt, std::uint64_t at_ns) noexcept {
  if (SimCore* core = Machine::instance().core(id)) {
    std::uint64_t& arrives = core->arrives[static_cast<unsigned>(interrupt)];
    arrives = std::min(arrives, at_ns);
  }
}

std::uint32_t capacity(CoreId id) noexcept {
  const auto& cores = options().cores;
  return id < cores.size() ? cores[id].capacity : 0;
}

void fail(std::string_view reason) noexcept { Machine::instance().fail(reason); }

Statistics statistics() { return Machine::instance().statistics(); }

}  // namespace lichen::hal::sim

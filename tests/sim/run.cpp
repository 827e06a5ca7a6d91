#include "tests/sim/run.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include "lichen/base/format.hpp"
#include "lichen/base/hash.hpp"
#include "tests/sim/device.hpp"

namespace lichen::tests {

namespace {

// Nothing that the scenario allocated is left.
void check_memory(sched::Machine& machine) noexcept {
  for (unsigned i = 0; i < machine.cores(); ++i) machine.core(i).frames().flush();
  for (unsigned i = 0; i < machine.cores(); ++i) machine.core(i).heap().trim();
  for (unsigned i = 0; i < machine.cores(); ++i) {
    const mem::HeapStatistics heap = machine.core(i).heap().statistics();
    for (const mem::ClassStatistics& each : heap.classes)
      check(each.live == 0, "no frame is left at the end");
    check(heap.large_live == 0, "no large block is left at the end");
  }
}

}  // namespace

Outcome run_scenario(const Scenario& scenario, std::uint64_t seed, const Watch& watch) {
  // The scenarios of a seed have nothing in common.
  std::uint64_t mixed = seed;
  for (const char c : scenario.name) mixed = mixed * 31 + static_cast<unsigned char>(c);
  Random random{mixed};
  hal::sim::Options options{.seed = random(),
                            .cores = {},
                            .trace = watch.trace,
                            .trace_switches = watch.switches,
                            .failed = watch.failed};
  static constexpr std::array<std::uint32_t, 4> capacities{1024, 1024, 512, 300};
  const auto cores = static_cast<unsigned>(1 + random.below(6));
  using enum Scenario::Machine;
  for (unsigned i = 0; i < cores; ++i) {
    const std::uint32_t capacity = capacities[random.below(capacities.size())];
    options.cores.push_back(
        {.capacity = scenario.machine < equal ? capacity : hal::sim::full_capacity});
  }
  hal::sim::Timing& timing = options.timing = hal::sim::seeded_timing(random());
  if (scenario.machine != wild) {
    timing.steps_between_stalls = 0;
    timing.stall = {};
    timing.wake_latency.most = std::min<std::uint64_t>(timing.wake_latency.most, 8'000);
    if (timing.spurious_interrupts.most > 0) timing.spurious_interrupts = {200'000, 2'000'000};
  }
  if (scenario.machine >= robbed) {
    timing.steps_between_stalls = 20'000;
    timing.stall = {500'000, 1'000'000};
  }
  hal::sim::configure(options);

  static constexpr std::array<std::int64_t, 3> polls{0, 2'000, 20'000};
  const auto few = static_cast<unsigned>(1 + random.below(4));
  auto machine = sched::Machine::create({.cores = cores,
                                         .poll = Duration{polls[random.below(polls.size())]},
                                         .realtime = scenario.machine == outranked,
                                         .stacks = scenario.few_stacks ? few : 16,
                                         .stack_size = std::size_t{128} * 1024});
  check(machine.has_value(), "a machine can be made");
  World world{random.split(), **machine, options,
              3'000'000 + 40 * timing.stall.most + 40 * timing.wake_latency.most,
              options.seed % 2 == 0};
  auto make_events = [&](unsigned core) -> Result<std::unique_ptr<sched::EventSource>> {
    return std::make_unique<Device>(core, world.keeps_back);
  };
  const Result<void> ended = (*machine)->run(scenario.run(world), make_events);
  check(ended.has_value(), "the scenario's main task ends without an error");
  check((*machine)->root().active() == 0, "no task is left at the end");
  for (unsigned i = 0; i < cores; ++i)
    check((*machine)->core(i).timers().size() == 0, "no timer is left at the end");
  check_memory(**machine);
  Outcome all{.machine = hal::sim::statistics()};
  for (unsigned i = 0; i < cores; ++i)
    all.preemptions += (*machine)->core(i).statistics().preemptions;
  return all;
}

}  // namespace lichen::tests

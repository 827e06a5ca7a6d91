// What a scenario is: a program on the kernel that a seed decides, and that checks itself.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/random.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/hal/sim/simulator.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::tests {

struct World {
  Random random;  // belongs to the main task
  sched::Machine& machine;
  hal::sim::Options options;
  // How much longer than ideal something may take because cores stall, wake late and run other
  // things first.
  std::uint64_t slack_ns;
  // The cores' devices (device.hpp) interrupt them only on request.
  bool keeps_back = false;

  [[nodiscard]] std::uint64_t total_capacity() const noexcept;
  [[nodiscard]] std::uint32_t least_capacity() const noexcept;
};

struct Scenario {
  std::string_view name;
  std::string_view what;
  Task<Result<void>> (*run)(World& world);
  enum class Machine : std::uint8_t {
    wild,   // whatever the seed makes of it
    calm,   // cores do not stall, and nothing interrupts them often: what takes time can be bounded
    equal,  // calm, and all cores are of full speed
    robbed,     // equal, but now and then the host takes a core for milliseconds
    outranked,  // robbed, but the host lets frames go first
  };
  Machine machine = Machine::wild;
  bool few_stacks = false;  // so that tasks are found that cannot be set aside
  bool broken = false;      // fails for some seeds: proves that faults are found
};

// All of them, those of one file after another.
std::span<const Scenario> scenarios() noexcept;

// Ends the run as failed.
inline void check(bool holds, std::string_view what) noexcept {
  if (!holds) [[unlikely]]
    hal::sim::fail(what);
}

// Scenarios.
Task<Result<void>> trees(World& world);
Task<Result<void>> forks(World& world);
Task<Result<void>> moves(World& world);
Task<Result<void>> wakes(World& world);
Task<Result<void>> pairs(World& world);
Task<Result<void>> channels(World& world);
Task<Result<void>> selects(World& world);
Task<Result<void>> locks(World& world);
Task<Result<void>> timers(World& world);
Task<Result<void>> stops(World& world);
Task<Result<void>> hogs(World& world);
Task<Result<void>> streams(World& world);
Task<Result<void>> hurries(World& world);
Task<Result<void>> alarms(World& world);
Task<Result<void>> equals(World& world);
Task<Result<void>> turns(World& world);
Task<Result<void>> storms(World& world);
Task<Result<void>> shares(World& world);
Task<Result<void>> shares_anywhere(World& world);
Task<Result<void>> robbed_shares(World& world);
Task<Result<void>> robbed_guarantee(World& world);
Task<Result<void>> blocked_shares(World& world);
Task<Result<void>> starving(World& world);
Task<Result<void>> sleepers(World& world);
Task<Result<void>> switches(World& world);
Task<Result<void>> frames(World& world);
Task<Result<void>> frames_beside_calls(World& world);
Task<Result<void>> robbed_frames(World& world);
Task<Result<void>> outranking_frames(World& world);
Task<Result<void>> frames_on_a_tenth(World& world);
Task<Result<void>> late_reasons(World& world);
Task<Result<void>> inherit(World& world);
Task<Result<void>> chains(World& world);
Task<Result<void>> leases(World& world);
Task<Result<void>> devices(World& world);
Task<Result<void>> watched(World& world);
Task<Result<void>> lost_wake(World& world);
Task<Result<void>> torn_count(World& world);

}  // namespace lichen::tests

// Runs one scenario under one seed, in this process.
#pragma once

#include <cstdint>
#include <string_view>

#include "tests/sim/scenario.hpp"

namespace lichen::tests {

struct Watch {
  void (*trace)(std::string_view line) noexcept = nullptr;
  bool switches = false;
  void (*failed)() noexcept = nullptr;
};

struct Outcome {
  hal::sim::Statistics machine;
  std::uint64_t preemptions = 0;  // tasks set aside in the middle
};

// Returns when it has passed; a failure ends the program.
Outcome run_scenario(const Scenario& scenario, std::uint64_t seed, const Watch& watch);

}  // namespace lichen::tests

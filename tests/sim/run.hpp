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

// Returns when it has passed; a failure ends the program.
hal::sim::Statistics run_scenario(const Scenario& scenario, std::uint64_t seed, const Watch& watch);

}  // namespace lichen::tests

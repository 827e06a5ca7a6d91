// What the tests of bands share: machines of one core and of two, and hogs.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>

#include "lichen/coro/scope.hpp"
#include "lichen/sched/machine.hpp"
#include "tests/torture/breathe.hpp"

namespace lichen {

struct OnCores : testing::TestWithParam<unsigned> {
  void run(Task<Result<void>> main) {
    auto machine = sched::Machine::create({.cores = GetParam(), .pin = false});
    ASSERT_TRUE(machine.has_value());
    const auto outcome = (*machine)->run(std::move(main));
    EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
  }
};

inline Task<> hog_until(const std::atomic<bool>& done, std::atomic<std::uint64_t>* work = nullptr) {
  std::uint64_t rounds = 0;
  while (!done.load(std::memory_order_relaxed)) {
    ++rounds;
    breathe();
  }
  if (work) *work += rounds;
  co_return;
}

// A tail of hogs of the classes in between, more than there are cores.
inline void spawn_hogs(Scope& scope, coro::LaneId lane, const std::atomic<bool>& done) {
  for (unsigned i = 0; i < 2 * sched::Machine::current().cores(); ++i)
    scope.spawn(hog_until(done), {.lane = lane});
}

}  // namespace lichen

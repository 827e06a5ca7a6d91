// What the torture tests of tasks share.
#pragma once

#include <gtest/gtest.h>

#include <chrono>

#include "lichen/base/random.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::test {

using namespace std::chrono_literals;

// More cores than processors on purpose: the host then takes a core away in the middle of anything.
class Torture : public testing::TestWithParam<unsigned> {
 protected:
  void run(Task<Result<void>> main) {
    auto machine = sched::Machine::create({.cores = GetParam(), .pin = false});
    ASSERT_TRUE(machine.has_value());
    const auto outcome = (*machine)->run(std::move(main));
    EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
    for (unsigned i = 0; i < GetParam(); ++i)
      EXPECT_EQ((*machine)->core(i).timers().size(), 0U) << "core " << i;
    EXPECT_EQ((*machine)->root().active(), 0U);
  }
};

inline Task<> yield_some(Random& random, unsigned most) {
  for (auto n = random.below(most + 1); n > 0; --n) co_await yield();
}

}  // namespace lichen::test

// The simulated machine by itself: clocks, wakes, interrupts, limits, and that a seed decides all.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "lichen/base/core_slot.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/sim/simulator.hpp"

namespace lichen::hal {
namespace {

using sim::configure;
using sim::CoreModel;

// A machine without chance: each call costs nothing, each latency is the same.
sim::Options exact(std::vector<CoreModel> cores) {
  sim::Options options;
  options.cores = std::move(cores);
  options.timing = {.call_cost = {0, 0},
                    .pause_cost = {100, 100},
                    .yield_cost = {1'000, 1'000},
                    .interrupt_cost = {500, 500},
                    .wake_latency = {2'000, 2'000},
                    .interrupt_latency = {1'000, 1'000},
                    .timer_latency = {0, 0},
                    .ahead = 0,
                    .steps_between_stalls = 0,
                    .stall = {0, 0},
                    .early_returns = 0};
  return options;
}

void run(unsigned cores, base::FunctionRef<void(CoreId)> entry) {
  ASSERT_TRUE(start_cores({.count = cores}, entry).has_value());
}

std::string trace;
void keep(std::string_view line) noexcept { trace += line; }

TEST(Sim, CoresAreFlowsOfOneThread) {
  configure(exact({{}, {}, {}}));
  EXPECT_EQ(core_count_available(), 3U);
  EXPECT_EQ(this_core(), no_core);
  std::vector<CoreId> ran;
  int words[3];
  run(3, [&](CoreId core) {
    EXPECT_EQ(this_core(), core);
    base::set_core_slot(&words[core]);
    for (int i = 0; i < 3; ++i) {
      yield_to_host();
      EXPECT_EQ(base::core_slot(), &words[core]);
      EXPECT_EQ(this_core(), core);
    }
    ran.push_back(core);
  });
  std::ranges::sort(ran);
  EXPECT_EQ(ran, (std::vector<CoreId>{0, 1, 2}));
  EXPECT_EQ(this_core(), no_core);
  EXPECT_EQ(base::core_slot(), nullptr);
}

TEST(Sim, TheContractsErrors) {
  configure(exact({{}, {}}));
  EXPECT_TRUE(start_cores({.count = 0}, [](CoreId) {}).failed_with(Error::invalid_argument));
  EXPECT_TRUE(start_cores({.count = 3}, [](CoreId) {}).failed_with(Error::invalid_argument));
  EXPECT_TRUE(arm_deadline(0, 1).failed_with(Error::invalid_argument));
  EXPECT_TRUE(send_interrupt(0).failed_with(Error::invalid_argument));
  run(2, [](CoreId core) {
    EXPECT_TRUE(start_cores({.count = 1}, [](CoreId) {}).failed_with(Error::busy));
    EXPECT_TRUE(arm_deadline(core ^ 1, 1).failed_with(Error::invalid_argument));
    EXPECT_TRUE(arm_deadline(core, 1).failed_with(Error::invalid_state));
    EXPECT_TRUE(send_interrupt(7).failed_with(Error::invalid_argument));
    EXPECT_TRUE(send_interrupt(core).failed_with(Error::invalid_state));
  });
}

TEST(Sim, WorkTakesLongerOnASmallCore) {
  configure(exact({{.capacity = 1024}, {.capacity = 256, .busy_mw = 200, .idle_mw = 10}}));
  std::array<std::uint64_t, 2> took{};
  run(2, [&](CoreId core) {
    const std::uint64_t began = now_ns();
    sim::compute(1'000'000);
    took[core] = now_ns() - began;
  });
  EXPECT_EQ(took[0], 1'000'000U);
  EXPECT_EQ(took[1], 4'000'000U);
  const sim::Statistics all = sim::statistics();
  EXPECT_EQ(all.end_ns, 4'000'000U);
  EXPECT_EQ(all.cores[0].busy_ns, 1'000'000U);
  EXPECT_EQ(all.cores[0].idle_ns, 3'000'000U);
  EXPECT_EQ(all.cores[1].computed_ns, 4'000'000U);
  // Milliwatts times nanoseconds are picojoules.
  EXPECT_EQ(all.cores[0].energy_pj, 1'000'000U * 1'000 + 3'000'000U * 50);
  EXPECT_EQ(all.cores[1].energy_pj, 4'000'000U * 200);
  EXPECT_EQ(all.energy_pj, all.cores[0].energy_pj + all.cores[1].energy_pj);
}

TEST(Sim, AWaitEndsAtItsDeadlineOrByAWake) {
  configure(exact({{}, {}}));
  run(2, [](CoreId core) {
    if (core == 0) {
      wait(0, 50'000);
      EXPECT_EQ(now_ns(), 50'000U);
      wake(1);
      wake(0);
      wait(0, no_deadline);  // not lost
      EXPECT_EQ(now_ns(), 50'000U);
    } else {
      wait(1, no_deadline);
      EXPECT_EQ(now_ns(), 52'000U);
    }
  });
  EXPECT_EQ(sim::statistics().cores[1].wakes, 1U);
  EXPECT_EQ(sim::statistics().cores[1].idle_ns, 52'000U);
}

TEST(Sim, TimeNeverGoesBackFromCoreToCore) {
  sim::Options options;
  options.cores.resize(4);
  options.timing.ahead = 5'000;
  configure(options);
  std::uint64_t latest = 0;
  run(4, [&](CoreId) {
    for (int i = 0; i < 1'000; ++i) {
      const std::uint64_t now = now_ns();
      EXPECT_GE(now, latest);
      latest = now;
      if (i % 7 == 0) yield_to_host();
      if (i % 11 == 0) pause();
    }
  });
}

int interrupts_seen = 0;
std::uintptr_t seen_at = 0;
int called_after = 0;

TEST(Sim, AnInterruptEndsWorkInTheMiddle) {
  configure(exact({{}, {}}));
  interrupts_seen = called_after = 0;
  ASSERT_TRUE(register_interrupt(Interrupt::preempt, [](Interrupt, CoreId core) noexcept {
                EXPECT_EQ(core, this_core());
                EXPECT_FALSE(interrupts_are_on());
                ++interrupts_seen;
                seen_at = interrupted_at();
                call_after_interrupt([]() noexcept {
                  EXPECT_TRUE(interrupts_are_on());
                  EXPECT_EQ(interrupted_at(), 0U);
                  EXPECT_EQ(interrupts_seen, 1);
                  ++called_after;
                  sim::compute(3'000);
                });
                // Not before the handler has returned, whatever it does.
                sim::step();
                EXPECT_EQ(called_after, 0);
              }).has_value());
  run(2, [](CoreId core) {
    if (core == 0) {
      wait(0, 10'000);
      ASSERT_TRUE(send_interrupt(1).has_value());
      wait(0, 100'000);
    } else {
      sim::compute(20'000);
      EXPECT_EQ(now_ns(), 20'000U + 500 + 3'000);
    }
  });
  EXPECT_EQ(interrupts_seen, 1);
  EXPECT_EQ(called_after, 1);
  const auto text = sim::app_text();
  EXPECT_GE(seen_at, reinterpret_cast<std::uintptr_t>(text.data()));
  EXPECT_LT(seen_at, reinterpret_cast<std::uintptr_t>(text.data() + text.size()));
}

TEST(Sim, ADeadlineRingsOnceAndWaitsUntilInterruptsAreOn) {
  configure(exact({{}}));
  interrupts_seen = 0;
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, [](Interrupt, CoreId) noexcept {
                ++interrupts_seen;
                seen_at = interrupted_at();
              }).has_value());
  run(1, [](CoreId) {
    ASSERT_TRUE(arm_deadline(0, 5'000).has_value());
    ASSERT_TRUE(arm_deadline(0, 8'000).has_value());  // instead
    interrupts_off();
    interrupts_off();
    sim::compute(10'000);
    EXPECT_EQ(interrupts_seen, 0);
    interrupts_on();
    EXPECT_EQ(interrupts_seen, 0);
    interrupts_on();
    EXPECT_EQ(interrupts_seen, 1);
    EXPECT_EQ(seen_at, 0U);  // served late
    ASSERT_TRUE(arm_deadline(0, 50'000).has_value());
    ASSERT_TRUE(arm_deadline(0, no_deadline).has_value());
    ASSERT_TRUE(arm_deadline(0, now_ns() + 1'000).has_value());
    wait(0, no_deadline);  // ended by the interrupt
    EXPECT_EQ(interrupts_seen, 2);
    EXPECT_LT(now_ns(), 50'000U);
    sim::compute(100'000);
    EXPECT_EQ(interrupts_seen, 2);
  });
}

// A program with every kind of chance in it.
std::uint64_t roll(std::uint64_t seed) {
  sim::Options options{.seed = seed, .cores = {{}, {.capacity = 700}, {.capacity = 300}}};
  options.timing = sim::seeded_timing(seed);
  options.trace = keep;
  options.trace_switches = true;
  trace.clear();
  configure(options);
  EXPECT_TRUE(register_interrupt(Interrupt::preempt, [](Interrupt, CoreId) noexcept {
                sim::note("handles");
              }).has_value());
  run(3, [](CoreId core) {
    for (unsigned i = 0; i < 20; ++i) {
      sim::compute(1'000 * (core + 1));
      wake((core + 1) % 3);
      if (i % 3 == core) (void)send_interrupt((core + 2) % 3);
      wait(core, now_ns() + 5'000);
      std::array<std::byte, 1> byte;
      ASSERT_TRUE(random_bytes(byte).has_value());
      if (std::to_integer<int>(byte[0]) % 2) yield_to_host();
    }
  });
  return sim::statistics().trace_hash;
}

TEST(Sim, ARunIsAFunctionOfItsSeed) {
  for (std::uint64_t seed = 1; seed < 30; ++seed) {
    const std::uint64_t first = roll(seed);
    const std::string text = trace;
    EXPECT_GT(std::ranges::count(text, '\n'), 100);
    EXPECT_EQ(roll(seed), first);
    EXPECT_EQ(trace, text);
    EXPECT_NE(roll(seed + 100), first);
  }
}

TEST(SimDeathTest, ADeadlockIsReported) {
  configure(exact({{}, {}}));
  EXPECT_DEATH(run(2, [](CoreId core) { wait(core, no_deadline); }),
               "deadlock: all cores wait.*\n.*seed 1,.*\n.*core 0 at .* waiting");
}

TEST(SimDeathTest, ARunWithoutEndIsReported) {
  sim::Options options = exact({{}});
  options.time_limit_ns = 1'000'000;
  configure(options);
  EXPECT_DEATH(run(1,
                   [](CoreId) {
                     for (;;) pause();
                   }),
               "the limit of virtual time");
  options.turn_limit = 1'000;
  options.timing.pause_cost = {0, 0};
  configure(options);
  EXPECT_DEATH(run(1,
                   [](CoreId) {
                     for (;;) pause();
                   }),
               "the limit of turns");
}

}  // namespace
}  // namespace lichen::hal

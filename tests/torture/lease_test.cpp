// Cores leave the lease and come back while everything goes on. Meant to run under ThreadSanitizer
// as well.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>

#include "lichen/base/random.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen::sched {
namespace {

using namespace std::chrono_literals;

constexpr std::array power{CorePower{.busy = 1'700, .idle = 40},
                           CorePower{.busy = 300, .idle = 10}};
const Spread spread;
const Pack pack;
const EnergyAware energy{power};

class LeaseTorture : public testing::TestWithParam<const Placement*> {
 protected:
  static constexpr unsigned cores = 4;

  void run(Task<Result<void>> main) {
    auto machine = Machine::create({.cores = cores, .pin = false, .placement = GetParam()});
    ASSERT_TRUE(machine.has_value());
    const auto outcome = (*machine)->run(std::move(main));
    EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
    for (unsigned i = 0; i < cores; ++i) EXPECT_EQ((*machine)->core(i).timers().size(), 0U);
    EXPECT_EQ((*machine)->root().active(), 0U);
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, LeaseTorture, testing::Values(&spread, &pack, &energy),
                         [](const auto& info) {
                           return info.param == &spread ? "Spread"
                                  : info.param == &pack ? "Pack"
                                                        : "EnergyAware";
                         });

Task<Result<void>> change(std::atomic<bool>& over, std::uint64_t seed) {
  Random random{seed};
  Machine& machine = Machine::current();
  while (!over.load()) {
    CO_TRY(machine.set_active_cores(static_cast<unsigned>(1 + random.below(machine.cores()))));
    if (random.below(2))
      CO_TRY(co_await sleep_for(std::chrono::microseconds{random.below(300)}));
    else
      co_await yield();
  }
  co_return machine.set_active_cores(machine.cores());
}

Task<Result<void>> tree(unsigned depth, std::atomic<unsigned>& leaves) {
  if (depth == 0) {
    leaves.fetch_add(1, std::memory_order_relaxed);
    co_return Result<void>{};
  }
  Scope scope;
  for (unsigned i = 0; i < 3; ++i) scope.spawn(tree(depth - 1, leaves));
  co_return co_await scope.join();
}

TEST_P(LeaseTorture, NothingIsLost) {
  auto body = []() -> Task<Result<void>> {
    Machine& machine = Machine::current();
    std::atomic<bool> over{false};
    Scope changing;
    changing.spawn(change(over, 1));
    changing.spawn(change(over, 2));

    constexpr unsigned rounds = 400;
    std::atomic<unsigned> pinned{0};
    std::atomic<unsigned> slept{0};
    std::atomic<unsigned> received{0};
    std::atomic<unsigned> leaves{0};
    std::array<std::unique_ptr<Channel<unsigned>>, 3> channels;
    auto stay = [&](Executor& home) -> Task<Result<void>> {
      for (unsigned i = 0; i < rounds; ++i) {
        EXPECT_EQ(coro::this_core(), &home);
        pinned.fetch_add(1, std::memory_order_relaxed);
        if (i % 16 == 0)
          CO_TRY(co_await sleep_for(50us));
        else
          co_await yield();
      }
      co_return Result<void>{};
    };
    auto doze = [&](std::uint64_t seed) -> Task<Result<void>> {
      Random random{seed};
      for (unsigned i = 0; i < rounds / 4; ++i) {
        CO_TRY(co_await sleep_for(std::chrono::microseconds{random.below(100)}));
        slept.fetch_add(1, std::memory_order_relaxed);
      }
      co_return Result<void>{};
    };
    auto send = [&](Channel<unsigned>& channel) -> Task<Result<void>> {
      for (unsigned i = 0; i < rounds; ++i) CO_TRY(co_await channel.send(i));
      co_return Result<void>{};
    };
    auto receive = [&](Channel<unsigned>& channel) -> Task<Result<void>> {
      for (unsigned i = 0; i < rounds; ++i) {
        EXPECT_EQ(CO_TRY(co_await channel.receive()), i);
        received.fetch_add(1, std::memory_order_relaxed);
      }
      co_return Result<void>{};
    };
    Scope scope;
    for (unsigned i = 0; i < machine.cores(); ++i)
      scope.spawn(stay(machine.core(i)), &machine.core(i));
    for (unsigned i = 0; i < 8; ++i) scope.spawn(doze(i));
    for (auto& channel : channels) {
      channel = std::make_unique<Channel<unsigned>>(2);
      scope.spawn(send(*channel));
      scope.spawn(receive(*channel));
    }
    for (unsigned i = 0; i < 4; ++i) scope.spawn(tree(5, leaves));
    CO_TRY(co_await scope.join());
    over = true;
    CO_TRY(co_await changing.join());
    EXPECT_EQ(pinned, rounds * machine.cores());
    EXPECT_EQ(slept, 8 * (rounds / 4));
    EXPECT_EQ(received, 3 * rounds);
    EXPECT_EQ(leaves, 4U * 243U);
    EXPECT_EQ(machine.active_cores(), machine.cores());
    co_return Result<void>{};
  };
  run(body());
}

// Cores that are kept for something take what is bound to them and nothing else.
TEST(Roles, KeepCoresForWhatIsBoundToThem) {
  static constexpr std::array roles{CoreRole::app, CoreRole::event, CoreRole::net};
  auto machine = Machine::create({.cores = roles.size(), .pin = false, .roles = roles});
  ASSERT_TRUE(machine.has_value());
  auto body = []() -> Task<Result<void>> {
    Machine& here = Machine::current();
    EXPECT_EQ(&here.core_of(CoreRole::app), &here.core(0));
    EXPECT_EQ(&here.core_of(CoreRole::event), &here.core(1));
    EXPECT_EQ(&here.core_of(CoreRole::net), &here.core(2));
    auto stay = [](const Executor& home, unsigned& turns) -> Task<Result<void>> {
      for (unsigned i = 0; i < 50; ++i) {
        EXPECT_EQ(coro::this_core(), &home);
        ++turns;
        if (i % 10 == 0)
          CO_TRY(co_await sleep_for(100us));
        else
          co_await yield();
      }
      co_return Result<void>{};
    };
    std::array<unsigned, roles.size()> bound{};
    std::array<unsigned, 12> free{};
    Scope scope;
    for (unsigned i = 0; i < roles.size(); ++i)
      scope.spawn(stay(here.core_of(roles[i]), bound[i]), &here.core_of(roles[i]));
    for (unsigned& turns : free) scope.spawn(stay(here.core(0), turns));
    // Frames, too, as long as there is room, and then they are refused.
    auto group = CO_TRY(make_group({.name = "app"}));
    for (unsigned i = 0; i < 3; ++i)
      scope.spawn([](Group& of, const Executor& home) -> Task<Result<void>> {
        auto frames = CO_TRY(co_await Frames::reserve(of, {.period = 10ms, .budget = 2ms}));
        EXPECT_EQ(coro::this_core(), &home);
        for (unsigned frame = 0; frame < 3; ++frame) CO_TRY(co_await frames.next());
        co_return Result<void>{};
      }(*group, here.core(0)));
    CO_TRY(co_await scope.join());
    for (const unsigned turns : bound) EXPECT_EQ(turns, 50U);
    for (const unsigned turns : free) EXPECT_EQ(turns, 50U);
    EXPECT_TRUE((co_await Frames::reserve(*group, {.period = 10ms, .budget = 8ms}))
                    .failed_with(Error::limit_reached));
    CO_TRY(here.set_active_cores(1));
    CO_TRY(here.set_active_cores(3));
    co_return Result<void>{};
  };
  const auto outcome = (*machine)->run(body());
  EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
}

TEST(Roles, CoreZeroRunsApps) {
  constexpr std::array roles{CoreRole::net};
  EXPECT_TRUE(Machine::create({.cores = 2, .pin = false, .roles = roles})
                  .failed_with(Error::invalid_argument));
  auto machine = Machine::create({.cores = 2, .pin = false});
  ASSERT_TRUE(machine.has_value());
  EXPECT_EQ(&(*machine)->core_of(CoreRole::net), &(*machine)->core(0));
}

TEST_P(LeaseTorture, TwoToOneToTwo) {
  auto body = []() -> Task<Result<void>> {
    Machine& machine = Machine::current();
    EXPECT_TRUE(machine.set_active_cores(0).failed_with(Error::out_of_range));
    EXPECT_TRUE(machine.set_active_cores(cores + 1).failed_with(Error::out_of_range));
    std::atomic<unsigned> leaves{0};
    for (const unsigned count : {2U, 1U, 2U}) {
      CO_TRY(machine.set_active_cores(count));
      EXPECT_EQ(machine.active_cores(), count);
      CO_TRY(co_await tree(6, leaves));
    }
    EXPECT_EQ(leaves, 3U * 729U);
    co_return Result<void>{};
  };
  run(body());
}

}  // namespace
}  // namespace lichen::sched

// Several loans of one task, and of many; no time plays a part.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>

#include "lichen/coro/event.hpp"
#include "lichen/coro/latch.hpp"
#include "lichen/coro/loan.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using coro::LaneId;
using sched::Machine;
using sched::make_group;
using sched::Qos;

void run_on(unsigned cores, Task<Result<void>> main) {
  auto machine = Machine::create({.cores = cores, .pin = false, .preemption = false});
  ASSERT_TRUE(machine.has_value());
  EXPECT_TRUE((*machine)->run(std::move(main)).has_value());
}

LaneId lane_here() { return coro::this_core()->current()->lane(); }

// `waits`, if any, is told just before.
Task<Result<void>> lock_once(Mutex& mutex, Latch* waits = nullptr) {
  if (waits) waits->count_down();
  auto guard = CO_TRY(co_await mutex.lock());
  co_return Result<void>{};
}

// More than a core is told of one by one.
TEST(Loans, ReachAllChildrenThatAreReady) {
  run_on(1, []() -> Task<Result<void>> {
    constexpr unsigned count = 1'000;
    auto low = CO_TRY(make_group({.name = "low"}));
    auto high = CO_TRY(make_group({.name = "high", .foreground = true}));
    const LaneId urgent = high->lane(Qos::user_interactive);
    Mutex mutex;
    Event locked;
    Event asked;
    unsigned hurried = 0;
    Scope all;
    all.spawn(
        [](Mutex& lock, Event& holds, Event& others, LaneId lane,
           unsigned& right) -> Task<Result<void>> {
          auto guard = CO_TRY(co_await lock.lock());
          holds.set();
          CO_TRY(co_await others.wait());
          Scope scope;
          for (unsigned i = 0; i < count; ++i)
            scope.spawn([](LaneId expected, unsigned& sum) -> Task<> {
              sum += lane_here() == expected;
              co_return;
            }(lane, right));
          co_return co_await scope.join();
        }(mutex, locked, asked, urgent, hurried),
        {.lane = low->lane(Qos::background)});
    co_await sched::enter(*high, Qos::user_interactive);
    CO_TRY(co_await locked.wait());
    asked.set();
    {
      auto guard = CO_TRY(co_await mutex.lock());
      EXPECT_EQ(hurried, count);
    }
    co_return co_await all.join();
  }());
}

// Each to a debtor of its own. With a walk through all of them for each this takes seconds.
TEST(Loans, ToThousandsAtATime) {
  run_on(1, []() -> Task<Result<void>> {
    constexpr unsigned count = 10'000;
    auto low = CO_TRY(make_group({.name = "low"}));
    auto high = CO_TRY(make_group({.name = "high", .foreground = true}));
    const LaneId own = low->lane(Qos::background);
    const LaneId urgent = high->lane(Qos::user_interactive);
    const auto mutexes = std::make_unique<Mutex[]>(count);
    Latch locked{count};
    Latch asked{count};
    Event goes_on;
    unsigned hurried = 0;
    Scope all;
    for (unsigned i = 0; i < count; ++i)
      all.spawn(
          [](Mutex& mutex, Latch& holds, Event& go, LaneId lane, LaneId before,
             unsigned& right) -> Task<Result<void>> {
            {
              auto guard = CO_TRY(co_await mutex.lock());
              holds.count_down();
              CO_TRY(co_await go.wait());
              right += lane_here() == lane;
            }
            right += lane_here() == before;
            co_return Result<void>{};
          }(mutexes[i], locked, goes_on, urgent, own, hurried),
          {.lane = own});
    CO_TRY(co_await locked.wait());
    for (unsigned i = 0; i < count; ++i) all.spawn(lock_once(mutexes[i], &asked), {.lane = urgent});
    CO_TRY(co_await asked.wait());
    goes_on.set();
    CO_TRY(co_await all.join());
    EXPECT_EQ(hurried, 2 * count);
    co_return Result<void>{};
  }());
}

// Three who wait for what one task has: each loan counts until that one ends, in any order.
TEST(Loans, OfSeveralTheMostUrgentThatIsLeftCounts) {
  run_on(1, []() -> Task<Result<void>> {
    auto low = CO_TRY(make_group({.name = "low"}));
    auto high = CO_TRY(make_group({.name = "high", .foreground = true}));
    const LaneId own = low->lane(Qos::background);
    const LaneId some = high->lane(Qos::utility);
    const LaneId most = high->lane(Qos::user_interactive);
    Mutex a;
    Mutex b;
    Mutex c;
    Event locked;
    Event queued;
    Latch first{1};
    Latch rest{2};
    Scope all;
    all.spawn(
        [](std::array<Mutex*, 3> mutexes, Event& holds, Event& others,
           std::array<LaneId, 3> lanes) -> Task<Result<void>> {
          std::optional guard_a{CO_TRY(co_await mutexes[0]->lock())};
          std::optional guard_b{CO_TRY(co_await mutexes[1]->lock())};
          std::optional guard_c{CO_TRY(co_await mutexes[2]->lock())};
          holds.set();
          CO_TRY(co_await others.wait());
          EXPECT_EQ(lane_here(), lanes[2]);
          guard_a.reset();
          EXPECT_EQ(lane_here(), lanes[2]);  // as urgent: another one waits
          guard_c.reset();
          EXPECT_EQ(lane_here(), lanes[1]);
          EXPECT_EQ(coro::own_lane(*coro::this_core()->current()), lanes[0]);
          guard_b.reset();
          EXPECT_EQ(lane_here(), lanes[0]);
          co_return Result<void>{};
        }({&a, &b, &c}, locked, queued, {own, some, most}),
        {.lane = own});
    CO_TRY(co_await locked.wait());
    all.spawn(lock_once(a, &first), {.lane = most});
    CO_TRY(co_await first.wait());
    all.spawn(lock_once(b, &rest), {.lane = some});
    all.spawn(lock_once(c, &rest), {.lane = most});
    CO_TRY(co_await rest.wait());
    queued.set();
    co_return co_await all.join();
  }());
}

// Who gets a mutex first because it is lent a lane is hurried for those behind it when it has lost
// that.
TEST(Loans, AreMadeAgainWhenAMutexIsHandedOn) {
  run_on(1, []() -> Task<Result<void>> {
    auto low = CO_TRY(make_group({.name = "low"}));
    auto high = CO_TRY(make_group({.name = "high", .foreground = true}));
    const LaneId own = low->lane(Qos::background);
    const LaneId some = high->lane(Qos::utility);
    Mutex first;
    Mutex second;
    Event locked;
    Scope all;
    std::optional held{CO_TRY(co_await second.lock())};
    all.spawn(
        [](Mutex& has, Mutex& wants, Event& holds, LaneId lane) -> Task<Result<void>> {
          std::optional guard{CO_TRY(co_await has.lock())};
          holds.set();
          auto other = CO_TRY(co_await wants.lock());
          guard.reset();
          EXPECT_EQ(lane_here(), lane);
          co_return Result<void>{};
        }(first, second, locked, some),
        {.lane = own});
    CO_TRY(co_await locked.wait());
    Latch rest{2};
    all.spawn(lock_once(second, &rest), {.lane = some});
    all.spawn(lock_once(first, &rest), {.lane = high->lane(Qos::user_interactive)});
    CO_TRY(co_await rest.wait());
    held.reset();
    co_return co_await all.join();
  }());
}

// Two tasks that wait for each other, and who waits for one of them, until they are stopped.
TEST(Loans, ThatGoRoundInACircleEnd) {
  for (const unsigned cores : {1U, 2U})
    run_on(cores, []() -> Task<Result<void>> {
      auto low = CO_TRY(make_group({.name = "low"}));
      auto high = CO_TRY(make_group({.name = "high", .foreground = true}));
      Mutex a;
      Mutex b;
      Event has_a;
      Event has_b;
      auto lock_both = [](Mutex& one, Mutex& other, Event& mine, Event& its) -> Task<Result<void>> {
        auto guard = CO_TRY(co_await one.lock());
        mine.set();
        CO_TRY(co_await its.wait());
        co_return co_await with_timeout(1h, lock_once(other));
      };
      Scope circle;
      circle.spawn(lock_both(a, b, has_a, has_b), {.lane = low->lane(Qos::background)});
      circle.spawn(lock_both(b, a, has_b, has_a), {.lane = low->lane(Qos::utility)});
      CO_TRY(co_await has_a.wait());
      CO_TRY(co_await has_b.wait());
      Scope urgent;
      urgent.spawn(lock_once(a), {.lane = high->lane(Qos::user_interactive)});
      urgent.spawn(lock_once(b), {.lane = high->lane(Qos::user_initiated)});
      while (low->statistics().boosts < 4) CO_TRY(co_await coro::sleep_for(100us));
      circle.request_stop();
      EXPECT_TRUE((co_await circle.join()).failed_with(Error::stopped));
      co_return co_await urgent.join();
    }());
}

}  // namespace
}  // namespace lichen

// Urgency that is inherited through mutexes, channels, children and selects, on the real machine.
// App text, as preempt_test.cpp; the bounds are those of order, never of time.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/select.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"
#include "lichen/sched/request.hpp"
#include "tests/torture/hogs.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using coro::LaneId;
using sched::Frames;
using sched::Group;
using sched::Machine;
using sched::make_group;
using sched::Qos;

struct Inheritance : OnCores {};
INSTANTIATE_TEST_SUITE_P(Cores, Inheritance, testing::Values(1U, 2U));

TEST_P(Inheritance, AMutexLendsTheUrgencyOfThoseWhoWait) {
  run([]() -> Task<Result<void>> {
    auto low = CO_TRY(make_group({.name = "low"}));
    auto middle = CO_TRY(make_group({.name = "middle", .foreground = true}));
    auto high = CO_TRY(make_group({.name = "high", .foreground = true}));
    std::atomic<bool> done{false};
    Mutex mutex;
    Event locked;
    Scope all;
    // Holds the mutex and computes; beside the hogs it would not come to an end by itself.
    all.spawn(
        [](Mutex& lock, Event& holds) -> Task<Result<void>> {
          auto guard = CO_TRY(co_await lock.lock());
          holds.set();
          co_await yield();
          for (volatile int i = 0; i < 3'000'000; i = i + 1)
            if (i % 1'000 == 0) breathe();
          co_return Result<void>{};
        }(mutex, locked),
        {.lane = low->lane(Qos::background)});
    CO_TRY(co_await locked.wait());
    Scope hogs;
    spawn_hogs(hogs, middle->lane(Qos::user_initiated), done);
    Scope urgent;
    urgent.spawn(
        [](Mutex& lock, Group& group, bool framed) -> Task<Result<void>> {
          if (framed) {
            auto frames = CO_TRY(co_await Frames::reserve(group, {.period = 20ms, .budget = 5ms}));
            (void)CO_TRY(co_await frames.next());
            auto guard = CO_TRY(co_await lock.lock());
          } else {
            auto guard = CO_TRY(co_await lock.lock());
          }
          co_return Result<void>{};
        }(mutex, *high, Machine::current().cores() == 1),
        {.lane = high->lane(Qos::user_interactive)});
    CO_TRY(co_await urgent.join());
    done = true;
    CO_TRY(co_await hogs.join());
    co_return co_await all.join();
  }());
}

// Computes until somebody has lent a task of the group a lane: without that it has no end.
Task<Result<void>> compute_until_boosted(Group& group) {
  while (group.statistics().boosts == 0) {
    breathe();
    // Most of its time it is in app text.
    for (volatile int i = 0; i < 20'000; i = i + 1) {
    }
  }
  co_return Result<void>{};
}

Task<Result<void>> hold_until_boosted(Mutex& lock, Event& holds, Group& group) {
  auto guard = CO_TRY(co_await lock.lock());
  holds.set();
  co_return co_await compute_until_boosted(group);
}

// Somebody urgent waits for `outer`, whose holder waits for `wait_for(low, waits)`, which sets
// `waits` when nothing but a computation is left. All of them are as urgent as each other.
template <class WaitFor>
Task<Result<void>> urgent_waits_for_who_waits(WaitFor wait_for) {
  auto low = CO_TRY(make_group({.name = "low"}));
  auto link = CO_TRY(make_group({.name = "link"}));
  auto middle = CO_TRY(make_group({.name = "middle", .foreground = true}));
  auto high = CO_TRY(make_group({.name = "high", .foreground = true}));
  std::atomic<bool> done{false};
  Mutex outer;
  Event waits;
  Scope all;
  all.spawn(
      [](Mutex& lock, Event& waiting, Group& group, WaitFor& wait) -> Task<Result<void>> {
        const LaneId own = coro::this_core()->current()->lane();
        {
          auto guard = CO_TRY(co_await lock.lock());
          CO_TRY(co_await wait(group, waiting));
        }
        EXPECT_EQ(coro::this_core()->current()->lane(), own);
        co_return Result<void>{};
      }(outer, waits, *low, wait_for),
      {.lane = link->lane(Qos::utility)});
  CO_TRY(co_await waits.wait());
  Scope hogs;
  spawn_hogs(hogs, middle->lane(Qos::user_initiated), done);
  Scope urgent;
  urgent.spawn(
      [](Mutex& lock) -> Task<Result<void>> {
        auto guard = CO_TRY(co_await lock.lock());
        co_return Result<void>{};
      }(outer),
      {.lane = high->lane(Qos::user_interactive)});
  CO_TRY(co_await urgent.join());
  EXPECT_GT(link->statistics().boosts, 0U);
  EXPECT_GT(low->statistics().boosts, 0U);
  done = true;
  CO_TRY(co_await hogs.join());
  co_return co_await all.join();
}

TEST_P(Inheritance, WhoHoldsAMutexPassesOnWhatItIsLentToWhoHoldsTheNext) {
  run(urgent_waits_for_who_waits([](Group& low, Event& waits) -> Task<Result<void>> {
    Mutex inner;
    Event locked;
    Scope scope;
    scope.spawn(hold_until_boosted(inner, locked, low), {.lane = low.lane(Qos::utility)});
    CO_TRY(co_await locked.wait());
    waits.set();
    {
      auto guard = CO_TRY(co_await inner.lock());
    }
    co_return co_await scope.join();
  }));
}

TEST_P(Inheritance, WhoHoldsAMutexPassesOnWhatItIsLentToWhoServesIt) {
  run(urgent_waits_for_who_waits([](Group& low, Event& waits) -> Task<Result<void>> {
    Channel<int> answers{1};
    Event serves;
    Scope scope;
    scope.spawn(
        [](Channel<int>& to, Event& ready, Group& group) -> Task<Result<void>> {
          const Serving serving{to};
          ready.set();
          CO_TRY(co_await compute_until_boosted(group));
          co_return co_await to.send(1);
        }(answers, serves, low),
        {.lane = low.lane(Qos::utility)});
    CO_TRY(co_await serves.wait());
    waits.set();
    (void)CO_TRY(co_await answers.receive());
    co_return co_await scope.join();
  }));
}

TEST_P(Inheritance, WhoHoldsAMutexPassesOnWhatItIsLentToItsChildren) {
  run(urgent_waits_for_who_waits([](Group& low, Event& waits) -> Task<Result<void>> {
    Scope scope;
    scope.spawn(compute_until_boosted(low), {.lane = low.lane(Qos::utility)});
    waits.set();
    co_return co_await scope.join();
  }));
}

// A time limit runs the work as a child, so this is what a holder does most of the time.
TEST_P(Inheritance, WhatIsLentReachesGrandchildren) {
  run(urgent_waits_for_who_waits([](Group& low, Event& waits) -> Task<Result<void>> {
    co_return co_await with_timeout(1h, [](Group& group, Event& waiting) -> Task<Result<void>> {
      Scope scope;
      scope.spawn(compute_until_boosted(group), {.lane = group.lane(Qos::utility)});
      waiting.set();
      co_return co_await scope.join();
    }(low, waits));
  }));
}

TEST_P(Inheritance, WhatIsLentReachesThoseForWhomASelectWaits) {
  run(urgent_waits_for_who_waits([](Group& low, Event& waits) -> Task<Result<void>> {
    Mutex inner;
    Event locked;
    Event never;
    Scope scope;
    scope.spawn(hold_until_boosted(inner, locked, low), {.lane = low.lane(Qos::utility)});
    CO_TRY(co_await locked.wait());
    waits.set();
    auto first = CO_TRY(co_await coro::select(never.wait(), inner.lock()));
    EXPECT_EQ(first.index(), 1U);
    co_return co_await scope.join();
  }));
}

TEST_P(Inheritance, WhatIsLentReachesTheTasksOfASelect) {
  run(urgent_waits_for_who_waits([](Group& low, Event& waits) -> Task<Result<void>> {
    Event never;
    auto work = [](Group& group, Event& waiting) -> Task<Result<void>> {
      Scope scope;
      scope.spawn(compute_until_boosted(group), {.lane = group.lane(Qos::utility)});
      waiting.set();
      co_return co_await scope.join();
    };
    auto first = CO_TRY(co_await coro::select(never.wait(), work(low, waits)));
    EXPECT_EQ(first.index(), 1U);
    co_return Result<void>{};
  }));
}

// What a holder starts while it is lent a lane, and does not wait for, stays in the holder's own.
TEST_P(Inheritance, WhatIsLentIsNotGivenAway) {
  run([]() -> Task<Result<void>> {
    auto low = CO_TRY(make_group({.name = "low"}));
    auto high = CO_TRY(make_group({.name = "high", .foreground = true}));
    const LaneId own = low->lane(Qos::background);
    Mutex mutex;
    Event locked;
    Scope others;
    Scope all;
    all.spawn(
        [](Mutex& lock, Event& holds, Group& group, Scope& strays,
           LaneId lane) -> Task<Result<void>> {
          auto guard = CO_TRY(co_await lock.lock());
          holds.set();
          CO_TRY(co_await compute_until_boosted(group));
          while (coro::this_core()->current()->lane() == lane) breathe();
          EXPECT_EQ(sched::Request{0}.lane, lane);
          strays.spawn([](LaneId expected) -> Task<> {
            EXPECT_EQ(coro::this_core()->current()->lane(), expected);
            co_return;
          }(lane));
          co_return Result<void>{};
        }(mutex, locked, *low, others, own),
        {.lane = own});
    CO_TRY(co_await locked.wait());
    co_await sched::enter(*high, Qos::user_interactive);
    {
      auto guard = CO_TRY(co_await mutex.lock());
    }
    CO_TRY(co_await all.join());
    co_return co_await others.join();
  }());
}

// A server that is lent the lane of who waits for its answer adopts the request all the same, and
// is in its own lane afterwards.
TEST_P(Inheritance, AServerIsInItsOwnLaneBetweenRequests) {
  run([]() -> Task<Result<void>> {
    auto service = CO_TRY(make_group({.name = "service"}));
    auto asker = CO_TRY(make_group({.name = "asker", .foreground = true}));
    Channel<sched::Request<int>> queries{4};
    Channel<int> answers{1};
    Scope all;
    all.spawn(
        [](auto& from, auto& to, Group& group) -> Task<Result<void>> {
          const LaneId own = coro::this_core()->current()->lane();
          const Serving serving{to};
          // Lent, before it knows of any request.
          CO_TRY(co_await compute_until_boosted(group));
          while (auto request = co_await from.receive()) {
            {
              const auto on_behalf = co_await request->adopt();
              CO_TRY(co_await to.send(request->value));
            }
            if (request->value == 9) EXPECT_EQ(coro::this_core()->current()->lane(), own);
          }
          co_return Result<void>{};
        }(queries, answers, *service),
        {.lane = service->lane(Qos::utility)});
    co_await sched::enter(*asker, Qos::user_initiated);
    for (int i = 0; i < 10; ++i) {
      CO_TRY(co_await queries.send(sched::Request{i}));
      EXPECT_EQ(CO_TRY(co_await answers.receive()), i);
    }
    queries.close();
    co_return co_await all.join();
  }());
}

TEST_P(Inheritance, WhoServesAChannelIsAsUrgentAsThoseWhoWaitOnIt) {
  run([]() -> Task<Result<void>> {
    auto low = CO_TRY(make_group({.name = "low"}));
    auto middle = CO_TRY(make_group({.name = "middle", .foreground = true}));
    std::atomic<bool> done{false};
    Channel<int> answers{1};
    Event serves;
    Scope all;
    all.spawn(
        [](Channel<int>& to, Event& ready) -> Task<Result<void>> {
          const Serving serving{to};
          ready.set();
          for (int answer = 0; answer < 20; ++answer) {
            for (volatile int i = 0; i < 300'000; i = i + 1)
              if (i % 1'000 == 0) breathe();
            CO_TRY(co_await to.send(answer));
          }
          co_return Result<void>{};
        }(answers, serves),
        {.lane = low->lane(Qos::background)});
    CO_TRY(co_await serves.wait());
    Scope hogs;
    spawn_hogs(hogs, middle->lane(Qos::utility), done);
    co_await sched::enter(*middle, Qos::user_interactive);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(CO_TRY(co_await answers.receive()), i);
    done = true;
    CO_TRY(co_await hogs.join());
    co_return co_await all.join();
  }());
}

}  // namespace
}  // namespace lichen

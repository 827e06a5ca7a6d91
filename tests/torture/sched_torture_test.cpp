// Tasks on several cores that stop, time out and end at the same moment. Meant to run under
// ThreadSanitizer as well; each test also checks that nothing is lost and nothing is left.

#include <array>
#include <atomic>
#include <optional>
#include <thread>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/latch.hpp"
#include "lichen/coro/select.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/stop.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/io/operation.hpp"
#include "tests/torture/torture.hpp"

namespace lichen::test {
namespace {

using sched::Machine;

class SchedTorture : public Torture {};
INSTANTIATE_TEST_SUITE_P(Cores, SchedTorture, testing::Values(1U, 2U, 4U));

TEST_P(SchedTorture, TimeoutsFireWhileTheWorkCompletes) {
  static constexpr int tasks = 16;
  auto body = []() -> Task<Result<void>> {
    std::atomic<int> in_time{0};
    std::atomic<int> late{0};
    auto work = [](Duration duration) -> Task<Result<int>> {
      CO_TRY(co_await sleep_for(duration));
      co_return 1;
    };
    auto race = [&](int number) -> Task<Result<void>> {
      Random random{static_cast<std::uint64_t>(number)};
      for (int i = 0; i < 100; ++i) {
        const Duration duration{random.below(40'000)};
        const Duration limit{random.below(40'000)};
        const auto result = co_await with_timeout(limit, work(duration));
        EXPECT_TRUE(result || result.failed_with(Error::timed_out));
        ++(result ? in_time : late);
      }
      co_return Result<void>{};
    };
    Scope scope;
    for (int i = 0; i < tasks; ++i) scope.spawn(race(i));
    CO_TRY(co_await scope.join());
    EXPECT_EQ(in_time + late, tasks * 100);
    co_return Result<void>{};
  };
  run(body());
}

// A tree whose leaves wait in every way there is, stopped at some moment of its life.
struct Forest {
  Event event;
  Semaphore semaphore{1};
  Mutex mutex;
  Channel<int> rendezvous{0};
  Channel<int> bounded{2};
  StopSource source;
  std::atomic<int> alive{0};

  Task<Result<void>> grow(Random random, int depth) {
    ++alive;
    auto outcome = co_await live(random, depth);
    --alive;
    co_return outcome;
  }
  Task<Result<void>> live(Random& random, int depth) {
    Scope scope{random.below(2) ? OnError::stop_others : OnError::keep_going};
    if (depth > 0)
      for (int i = 0; i < 3; ++i) {
        scope.spawn(grow(random.split(), depth - 1));
        if (random.below(4) == 0) co_await yield();
      }
    auto outcome = co_await wait(random);
    if (random.below(8) == 0) scope.request_stop();
    auto joined = co_await scope.join();
    co_return outcome ? joined : outcome;
  }
  Task<Result<void>> wait(Random& random) {
    switch (random.below(10)) {
      case 0: co_return co_await event.wait();
      case 1: {
        CO_TRY(co_await semaphore.acquire());
        co_await yield();
        semaphore.release();
        co_return co_await event.wait();
      }
      case 2: {
        auto guard = CO_TRY(co_await mutex.lock());
        co_await yield();
        co_return Result<void>{};
      }
      case 3: co_return co_await rendezvous.send(1);
      case 4: co_return (co_await rendezvous.receive()).error();
      case 5: co_return co_await bounded.send(1);
      case 6: co_return (co_await bounded.receive()).error();
      case 7: co_return co_await sleep_for(Duration{random.below(1'000'000'000)});
      case 8: co_await stop_event(); co_return Error::stopped;
      default: {
        auto pause = [](Random each) -> Task<Result<void>> {
          co_return co_await sleep_for(Duration{each.below(100'000'000)});
        };
        auto first = CO_TRY(co_await select(event.wait(), bounded.receive(), rendezvous.send(2),
                                            pause(random.split()), source.requested()));
        co_return first.index() < 4 ? Result<void>{} : Result<void>{Error::stopped};
      }
    }
  }
};

TEST_P(SchedTorture, TreesFallWheneverTheyAreStopped) {
  auto body = []() -> Task<Result<void>> {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      Random random{seed};
      Forest forest;
      Scope scope{OnError::keep_going};
      coro::StopFollower follower{forest.source, scope};
      scope.spawn(forest.grow(random.split(), 5));
      CO_TRY(co_await yield_some(random, 40));
      auto stop = [](Scope& target) -> Task<> {
        target.request_stop();
        co_return;
      };
      auto request = [](StopSource& target) -> Task<> {
        target.request_stop();
        co_return;
      };
      // Several at once, from several cores.
      Scope stoppers;
      stoppers.spawn(stop(scope));
      stoppers.spawn(stop(scope));
      stoppers.spawn(request(forest.source));
      CO_TRY(co_await stoppers.join());
      (co_await scope.join()).ignore();
      EXPECT_EQ(forest.alive.load(), 0);
      EXPECT_EQ(forest.semaphore.available(), 1U);
      while (forest.bounded.try_receive()) {
      }
    }
    co_return Result<void>{};
  };
  run(body());
}

Task<Result<long>> skynet(long first, long count) {
  if (count == 1) co_return first;
  std::array<std::optional<Task<Result<long>>>, 10> parts;
  Scope scope;
  for (long i = 0; i < 10; ++i) {
    auto& part = parts[static_cast<unsigned>(i)];
    part.emplace(skynet(first + i * (count / 10), count / 10));
    scope.fork(*part);
  }
  CO_TRY(co_await scope.join());
  long sum = 0;
  for (auto& part : parts) sum += CO_TRY(part->take_result());
  co_return sum;
}

TEST_P(SchedTorture, ForksAreStolenAndAllComeBack) {
  auto body = []() -> Task<Result<void>> {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(CO_TRY(co_await skynet(0, 10'000)), 49'995'000L);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(SchedTorture, TasksThatEndAtOnce) {
  auto body = []() -> Task<Result<void>> {
    std::atomic<int> runs{0};
    auto nothing = [&]() -> Task<> {
      runs.fetch_add(1, std::memory_order_relaxed);
      co_return;
    };
    auto spawner = [&]() -> Task<Result<void>> {
      for (int round = 0; round < 100; ++round) {
        Scope scope;
        for (int i = 0; i < 50; ++i) scope.spawn(nothing());
        CO_TRY(co_await scope.join());
      }
      co_return Result<void>{};
    };
    Scope scope;
    for (int i = 0; i < 4; ++i) scope.spawn(spawner());
    CO_TRY(co_await scope.join());
    EXPECT_EQ(runs.load(), 20'000);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(SchedTorture, PinnedTasksStayWhereTheyAre) {
  auto body = []() -> Task<Result<void>> {
    Machine& machine = Machine::current();
    auto stay = [](coro::Core* core, Mutex& mutex) -> Task<Result<void>> {
      for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(coro::this_core(), core);
        if (i % 3 == 0) co_await yield();
        auto guard = CO_TRY(co_await mutex.lock());
        EXPECT_EQ(coro::this_core(), core);
        if (i % 50 == 0) CO_TRY(co_await sleep_for(10us));
      }
      co_return Result<void>{};
    };
    Mutex mutex;
    Scope scope;
    for (unsigned i = 0; i < 8; ++i) {
      coro::Core* core = &machine.core(i % machine.cores());
      scope.spawn(stay(core, mutex), core);
    }
    co_return co_await scope.join();
  };
  run(body());
}

// What a primitive may be used for last: it goes away as soon as somebody has seen the result.
TEST_P(SchedTorture, PrimitivesOnTheStackEndWhenTheirWaiterGoesOn) {
  auto body = []() -> Task<Result<void>> {
    auto set = [](Event& event) -> Task<> {
      event.set();
      co_return;
    };
    auto count_down = [](Latch& latch) -> Task<> {
      latch.count_down();
      co_return;
    };
    auto release = [](Semaphore& semaphore) -> Task<> {
      semaphore.release();
      co_return;
    };
    auto send = [](Channel<int>& channel) -> Task<> { (co_await channel.send(1)).ignore(); };
    for (int round = 0; round < 400; ++round) {
      Scope scope;
      {
        Event event;
        scope.spawn(set(event));
        if (round % 3 == 0) co_await yield();
        if (round % 2 == 0)
          CO_TRY(co_await event.wait());
        else
          while (!event.is_set()) co_await yield();
      }
      {
        Latch latch{2};
        scope.spawn(count_down(latch));
        scope.spawn(count_down(latch));
        CO_TRY(co_await latch.wait());
      }
      {
        Semaphore semaphore{0};
        scope.spawn(release(semaphore));
        if (round % 2 == 0)
          CO_TRY(co_await semaphore.acquire());
        else
          while (!semaphore.try_acquire()) co_await yield();
      }
      {
        Channel<int> channel{static_cast<std::size_t>(round % 3)};
        scope.spawn(send(channel));
        CO_TRY(co_await channel.receive());
        CO_TRY(co_await scope.join());
      }
    }
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(SchedTorture, AMutexExcludesWhileWaitersAreStopped) {
  auto body = []() -> Task<Result<void>> {
    Mutex mutex;
    long plain = 0;  // a race here is one that ThreadSanitizer sees
    std::atomic<long> expected{0};
    auto add = [&](Random random) -> Task<Result<void>> {
      for (;;) {
        auto guard = CO_TRY(co_await mutex.lock());
        ++plain;
        ++expected;
        if (random.below(4) == 0) co_await yield();
        if (stop_requested()) co_return Error::stopped;
      }
    };
    Random random{11};
    for (int round = 0; round < 100; ++round) {
      Scope scope{OnError::keep_going};
      for (int i = 0; i < 6; ++i) scope.spawn(add(random.split()));
      (co_await sleep_for(Duration{random.below(50'000)})).ignore();
      scope.request_stop();
      EXPECT_EQ((co_await scope.join()).error(), Error::stopped);
    }
    auto guard = CO_TRY(co_await mutex.lock());
    EXPECT_EQ(plain, expected.load());
    co_return Result<void>{};
  };
  // On a single core the tasks keep each other busy and time is read between batches: the same.
  run(body());
}

// Waits that only their home core can cancel: the stop request travels there, while the task is
// woken, goes on and ends.
TEST_P(SchedTorture, StopsThatMustGoToTheHomeCore) {
  auto body = []() -> Task<Result<void>> {
    Machine& machine = Machine::current();
    Random random{5};
    for (int round = 0; round < 400; ++round) {
      struct Home {
        io::HomeSignal signal;
        int waits = 0;
      };
      std::array<Home, 4> homes;
      auto wait = [](Home& home, coro::Core& core, int count) -> Task<Result<void>> {
        const io::Stay stay = co_await io::StayOn{core};
        for (int i = 0; i < count; ++i) {
          EXPECT_EQ(coro::this_core(), &core);
          CO_TRY(co_await home.signal.wait(core));
          ++home.waits;
        }
        co_return Result<void>{};
      };
      auto notify = [](Home& home, coro::Core& core, int count) -> Task<> {
        const io::Stay stay = co_await io::StayOn{core};
        for (int i = 0; i < count; ++i) {
          home.signal.notify();
          co_await yield();
        }
      };
      Scope waiting{OnError::keep_going};
      Scope notifying;
      for (unsigned i = 0; i < 4; ++i) {
        coro::Core& core = machine.core(i % machine.cores());
        waiting.spawn(wait(homes[i], core, 1 + static_cast<int>(random.below(3))));
        notifying.spawn(notify(homes[i], core, static_cast<int>(random.below(6))));
      }
      CO_TRY(co_await yield_some(random, 6));
      waiting.request_stop();
      (co_await waiting.join()).ignore();
      CO_TRY(co_await notifying.join());
      for (auto& home : homes) EXPECT_FALSE(home.signal.has_waiter());
    }
    co_return Result<void>{};
  };
  run(body());
}

// Threads that are no cores wake tasks. Locks are only taken where several cores share.
TEST_P(SchedTorture, OtherThreadsWakeTasks) {
  if (GetParam() == 1) return;
  auto body = []() -> Task<Result<void>> {
    for (int round = 0; round < 100; ++round) {
      Event event;
      Semaphore semaphore{0};
      std::thread other{[&] {
        semaphore.release(2);
        event.set();
      }};
      auto take = [&]() -> Task<Result<void>> { co_return co_await semaphore.acquire(); };
      Scope scope;
      scope.spawn(take());
      scope.spawn(take());
      CO_TRY(co_await event.wait());
      CO_TRY(co_await scope.join());
      other.join();
    }
    co_return Result<void>{};
  };
  run(body());
}

}  // namespace
}  // namespace lichen::test

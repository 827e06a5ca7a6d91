// Groups, classes, frames and what they lend each other, on the real machine. App text, as
// preempt_test.cpp; the bounds are those of order, never of time.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"
#include "lichen/sched/request.hpp"
#include "tests/torture/breathe.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using coro::LaneId;
using sched::Executor;
using sched::Frames;
using sched::Group;
using sched::Machine;
using sched::make_group;
using sched::Qos;

struct Bands : testing::TestWithParam<unsigned> {
  void run(Task<Result<void>> main) {
    auto machine = Machine::create({.cores = GetParam(), .pin = false});
    ASSERT_TRUE(machine.has_value());
    const auto outcome = (*machine)->run(std::move(main));
    EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
  }
};
INSTANTIATE_TEST_SUITE_P(Cores, Bands, testing::Values(1U, 2U));

Task<> hog_until(const std::atomic<bool>& done, std::atomic<std::uint64_t>* work = nullptr) {
  std::uint64_t rounds = 0;
  while (!done.load(std::memory_order_relaxed)) {
    ++rounds;
    breathe();
  }
  if (work) *work += rounds;
  co_return;
}

// A tail of hogs of the classes in between, more than there are cores.
void spawn_hogs(Scope& scope, LaneId lane, const std::atomic<bool>& done) {
  for (unsigned i = 0; i < 2 * Machine::current().cores(); ++i)
    scope.spawn(hog_until(done), {.lane = lane});
}

TEST_P(Bands, FramesRunBesideHogsOfTheForeground) {
  run([]() -> Task<Result<void>> {
    auto ui = CO_TRY(make_group({.name = "ui", .foreground = true}));
    auto app = CO_TRY(make_group({.name = "app", .foreground = true}));
    std::atomic<bool> done{false};
    std::uint64_t frames_drawn = 0;
    Scope hogs;
    spawn_hogs(hogs, app->lane(Qos::user_interactive), done);
    Scope drawing;
    drawing.spawn([](Group& group, std::uint64_t& drawn) -> Task<Result<void>> {
      auto frames = CO_TRY(co_await Frames::reserve(group, {.period = 4ms, .budget = 1ms}));
      for (int i = 0; i < 60; ++i) {
        const sched::Frame frame = CO_TRY(co_await frames.next());
        EXPECT_GE(coro::hooks::now_ns(), frame.due_ns);
        ++drawn;
      }
      co_return Result<void>{};
    }(*ui, frames_drawn));
    CO_TRY(co_await drawing.join());
    EXPECT_EQ(frames_drawn, 60U);
    done = true;
    co_return co_await hogs.join();
  }());
}

TEST_P(Bands, TheImpossibleIsRefused) {
  run([]() -> Task<Result<void>> {
    auto ui = CO_TRY(make_group({.name = "ui", .foreground = true}));
    EXPECT_TRUE((co_await Frames::reserve(*ui, {.period = 10ms, .budget = 8ms}))
                    .failed_with(Error::limit_reached));
    EXPECT_TRUE((co_await Frames::reserve(*ui, {.period = 10ms, .budget = 20ms}))
                    .failed_with(Error::invalid_argument));
    EXPECT_TRUE((co_await Frames::reserve(*ui, {.period = 0ms, .budget = 0ms}))
                    .failed_with(Error::invalid_argument));
    // Room that is given back can be had again.
    for (int i = 0; i < 5'000; ++i) {
      auto frames = CO_TRY(co_await Frames::reserve(*ui, {.period = 10ms, .budget = 6ms}));
      (void)frames;
    }
    co_return Result<void>{};
  }());
}

TEST_P(Bands, AMutexLendsTheUrgencyOfThoseWhoWait) {
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

TEST_P(Bands, WhoServesAChannelIsAsUrgentAsThoseWhoWaitOnIt) {
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

TEST_P(Bands, WorkIsChargedToWhoAsked) {
  run([]() -> Task<Result<void>> {
    auto service = CO_TRY(make_group({.name = "service"}));
    auto asker = CO_TRY(make_group({.name = "asker", .foreground = true}));
    Channel<sched::Request<int>> queries{4};
    Channel<int> answers{4};
    Scope all;
    all.spawn(
        [](auto& from, auto& to) -> Task<Result<void>> {
          while (auto request = co_await from.receive()) {
            const auto on_behalf = co_await request->adopt();
            const auto until = coro::hooks::now_ns() + 3'000'000;
            while (coro::hooks::now_ns() < until) breathe();
            CO_TRY(co_await to.send(request->value + 1));
          }
          co_return Result<void>{};
        }(queries, answers),
        {.lane = service->lane(Qos::utility)});
    co_await sched::enter(*asker, Qos::user_initiated);
    for (int i = 0; i < 10; ++i) {
      CO_TRY(co_await queries.send(sched::Request{i}));
      EXPECT_EQ(CO_TRY(co_await answers.receive()), i + 1);
    }
    queries.close();
    CO_TRY(co_await all.join());
    co_await sched::enter(Machine::current().registry().default_group(), Qos::user_initiated);
    CO_TRY(co_await sleep_for(2ms));  // what a lone lane ran is charged within a millisecond
    // Time that the host takes away is counted where it happens, so there is some slack.
    EXPECT_GT(asker->statistics().fair_ns(), 10'000'000U);
    co_return Result<void>{};
  }());
}

TEST_P(Bands, ClassesMayChangeAMillionTimes) {
  run([]() -> Task<Result<void>> {
    auto group = CO_TRY(make_group({.name = "fickle"}));
    Scope scope;
    for (int task = 0; task < 4; ++task)
      scope.spawn([](Group& of, unsigned start) -> Task<> {
        for (unsigned i = 0; i < 250'000; ++i)
          co_await sched::enter(of, static_cast<Qos>((start + i) % sched::qos_count));
      }(*group, static_cast<unsigned>(task)));
    bool foreground = false;
    while (scope.active() > 0) {
      sched::set_foreground(*group, foreground = !foreground);
      CO_TRY(co_await sleep_for(100us));
    }
    co_return co_await scope.join();
  }());
}

TEST_P(Bands, ManyUrgentTasksAtOnceAndTheLowestStillRuns) {
  run([]() -> Task<Result<void>> {
    auto ui = CO_TRY(make_group({.name = "ui", .foreground = true}));
    auto low = CO_TRY(make_group({.name = "low"}));
    std::atomic<bool> done{false};
    std::atomic<unsigned> ran{0};
    Event lowest_ran;
    Scope scope;
    for (unsigned i = 0; i < 100'000; ++i)
      scope.spawn(
          [](std::atomic<unsigned>& count) -> Task<> {
            ++count;
            co_return;
          }(ran),
          {.lane = ui->lane(Qos::user_interactive)});
    Scope hogs;
    spawn_hogs(hogs, ui->lane(Qos::user_interactive), done);
    scope.spawn(
        [](Event& event) -> Task<> {
          event.set();
          co_return;
        }(lowest_ran),
        {.lane = low->lane(Qos::background)});
    // Nothing starves: the lowest bucket has its window within its latency.
    CO_TRY(co_await lowest_ran.wait());
    CO_TRY(co_await scope.join());
    EXPECT_EQ(ran.load(), 100'000U);
    done = true;
    co_return co_await hogs.join();
  }());
}

}  // namespace
}  // namespace lichen

// Groups, classes and frames, on the real machine (what they lend each other: inherit_test.cpp).
// App text, as preempt_test.cpp; the bounds are those of order, never of time.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
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

struct Bands : OnCores {};
INSTANTIATE_TEST_SUITE_P(Cores, Bands, testing::Values(1U, 2U));

void run_on_one_core(Task<Result<void>> main) {
  auto machine = Machine::create({.cores = 1, .pin = false, .preemption = false});
  ASSERT_TRUE(machine.has_value());
  EXPECT_TRUE((*machine)->run(std::move(main)).has_value());
}

TEST(WakeSlot, WhoIsHandedSomethingGoesBeforeWhatIsReady) {
  run_on_one_core([]() -> Task<Result<void>> {
    std::string order;
    Channel<char> channel{1};
    Scope scope;
    scope.spawn([](auto& from, std::string& into) -> Task<Result<void>> {
      into += CO_TRY(co_await from.receive());
      co_return Result<void>{};
    }(channel, order));
    scope.spawn([](auto& to, std::string& into) -> Task<Result<void>> {
      CO_TRY(co_await to.send('r'));
      into += 's';
      co_return Result<void>{};
    }(channel, order));
    for (const char name : {'a', 'b', 'c'})
      scope.spawn([](std::string& into, char what) -> Task<> {
        into += what;
        co_return;
      }(order, name));
    CO_TRY(co_await scope.join());
    EXPECT_EQ(order, "srabc");
    co_return Result<void>{};
  }());
}

TEST(WakeSlot, TwoThatWakeEachOtherKeepNobodyFromRunning) {
  run_on_one_core([]() -> Task<Result<void>> {
    constexpr unsigned rounds = 100;
    unsigned done = 0;
    unsigned done_when_others_ran = rounds;
    Channel<int> there{1};
    Channel<int> back{1};
    Scope scope;
    scope.spawn([](auto& from, auto& to, unsigned count) -> Task<Result<void>> {
      for (; count > 0; --count) CO_TRY(co_await to.send(CO_TRY(co_await from.receive())));
      co_return Result<void>{};
    }(there, back, rounds));
    scope.spawn([](auto& to, auto& from, unsigned count, unsigned& each) -> Task<Result<void>> {
      for (; count > 0; --count) {
        CO_TRY(co_await to.send(1));
        CO_TRY(co_await from.receive());
        ++each;
      }
      co_return Result<void>{};
    }(there, back, rounds, done));
    scope.spawn([](const unsigned& sofar, unsigned& seen) -> Task<> {
      seen = sofar;
      co_return;
    }(done, done_when_others_ran));
    CO_TRY(co_await scope.join());
    EXPECT_GT(done_when_others_ran, 0U);
    EXPECT_LE(done_when_others_ran, 16U);  // two picks a round, of which 16 are the slot's
    EXPECT_EQ(done, rounds);
    co_return Result<void>{};
  }());
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

// Frames that are late before they have begun wait for nothing: a core on which nothing is
// preempted looks at what else there is all the same, and a stop ends them.
TEST(LateFrames, EndByAStopWhereNothingIsPreempted) {
  auto machine = Machine::create({.cores = 1, .pin = false, .preemption = false});
  ASSERT_TRUE(machine.has_value());
  std::atomic<unsigned> drawn{0};
  std::thread stops{[&] {
    while (drawn < 3) std::this_thread::yield();
    (*machine)->request_stop();
  }};
  auto draw = [](std::atomic<unsigned>& count) -> Task<Result<void>> {
    auto group = CO_TRY(make_group({.name = "ui", .foreground = true}));
    auto frames = CO_TRY(co_await Frames::reserve(*group, {.period = 1ms, .budget = 500us}));
    for (;;) {
      const sched::Frame frame = CO_TRY(co_await frames.next());
      while (coro::hooks::now_ns() <= frame.deadline_ns + 1'000'000) {
      }
      ++count;
    }
  };
  EXPECT_TRUE((*machine)->run(draw(drawn)).failed_with(Error::stopped));
  stops.join();
}

// Frames that do not come are counted, also where somebody has not waited to the end.
TEST_P(Bands, AFrameThatWasNotWaitedForIsNotLost) {
  run([]() -> Task<Result<void>> {
    auto ui = CO_TRY(make_group({.name = "ui", .foreground = true}));
    auto frames = CO_TRY(co_await Frames::reserve(*ui, {.period = 40ms, .budget = 1ms}));
    const sched::Frame before = CO_TRY(co_await frames.next());
    unsigned came = 0;
    for (int i = 0; i < 3; ++i) came += (co_await with_timeout(1ns, frames.next())).has_value();
    const sched::Frame after = CO_TRY(co_await frames.next());
    EXPECT_GE(after.missed, after.number - before.number - 1 - came);
    co_return Result<void>{};
  }());
}

// What a frame starts means to run where its reservation does, though others are idle there.
struct WhereItRan {
  std::atomic<unsigned> elsewhere{0};
  std::atomic<unsigned> in_other_lanes{0};

  void note(const coro::Core* core, LaneId lane) {
    if (coro::this_core() != core) ++elsewhere;
    if (coro::this_core()->current()->lane() != lane) ++in_other_lanes;
  }
};

Task<Result<void>> note_often(WhereItRan& into, coro::Core* core, LaneId lane, unsigned children) {
  for (int i = 0; i < 30; ++i) {
    into.note(core, lane);
    co_await yield();
  }
  if (children == 0) co_return Result<void>{};
  Scope scope;
  for (unsigned i = 0; i < children; ++i) scope.spawn(note_often(into, core, lane, 0));
  auto fork = note_often(into, core, lane, 0);
  scope.fork(fork);
  co_return co_await scope.join();
}

TEST_P(Bands, ChildrenOfAFrameStayOnItsCore) {
  run([]() -> Task<Result<void>> {
    auto ui = CO_TRY(make_group({.name = "ui", .foreground = true}));
    auto frames = CO_TRY(co_await Frames::reserve(*ui, {.period = 4ms, .budget = 2ms}));
    WhereItRan ran;
    coro::Core* core = coro::this_core();
    const LaneId lane = frames.reservation().lane();
    for (int i = 0; i < 10; ++i) {
      CO_TRY(co_await frames.next());
      Scope scope;
      for (int child = 0; child < 8; ++child) scope.spawn(note_often(ran, core, lane, 8));
      CO_TRY(co_await with_timeout(1h, note_often(ran, core, lane, 0)));
      const auto [one, other] =
          CO_TRY(co_await when_all(note_often(ran, core, lane, 2), note_often(ran, core, lane, 0)));
      CO_TRY(one);
      CO_TRY(other);
      CO_TRY(co_await scope.join());
    }
    EXPECT_EQ(ran.elsewhere, 0U);
    EXPECT_EQ(ran.in_other_lanes, 0U);
    Machine& machine = Machine::current();
    sched::Executor& last = machine.core(machine.cores() - 1);
    Scope scope;
    WhereItRan moved;
    scope.spawn(note_often(moved, &last, lane, 0), &last);
    CO_TRY(co_await scope.join());
    EXPECT_EQ(moved.elsewhere, 0U) << "who is told where to run does";
    co_return Result<void>{};
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

// The core has nothing else to do meanwhile.
TEST_P(Bands, AGroupAtItsLimitLosesNobodyWhoIsWoken) {
  run([]() -> Task<Result<void>> {
    auto limited = CO_TRY(make_group({.name = "limited", .limit_permille = 400}));
    const LaneId lane = limited->lane(Qos::utility);
    std::atomic<bool> done{false};
    Scope hogs;
    spawn_hogs(hogs, lane, done);
    // Until it has been there: where the host leaves little, that takes longer.
    Scope sleepers;
    for (int i = 0; i < 4; ++i)
      sleepers.spawn(
          [](const Group& of) -> Task<Result<void>> {
            for (int times = 0; times < 8 || of.statistics().throttlings == 0; ++times)
              CO_TRY(co_await sleep_for(6ms));
            co_return Result<void>{};
          }(*limited),
          {.lane = lane});
    CO_TRY(co_await sleepers.join());
    done = true;
    co_return co_await hogs.join();
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

// Who says what is in the foreground need be no task: a thread of a window system's, say.
TEST_P(Bands, ThreadsOutsideMaySwitchTheForeground) {
  run([]() -> Task<Result<void>> {
    auto group = CO_TRY(make_group({.name = "fickle"}));
    std::atomic<bool> done{false};
    Scope hogs;
    spawn_hogs(hogs, group->lane(Qos::background), done);
    std::atomic<unsigned> switched{0};
    std::thread outside{[&] {
      for (; !done.load(); ++switched) sched::set_foreground(*group, switched % 2 == 0);
    }};
    while (switched < 1'000) CO_TRY(co_await sleep_for(1ms));
    done = true;
    outside.join();
    co_return co_await hogs.join();
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
    // Where cores share, a hog of the same lane that was set aside takes turns with those that may
    // move, a slice of 3 ms for each: by then some, or tens of thousands, may be left.
    done = true;
    CO_TRY(co_await scope.join());
    EXPECT_EQ(ran.load(), 100'000U);
    co_return co_await hogs.join();
  }());
}

}  // namespace
}  // namespace lichen

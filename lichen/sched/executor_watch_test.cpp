// What a machine tells about itself while it runs: bands, lanes, traces, stalls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/band_statistics.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen::sched {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string logged;

class WatchedMachine : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    logged.clear();
    base::log::set_sink([](base::log::Level, std::string_view line) noexcept {
      static coro::SpinLock lock;
      coro::SpinGuard guard{lock};
      logged += line;
      logged += '\n';
    });
  }
  void TearDown() override { base::log::set_sink(nullptr); }

  void run(Task<Result<void>> main) {
    auto machine = Machine::create({.cores = GetParam(), .pin = false});
    ASSERT_TRUE(machine);
    const auto outcome = (*machine)->run(std::move(main));
    EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
  }
};
INSTANTIATE_TEST_SUITE_P(Cores, WatchedMachine, testing::Values(1U, 2U));

constexpr unsigned background_utility = first_bucket_band + bucket_of(false, Qos::utility);

Task<> give_way(unsigned times) {
  for (; times > 0; --times) co_await yield();
}

// Until its core has been held for a while, whatever the host does meanwhile.
void hold(std::chrono::nanoseconds time) {
  const std::uint64_t until = hal::core_time_ns() + static_cast<std::uint64_t>(time.count());
  while (hal::core_time_ns() < until) {
  }
}

TEST_P(WatchedMachine, CountsBandsAndLanes) {
  auto body = []() -> Task<Result<void>> {
    Machine& machine = Machine::current();
    auto group = CO_TRY(make_group({.name = "workers"}));
    Scope scope;
    for (int i = 0; i < 10; ++i) scope.spawn(give_way(100), {.lane = group->lane(Qos::utility)});
    CO_TRY(co_await scope.join());
    const auto bands = CO_TRY(co_await band_statistics(machine));
    EXPECT_EQ(bands.size(), band_count);
    // What ran last may not be told yet.
    EXPECT_GT(bands[background_utility].work.tasks, 100U);
    EXPECT_GT(bands[background_utility].run_ns, 0U);
    EXPECT_EQ(bands[background_utility].ready, 0U);
    bool found = false;
    for_each_lane(machine, [&](const LaneFigures& lane) {
      if (lane.group != "workers") return;
      EXPECT_EQ(lane.name, "utility");
      EXPECT_EQ(lane.work.tasks, bands[background_utility].work.tasks);
      found = true;
    });
    EXPECT_TRUE(found);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, CountsWhatIsReady) {
  auto body = []() -> Task<Result<void>> {
    auto group = CO_TRY(make_group({.name = "workers"}));
    Scope scope;
    Executor& here = Executor::current();
    for (int i = 0; i < 7; ++i)
      scope.spawn(give_way(1), {.core = &here, .lane = group->lane(Qos::utility)});
    std::array<std::uint64_t, band_count> ready{};
    here.count_ready(ready);
    EXPECT_EQ(ready[background_utility], 7U);
    CO_TRY(co_await scope.join());
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, CountsFrames) {
  auto body = []() -> Task<Result<void>> {
    auto group = CO_TRY(make_group({.name = "display", .foreground = true}));
    auto frames = CO_TRY(co_await Frames::reserve(*group, {.period = 2ms, .budget = 500us}));
    std::uint64_t missed = 0, last = 0;
    for (int i = 0; i < 5; ++i) {
      const Frame frame = CO_TRY(co_await frames.next());
      missed = frame.missed;
      last = frame.number;
    }
    WorkFigures figures;
    Executor::current().watch().read_lane(frames.reservation().lane(), figures);
    EXPECT_EQ(figures.frames, last + 1);
    EXPECT_EQ(figures.missed, missed);
    EXPECT_EQ(figures.wait.count(), 5U);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, RefusesFramesThatAreNeverDue) {
  auto body = []() -> Task<Result<void>> {
    auto group = CO_TRY(make_group({.name = "display"}));
    const auto frames = co_await Frames::reserve(
        *group, {.period = 2ms, .budget = 500us, .first_due_ns = UINT64_MAX});
    EXPECT_TRUE(frames.failed_with(Error::invalid_argument));
    co_return Result<void>{};
  };
  run(body());
}

Task<> note_place(std::source_location& where) {
  where = coro::this_core()->current()->spawned_at;
  co_return;
}

TEST_P(WatchedMachine, TracesTasks) {
  auto body = []() -> Task<Result<void>> {
    Executor& here = Executor::current();
    const std::uint64_t from = CO_TRY(here.trace().start());
    (co_await give_way(1)).ignore();  // the loop looks whether it is traced between two batches
    CO_TRY(co_await sleep_for(1ms));
    std::source_location spawned;
    Scope scope;
    scope.spawn(note_place(spawned), &here);
    CO_TRY(co_await scope.join());
    here.trace().stop();
    TraceSnapshot snapshot;
    // Whoever joins a task can be faster than the core that notes its end.
    for (bool ended = false; !ended; CO_TRY(co_await sleep_for(1ms))) {
      snapshot = here.trace().read(from);
      std::uint64_t strand = 0, now = 0;
      for (const TraceEvent& event : snapshot.events) {
        EXPECT_GE(event.time_ns, now);
        now = event.time_ns;
        if (event.kind == TraceKind::run_begin && event.argument == argument_of(spawned))
          strand = event.strand;
        if (event.kind == TraceKind::run_end && strand && event.strand == strand) ended = true;
      }
    }
    std::vector<TraceSnapshot> cores{snapshot};
    auto describe = [](LaneId lane) { return describe_lane(Machine::current(), lane); };
    EXPECT_THAT(perfetto_trace(cores, describe),
                HasSubstr("executor_watch_test.cpp:" + std::to_string(spawned.line())));
    co_return Result<void>{};
  };
  run(body());
}

Task<> nothing() { co_return; }

// It makes something more urgent ready and comes to a point where it may be set aside.
Task<> be_overtaken(LaneId urgent) {
  Scope scope;
  Executor& here = Executor::current();
  scope.spawn(nothing(), {.core = &here, .lane = urgent});
  here.preemption_point();
  (co_await scope.join()).ignore();
}

TEST_P(WatchedMachine, TracesAndCountsPreemptions) {
  auto body = []() -> Task<Result<void>> {
    Executor& here = Executor::current();
    auto front = CO_TRY(make_group({.name = "front", .foreground = true}));
    auto back = CO_TRY(make_group({.name = "back"}));
    const std::uint64_t from = CO_TRY(here.trace().start());
    CO_TRY(co_await sleep_for(1ms));
    Scope scope;
    scope.spawn(be_overtaken(front->lane(Qos::user_interactive)),
                {.core = &here, .lane = back->lane(Qos::utility)});
    CO_TRY(co_await scope.join());
    here.trace().stop();

    std::vector<TraceKind> of_task;
    std::uint64_t strand = 0;
    for (const TraceEvent& event : here.trace().read(from).events) {
      if (event.lane != back->lane(Qos::utility)) continue;
      if (event.kind == TraceKind::run_begin && !strand) strand = event.strand;
      if (strand && event.strand == strand && event.kind != TraceKind::wake)
        of_task.push_back(event.kind);
    }
    // Its end may not be there yet: whoever joins it can be faster.
    EXPECT_GE(of_task.size(), 3U);
    if (of_task.size() < 3) co_return Result<void>{};
    EXPECT_EQ(of_task[0], TraceKind::run_begin);
    EXPECT_EQ(of_task[1], TraceKind::preempt);
    EXPECT_EQ(of_task[2], TraceKind::resume_preempted);
    const auto tasks = here.watch().preempted_tasks();
    EXPECT_FALSE(tasks.empty());
    if (!tasks.empty()) {
      EXPECT_THAT(tasks[0].spawned_at.file_name(), HasSubstr("executor_watch_test.cpp"));
    }
    WorkFigures band;
    here.watch().read_band(background_utility, band);
    EXPECT_GE(band.preemptions, 1U);
    co_return Result<void>{};
  };
  run(body());
}

Task<> hold_core(bool comes_to_a_point) {
  {
    coro::Critical section;
    hold(20ms);
  }
  if (comes_to_a_point) Executor::current().preemption_point();
  co_return;
}

Task<Result<void>> stall(bool comes_to_a_point) {
  Executor& here = Executor::current();
  here.stalls().set_threshold(5ms);
  auto group = CO_TRY(make_group({.name = "greedy"}));
  Scope scope;
  const Place place{.core = &here, .lane = group->lane(Qos::utility)};
  scope.spawn(hold_core(comes_to_a_point), place);
  scope.spawn(nothing(), place);
  CO_TRY(co_await scope.join());
  // Seen in the loop at the latest, after the task.
  while (here.stalls().count() == 0) CO_TRY(co_await sleep_for(1ms));
  co_return Result<void>{};
}

// Whether it is logged. On a busy host somebody else may have been named, from whom the host took
// the core away: then once more.
bool is_reported(bool comes_to_a_point, std::initializer_list<std::string_view> texts, auto run) {
  for (int tries = 0; tries < 50; ++tries) {
    logged.clear();
    run(comes_to_a_point);
    if (std::ranges::all_of(texts, [](std::string_view text) { return logged.contains(text); }))
      return true;
  }
  return false;
}

TEST_P(WatchedMachine, ReportsWhoHoldsACoreWhereItStands) {
  EXPECT_TRUE(is_reported(true,
                          {"was held for", "by a task of greedy while others waited",
                           "spawned at executor_watch_test.cpp"},
                          [&](bool point) { run(stall(point)); }))
      << logged;
}

TEST_P(WatchedMachine, ReportsAfterwardsWhoCouldNotBeInterrupted) {
  EXPECT_TRUE(is_reported(false, {"by a task of greedy while others waited"}, [&](bool point) {
    run(stall(point));
  })) << logged;
}

}  // namespace
}  // namespace lichen::sched

// What a machine tells about itself while it runs: bands, lanes, traces, stalls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/log.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
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

// Fit for handlers.
std::array<char, 1 << 14> told;
std::atomic<std::size_t> told_size{0};
void tell(base::log::Level, std::string_view line) noexcept {
  const std::size_t at = told_size.fetch_add(line.size());
  if (at + line.size() <= told.size()) std::ranges::copy(line, told.begin() + at);
}

bool is_told(std::initializer_list<std::string_view> texts) {
  const std::string_view all{told.data(), std::min(told_size.load(), told.size())};
  return std::ranges::all_of(texts, [&](std::string_view text) { return all.contains(text); });
}

// In code that is not to be interrupted, until somebody has said so.
Task<Result<void>> hold_until_told(bool& in_time) {
  const auto watch = CO_TRY(co_await watch_task("endless"));
  const std::uint64_t until = hal::now_ns() + 60'000'000'000;
  while (!in_time && hal::now_ns() < until)
    in_time = is_told({"was held for", "by \"endless\" of greedy while others waited",
                       "spawned at executor_watch_test.cpp"});
  co_return Result<void>{};
}

TEST_P(WatchedMachine, ReportsWhoNeverComesOutOfCodeThatMustNotBeLeft) {
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "it keeps signals back";
#endif
  base::log::set_sink(nullptr);
  base::log::set_default_sink(&tell);
  told_size = 0;
  bool in_time = false;
  run([](bool& told_in_time) -> Task<Result<void>> {
    Executor& here = Executor::current();
    here.stalls().set_threshold(5ms);
    auto group = CO_TRY(make_group({.name = "greedy"}));
    Scope scope;
    const Place place{.core = &here, .lane = group->lane(Qos::utility)};
    scope.spawn(hold_until_told(told_in_time), place);
    scope.spawn(give_way(10), place);
    co_return co_await scope.join();
  }(in_time));
  EXPECT_TRUE(in_time);
}

// --- watched tasks
// ---------------------------------------------------------------------------------

TaskFigures watched(std::string_view name) {
  TaskFigures found;
  for_each_watched_task(Machine::current(), [&](const TaskFigures& task) {
    if (task.name == name) found = task;
  });
  return found;
}

// Everything is known once its last turn is.
Task<Result<void>> be_watched(std::string_view name, unsigned turns) {
  const auto watch = CO_TRY(co_await watch_task(name));
  co_return co_await give_way(turns);
}

TEST_P(WatchedMachine, WatchesATaskByItsName) {
  auto body = []() -> Task<Result<void>> {
    Scope scope;
    scope.spawn(be_watched("busy", 10));
    scope.spawn(be_watched("lazy", 0));
    scope.spawn(give_way(10));
    CO_TRY(co_await scope.join());
    const TaskFigures busy = watched("busy"), lazy = watched("lazy");
    EXPECT_EQ(busy.work.tasks, 11U);
    EXPECT_EQ(busy.work.wait.count(), 11U);
    EXPECT_EQ(busy.work.run.count(), 11U);
    EXPECT_EQ(lazy.work.tasks, 1U);
    EXPECT_EQ(lazy.work.run.count(), 1U);
    EXPECT_THAT(busy.spawned_at.file_name(), HasSubstr("executor_watch_test.cpp"));
    EXPECT_LT(busy.spawned_at.line(), lazy.spawned_at.line());
    EXPECT_FALSE(busy.watched) << "its figures stay when it has ended";
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, AWatchEndsBeforeItsTask) {
  auto body = []() -> Task<Result<void>> {
    {
      const auto watch = CO_TRY(co_await watch_task("main"));
      EXPECT_TRUE((co_await watch_task("again")).failed_with(Error::invalid_state));
      co_await yield();
      EXPECT_EQ(watch.figures().name, "main");
      EXPECT_EQ(watch.figures().work.tasks, 2U);
      EXPECT_EQ(watch.figures().work.run.count(), 1U) << "this turn goes on";
      EXPECT_TRUE(watched("main").watched);
    }
    const std::uint64_t ran = watched("main").work.run.sum();
    for (int i = 0; i < 5; ++i) co_await yield();
    EXPECT_FALSE(watched("main").watched);
    EXPECT_EQ(watched("main").work.tasks, 2U);
    EXPECT_EQ(watched("main").work.run.count(), 2U);
    EXPECT_EQ(watched("main").work.run.sum(), ran);
    // The next of that name has the record, and begins anew.
    const auto watch = CO_TRY(co_await watch_task("main"));
    EXPECT_EQ(watch.figures().work.tasks, 1U);
    unsigned tasks = 0;
    for_each_watched_task(Machine::current(), [&](const TaskFigures&) { ++tasks; });
    EXPECT_EQ(tasks, 1U);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, WatchesABoundedNumberOfTasks) {
  auto body = []() -> Task<Result<void>> {
    coro::Event enough;
    std::atomic<unsigned> begun{0}, refused{0};
    const auto wait = [](std::string name, coro::Event& end, std::atomic<unsigned>& ok,
                         std::atomic<unsigned>& not_ok) -> Task<Result<void>> {
      const auto watch = co_await watch_task(name);
      EXPECT_TRUE(watch || watch.failed_with(Error::limit_reached));
      ++(watch ? ok : not_ok);
      co_return co_await end.wait();
    };
    for (int round = 0; round < 2; ++round) {
      begun = refused = 0;
      Scope scope;
      for (unsigned i = 0; i < max_watched_tasks + 3; ++i)
        scope.spawn(wait(std::to_string(round * 100 + i), enough, begun, refused),
                    &Executor::current());
      while (begun + refused < max_watched_tasks + 3) CO_TRY(co_await sleep_for(100us));
      EXPECT_EQ(begun, max_watched_tasks);
      EXPECT_EQ(refused, 3U);
      // Those that have ended make room for others.
      enough.set();
      CO_TRY(co_await scope.join());
      enough.reset();
    }
    EXPECT_EQ(watched("101").work.run.count(), 2U);
    EXPECT_EQ(watched("1").work.tasks, 0U);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, AWatchedTaskRunsInTheSameOrder) {
  auto body = [](bool watch) -> Task<Result<std::string>> {
    std::string order;
    Scope scope;
    const auto run = [](char name, bool is_watched, std::string& into) -> Task<Result<void>> {
      std::optional<WatchedTask> guard;
      if (is_watched)
        guard.emplace(CO_TRY(co_await watch_task(std::string_view{&name, 1})));
      else
        co_await yield();
      for (int i = 0; i < 3; ++i) {
        into += name;
        co_await yield();
      }
      co_return Result<void>{};
    };
    for (const char name : {'a', 'b', 'c', 'd'})
      scope.spawn(run(name, watch && (name == 'b' || name == 'c'), order), &Executor::current());
    CO_TRY(co_await scope.join());
    co_return order;
  };
  auto both = [](auto& one) -> Task<Result<void>> {
    const std::string without = CO_TRY(co_await one(false));
    const std::string with = CO_TRY(co_await one(true));
    EXPECT_EQ(without, "abcdabcdabcd");
    EXPECT_EQ(with, without);
    co_return Result<void>{};
  };
  run(both(body));
}

// Whoever is handed something goes before what is ready.
TEST_P(WatchedMachine, AWatchedTaskHasTheWakeSlot) {
  auto body = []() -> Task<Result<void>> {
    std::string order;
    Channel<char> channel{1};
    Executor* here = &Executor::current();
    coro::this_core()->current()->pin(here);
    Scope scope;
    scope.spawn(
        [](auto& from, std::string& into) -> Task<Result<void>> {
          const auto watch = CO_TRY(co_await watch_task("handed"));
          into += CO_TRY(co_await from.receive());
          co_return Result<void>{};
        }(channel, order),
        here);
    for (int i = 0; i < 3; ++i) co_await yield();
    scope.spawn(
        [](std::string& into) -> Task<> {
          into += 'o';
          co_return;
        }(order),
        here);
    CO_TRY(co_await channel.send('h'));
    CO_TRY(co_await scope.join());
    EXPECT_EQ(order, "ho");
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, WatchesATaskThatIsSetAside) {
  auto body = []() -> Task<Result<void>> {
    Executor& here = Executor::current();
    auto front = CO_TRY(make_group({.name = "front", .foreground = true}));
    auto back = CO_TRY(make_group({.name = "back"}));
    const auto victim = [](LaneId urgent, unsigned times) -> Task<Result<void>> {
      const auto watch = CO_TRY(co_await watch_task("victim"));
      for (; times > 0; --times) CO_TRY(co_await be_overtaken(urgent));
      co_return Result<void>{};
    };
    Scope scope;
    scope.spawn(victim(front->lane(Qos::user_interactive), 3),
                {.core = &here, .lane = back->lane(Qos::utility)});
    CO_TRY(co_await scope.join());
    const TaskFigures figures = watched("victim");
    EXPECT_EQ(figures.work.preemptions, 3U);
    EXPECT_EQ(figures.work.run.count(), figures.work.tasks);
    EXPECT_GT(figures.aside_ns, 0U);
    EXPECT_LE(figures.longest_aside_ns, figures.aside_ns);
    EXPECT_EQ(figures.migrations, 0U);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, WatchesATaskThatMoves) {
  auto body = []() -> Task<Result<void>> {
    const auto wander = [](unsigned times) -> Task<Result<void>> {
      Machine& machine = Machine::current();
      coro::Strand& strand = *coro::this_core()->current();
      const auto watch = CO_TRY(co_await watch_task("wanderer"));
      for (unsigned i = 1; i <= times; ++i) {
        Executor& next = machine.core(i % machine.cores());
        strand.pin(&next);
        if (i % 3 == 0)
          co_await move_to(next);
        else
          co_await yield();
        EXPECT_EQ(coro::this_core(), &next);
      }
      co_return Result<void>{};
    };
    constexpr unsigned times = 300;
    Executor& first = Executor::current();
    Scope scope;
    scope.spawn(wander(times), &first);
    CO_TRY(co_await scope.join());
    const TaskFigures figures = watched("wanderer");
    const bool moves = Machine::current().cores() > 1;
    EXPECT_EQ(figures.migrations + first.index(), moves ? times : 0U);
    EXPECT_EQ(figures.work.tasks, 1 + times - (moves ? 0 : times / 3))
        << "who is there already does not suspend in order to move";
    EXPECT_EQ(figures.work.wait.count(), figures.work.tasks);
    EXPECT_EQ(figures.work.run.count(), figures.work.tasks);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, WatchesFrames) {
  auto body = []() -> Task<Result<void>> {
    auto group = CO_TRY(make_group({.name = "display", .foreground = true}));
    std::uint64_t missed = 0, last = 0;
    {
      const auto watch = CO_TRY(co_await watch_task("frames"));
      auto frames = CO_TRY(co_await Frames::reserve(*group, {.period = 2ms, .budget = 500us}));
      for (int i = 0; i < 5; ++i) {
        const Frame frame = CO_TRY(co_await frames.next());
        missed = frame.missed;
        last = frame.number;
      }
    }
    const TaskFigures figures = watched("frames");
    EXPECT_EQ(figures.work.frames, last + 1);
    EXPECT_EQ(figures.work.missed, missed);
    EXPECT_EQ(figures.work.wait.count(), 5U + 1U) << "and what came before the reservation";
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(WatchedMachine, NamesAWatchedTaskThatHoldsACore) {
  const auto greedy = []() -> Task<Result<void>> {
    const auto watch = CO_TRY(co_await watch_task("glutton"));
    CO_TRY(co_await hold_core(true));
    co_return Result<void>{};
  };
  const auto body = [](auto& hold_it) -> Task<Result<void>> {
    Executor& here = Executor::current();
    here.stalls().set_threshold(5ms);
    auto group = CO_TRY(make_group({.name = "greedy"}));
    Scope scope;
    const Place place{.core = &here, .lane = group->lane(Qos::utility)};
    scope.spawn(hold_it(), place);
    scope.spawn(give_way(10), place);
    CO_TRY(co_await scope.join());
    while (here.stalls().count() == 0) CO_TRY(co_await sleep_for(1ms));
    co_return Result<void>{};
  };
  EXPECT_TRUE(is_reported(true, {"ms by \"glutton\" of greedy while others waited"}, [&](bool) {
    run(body(greedy));
  })) << logged;
}

}  // namespace
}  // namespace lichen::sched

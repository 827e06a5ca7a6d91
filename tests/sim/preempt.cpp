// Tasks that never come back by themselves, and tasks that are in a hurry beside them.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/stop.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/place.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

using namespace std::chrono_literals;
using sched::Qos;

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000 * us;

struct Work {
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> longest_gap{0};
};

// Computes until it is told to end, and never lets go of its core.
Task<Result<void>> hog(Work& work, std::uint64_t piece_ns) {
  std::uint64_t before = hal::now_ns();
  while (!work.over.load()) {
    hal::sim::compute(piece_ns);
    work.done.fetch_add(piece_ns);
    const std::uint64_t now = hal::now_ns();
    if (now - before > work.longest_gap.load()) work.longest_gap.store(now - before);
    before = now;
  }
  co_return Result<void>{};
}

// Wakes, is in a hurry, and goes back to sleep.
Task<Result<void>> hurry(std::uint64_t seed, unsigned rounds, std::uint64_t apart_ns,
                         std::uint64_t bound_ns) {
  Random random{seed};
  for (unsigned i = 0; i < rounds; ++i) {
    const Deadline deadline = Deadline::after(Duration{random.below(apart_ns)});
    CO_TRY(co_await sleep_until(deadline));
    const std::uint64_t late = hal::now_ns() - deadline.ns;
    hal::sim::note("woken late by", late);
    check(late <= bound_ns, "who is in a hurry runs soon after its wake");
    hal::sim::compute(random.below(50 * us));
  }
  co_return Result<void>{};
}

// The same without an end, until it is stopped.
Task<Result<void>> tick(std::uint64_t seed, std::uint64_t apart_ns) {
  Random random{seed};
  for (;;) {
    if (!co_await sleep_for(Duration{random.below(apart_ns)})) co_return Result<void>{};
    hal::sim::compute(random.below(300));
  }
}

// In code that may not be interrupted.
void compute_in_library(std::uint64_t ns) {
  for (const std::uint64_t until = hal::now_ns() + ns; hal::now_ns() < until;) {
    hal::sim::step();
    hal::yield_to_host();
  }
}

Task<Result<void>> alarm(std::uint64_t after_ns, std::uint64_t bound_ns) {
  const Deadline deadline = Deadline::after(Duration{after_ns});
  CO_TRY(co_await sleep_until(deadline));
  const std::uint64_t late = hal::now_ns() - deadline.ns;
  hal::sim::note("the alarm is late by", late);
  check(late <= bound_ns, "a timer is seen in time though nobody came back");
  co_return Result<void>{};
}

// Has computed for so long that its core looks at it seldom. Then another task of its lane sets a
// timer, and it goes on.
Task<Result<void>> ignore_alarms(World& world, std::uint64_t seed) {
  Random random{seed};
  constexpr std::uint64_t rotation = 3 * ms;  // the alarm's turn, once it was seen
  constexpr std::uint64_t longest_call = 2 * ms;
  for (unsigned i = 0; i < 3; ++i) {
    hal::sim::compute(120 * ms);
    Scope scope;
    scope.spawn(alarm(random.below(10 * ms), rotation + longest_call + world.slack_ns),
                {.core = coro::this_core()});
    co_await yield();
    hal::sim::compute(random.below(8 * ms));
    compute_in_library(random.below(longest_call));
    hal::sim::compute(120 * ms);
    CO_TRY(co_await scope.join());
  }
  co_return Result<void>{};
}

Task<> arrive(std::uint64_t sent_ns, std::uint64_t& late) {
  late = hal::now_ns() - sent_ns;
  hal::sim::note("an equal has waited for", late);
  co_return;
}

// Sends tasks of its own lane, or of a less urgent one, to a core where one computes alone.
Task<Result<void>> send_equals(World& world, std::uint64_t seed, coro::Core& to, sched::LaneId lane,
                               sched::LaneId lower, Work& work) {
  Random random{seed};
  constexpr std::uint64_t slice = 4 * ms;  // after which it is looked at for the first time
  for (unsigned i = 0; i < 6; ++i) {
    // So long that it is looked at as seldom as can be.
    if (i % 2 == 0) CO_TRY(co_await sleep_for(Duration{130 * ms + random.below(64 * ms)}));
    Scope scope;
    std::uint64_t late = 0;
    // One that waits for the other's turn to end does not hide those that come after it.
    std::uint64_t of_lower = 0;
    if (random.below(2) == 0)
      scope.spawn(arrive(hal::now_ns(), of_lower), {.core = &to, .lane = lower});
    scope.spawn(arrive(hal::now_ns(), late), {.core = &to, .lane = lane});
    CO_TRY(co_await scope.join());
    check(late <= slice + world.slack_ns, "an equal waits no longer than a slice");
  }
  work.over = true;
  co_return Result<void>{};
}

Task<Result<void>> run_with(Task<Result<void>> (*scenario)(World& world), World world) {
  co_return co_await scenario(world);
}

}  // namespace

Task<Result<void>> hurries(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  Work work;
  Scope hogs;
  for (unsigned i = 0; i < 2 * world.machine.cores(); ++i)
    hogs.spawn(hog(work, 100 * us + world.random.below(3 * ms)),
               {.lane = background->lane(Qos::utility)});
  Scope hurrying;
  for (unsigned i = 0; i < 3; ++i)
    hurrying.spawn(hurry(world.random(), 12, 5 * ms, world.slack_ns),
                   {.lane = foreground->lane(Qos::user_interactive)});
  CO_TRY(co_await hurrying.join());
  work.over = true;
  co_return co_await hogs.join();
}

// Timers that are set after their core has planned when it looks again.
Task<Result<void>> alarms(World& world) {
  Scope scope;
  for (unsigned core = 0; core < world.machine.cores(); ++core)
    scope.spawn(ignore_alarms(world, world.random()), {.core = &world.machine.core(core)});
  co_return co_await scope.join();
}

// One that has computed alone for long is looked at seldom. Who is as urgent and comes from another
// core does not wait for that.
Task<Result<void>> equals(World& world) {
  if (world.machine.cores() == 1) co_return Result<void>{};
  auto group = CO_TRY(sched::make_group({.name = "group"}));
  const auto cores = world.machine.cores();
  std::vector<std::unique_ptr<Work>> works;
  Scope scope;
  for (unsigned core = 1; core < cores; ++core) {
    works.push_back(std::make_unique<Work>());
    coro::Core& where = world.machine.core(core);
    const auto lane = group->lane(Qos::user_initiated);
    scope.spawn(hog(*works.back(), 10 * ms), {.core = &where, .lane = lane});
    scope.spawn(
        send_equals(world, world.random(), where, lane, group->lane(Qos::utility), *works.back()),
        {.core = &world.machine.core(0)});
  }
  co_return co_await scope.join();
}

// Short ones of the lane of one that computes have as much of its core as that, however often they
// let go of it.
Task<Result<void>> turns(World& world) {
  if (world.machine.cores() == 1) co_return Result<void>{};
  auto group = CO_TRY(sched::make_group({.name = "group"}));
  const auto lane = group->lane(Qos::utility);
  constexpr unsigned each = 4, rounds = 300;
  constexpr std::uint64_t step = 10 * us;
  Work work;
  Scope hogs;
  for (unsigned core = 0; core < world.machine.cores(); ++core)
    hogs.spawn(hog(work, 1 * ms), {.core = &world.machine.core(core), .lane = lane});
  CO_TRY(co_await sleep_for(20ms));
  const std::uint64_t began = hal::now_ns();
  const std::uint64_t before = work.done;
  Scope shorts;
  for (unsigned i = 0; i < each * world.machine.cores(); ++i)
    shorts.spawn(
        []() -> Task<> {
          for (unsigned round = 0; round < rounds; ++round) {
            hal::sim::compute(step);
            co_await yield();
          }
        }(),
        {.core = world.random.below(2) ? nullptr : &world.machine.core(i % world.machine.cores()),
         .lane = lane});
  CO_TRY(co_await shorts.join());
  const std::uint64_t took = hal::now_ns() - began;
  const std::uint64_t computed = work.done - before;
  work.over = true;
  hal::sim::note("short tasks were done within", took);
  hal::sim::note("others computed meanwhile", computed);
  check(took <= 4 * each * rounds * step, "short tasks have their part of a core");
  check(computed * 4 >= took * world.machine.cores(), "and so has who computes");
  co_return co_await hogs.join();
}

// Everything else, while somebody in a hurry comes in between at any step.
Task<Result<void>> storms(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  Scope ticking;
  for (unsigned core = 0; core < world.machine.cores(); ++core)
    ticking.spawn(
        tick(world.random(), 300 * us),
        {.core = &world.machine.core(core), .lane = foreground->lane(Qos::user_interactive)});
  Scope scope;
  for (auto* scenario : {trees, forks, moves, pairs, channels, selects, locks, stops, streams})
    scope.spawn(
        run_with(scenario, {world.random.split(), world.machine, world.options, world.slack_ns}),
        {.lane = background->lane(static_cast<Qos>(world.random.below(4)))});
  CO_TRY(co_await scope.join());
  ticking.request_stop();
  co_return co_await ticking.join();
}

// Two apps that want all of every core: each gets its share, whether its tasks were placed on the
// cores or are left to go where there is room.
Task<Result<void>> share(World& world, bool placed) {
  auto one = CO_TRY(sched::make_group({.name = "one", .weight = 100}));
  auto three = CO_TRY(sched::make_group({.name = "three", .weight = 300}));
  Work work_of_one;
  Work work_of_three;
  Scope hogs;
  for (unsigned core = 0; core < world.machine.cores(); ++core) {
    coro::Core* const where = placed ? &world.machine.core(core) : nullptr;
    for (unsigned i = 0; i < (placed ? 1U : 2U); ++i) {
      hogs.spawn(hog(work_of_one, 1 * ms), {.core = where, .lane = one->lane(Qos::utility)});
      hogs.spawn(hog(work_of_three, 1 * ms), {.core = where, .lane = three->lane(Qos::utility)});
    }
  }
  // Until they are where they stay.
  if (!placed) CO_TRY(co_await sleep_for(200ms));
  const std::uint64_t before_one = work_of_one.done;
  const std::uint64_t before_three = work_of_three.done;
  CO_TRY(co_await sleep_for(1s));
  work_of_one.over = work_of_three.over = true;
  const std::uint64_t of_one = work_of_one.done - before_one;
  const std::uint64_t of_three = work_of_three.done - before_three;
  const std::uint64_t all = of_one + of_three;
  hal::sim::note("of one", of_one);
  hal::sim::note("of three", of_three);
  check(of_one * 100 >= all * 23 && of_one * 100 <= all * 27,
        "weights of 1 to 3 are shares of 1 to 3");
  check(all * 100 >= world.total_capacity() * (1'000 * ms) / hal::sim::full_capacity * 95,
        "the cores are used");
  co_return co_await hogs.join();
}

Task<Result<void>> shares(World& world) { co_return co_await share(world, true); }
Task<Result<void>> shares_anywhere(World& world) { co_return co_await share(world, false); }

// A core that the host gives and takes in turn, both for so long: in the middle of who computes,
// and now and then once more when the kernel asks what the host has had.
class TakenCore {
 public:
  explicit TakenCore(bool stolen) noexcept : stolen_{stolen} {}
  void compute(std::uint64_t piece_ns) noexcept {
    hal::sim::compute(piece_ns);
    given_ns_ += piece_ns;
    if (given_ns_ < turn_ns_) return;
    given_ns_ = 0;
    turns_ = (turns_ + 1) % lengths.size();
    turn_ns_ = lengths[turns_];
    stolen_ ? hal::sim::steal_core(turn_ns_) : hal::sim::take_core(turn_ns_);
    if (turns_ == 0) hal::sim::take_core_when_asked(turn_ns_);
  }

 private:
  static constexpr std::array<std::uint64_t, 3> lengths{4 * ms, 3 * ms, 8 * ms};
  const bool stolen_;  // by a machine below the host
  std::uint64_t given_ns_ = 0;
  std::size_t turns_ = 0;
  std::uint64_t turn_ns_ = lengths[0];
};

Task<Result<void>> hog_on(TakenCore& core, Work& work) {
  for (; !work.over.load(); work.done.fetch_add(250 * us)) core.compute(250 * us);
  co_return Result<void>{};
}

// Half of the time it waits in calls of the host's, with its core.
Task<Result<void>> hog_that_blocks(Work& work) {
  for (; !work.over.load(); work.done.fetch_add(2 * ms)) {
    hal::sim::compute(1 * ms);
    hal::sim::block(1 * ms);
  }
  co_return Result<void>{};
}

// Two apps beside what the host runs on the same cores: each gets its share of what is left, of
// which its tasks have a slice each in turn.
Task<Result<void>> robbed_shares(World& world) {
  auto one = CO_TRY(sched::make_group({.name = "one", .weight = 100}));
  auto three = CO_TRY(sched::make_group({.name = "three", .weight = 300}));
  Work work_of_one;
  Work work_of_three;
  std::vector<TakenCore> cores(world.machine.cores(), TakenCore{world.random.below(2) == 0});
  const auto hogs_of_each = static_cast<unsigned>(1 + world.random.below(3));
  Scope hogs;
  for (unsigned core = 0; core < std::min(2U, world.machine.cores()); ++core) {
    coro::Core* const where = &world.machine.core(core);
    for (unsigned i = 0; i < hogs_of_each; ++i) {
      hogs.spawn(hog_on(cores[core], work_of_one),
                 {.core = where, .lane = one->lane(Qos::utility)});
      hogs.spawn(hog_on(cores[core], work_of_three),
                 {.core = where, .lane = three->lane(Qos::utility)});
    }
  }
  CO_TRY(co_await sleep_for(2s));
  work_of_one.over = work_of_three.over = true;
  const std::uint64_t of_one = work_of_one.done;
  const std::uint64_t of_three = work_of_three.done;
  hal::sim::note("of one", of_one);
  hal::sim::note("of three", of_three);
  const std::uint64_t all = of_one + of_three;
  check(of_one * 100 >= all * 24 && of_one * 100 <= all * 26,
        "weights are shares of what the host leaves");
  CO_TRY(co_await hogs.join());
  const std::uint64_t charged = one->statistics().fair_ns() + three->statistics().fair_ns();
  const std::uint64_t done = work_of_one.done + work_of_three.done;
  hal::sim::note("charged", charged);
  check(charged * 100 <= done * 101, "nobody is charged for what the host takes");
  co_return Result<void>{};
}

// A background app that is sure of a tenth of one core beside the foreground has that of what is
// left, in each second.
Task<Result<void>> robbed_guarantee(World& world) {
  auto sure = CO_TRY(sched::make_group({.name = "sure", .guarantee_permille = 100}));
  auto front = CO_TRY(sched::make_group({.name = "front", .foreground = true}));
  Work work_of_sure;
  Work work_of_front;
  std::vector<TakenCore> taken(world.machine.cores(), TakenCore{world.random.below(2) == 0});
  const unsigned cores = std::min(2U, world.machine.cores());
  Scope hogs;
  for (unsigned core = 0; core < cores; ++core) {
    coro::Core* const where = &world.machine.core(core);
    hogs.spawn(hog_on(taken[core], work_of_sure),
               {.core = where, .lane = sure->lane(Qos::background)});
    hogs.spawn(hog_on(taken[core], work_of_front),
               {.core = where, .lane = front->lane(Qos::user_interactive)});
  }
  for (unsigned second = 0; second < 2; ++second) {
    const std::uint64_t sure_before = work_of_sure.done;
    const std::uint64_t front_before = work_of_front.done;
    CO_TRY(co_await sleep_for(1s));
    const std::uint64_t of_sure = work_of_sure.done - sure_before;
    const std::uint64_t of_one_core = (of_sure + work_of_front.done - front_before) / cores;
    hal::sim::note("of sure", of_sure);
    hal::sim::note("of a core", of_one_core);
    check(of_sure * 1'000 >= of_one_core * 92 && of_sure * 1'000 <= of_one_core * 110,
          "a guarantee is a part of what the host leaves");
  }
  work_of_sure.over = work_of_front.over = true;
  co_return co_await hogs.join();
}

// Who keeps a core while it waits in the host has had it for as long.
Task<Result<void>> blocked_shares(World& world) {
  std::array<sched::Group::Handle, 2> groups{CO_TRY(sched::make_group({.name = "waits"})),
                                             CO_TRY(sched::make_group({.name = "computes"}))};
  std::array<Work, 2> works;
  Scope hogs;
  for (unsigned core = 0; core < std::min(2U, world.machine.cores()); ++core) {
    coro::Core* const where = &world.machine.core(core);
    hogs.spawn(hog_that_blocks(works[0]), {.core = where, .lane = groups[0]->lane(Qos::utility)});
    hogs.spawn(hog(works[1], 1 * ms), {.core = where, .lane = groups[1]->lane(Qos::utility)});
  }
  CO_TRY(co_await sleep_for(1s));
  works[0].over = works[1].over = true;
  const std::uint64_t waiting = works[0].done;
  const std::uint64_t all = waiting + works[1].done;
  hal::sim::note("of who waits", waiting);
  hal::sim::note("of both", all);
  check(waiting * 100 >= all * 47 && waiting * 100 <= all * 53,
        "to wait in the host with the core is to have it");
  co_return co_await hogs.join();
}

// Work in every bucket on a core, or on each of two: none waits longer than its latency, and the
// windows of all.
Task<Result<void>> starving(World& world) {
  std::array<sched::Group::Handle, 2> groups{
      CO_TRY(sched::make_group({.name = "foreground", .foreground = true})),
      CO_TRY(sched::make_group({.name = "background"}))};
  const sched::ScheduleParameters parameters;
  std::uint64_t windows = 0;
  for (const std::uint64_t window : parameters.window_ns) windows += window;
  for (const std::uint64_t warp : parameters.warp_ns) windows += warp;
  std::vector<std::unique_ptr<Work>> works;
  Scope hogs;
  for (unsigned core = 0; core < std::min(2U, world.machine.cores()); ++core)
    for (unsigned bucket = 0; bucket < sched::bucket_count; ++bucket) {
      works.push_back(std::make_unique<Work>());
      hogs.spawn(hog(*works.back(), 500 * us), {.core = &world.machine.core(core),
                                                .lane = groups[bucket / sched::qos_count]->lane(
                                                    static_cast<Qos>(bucket % sched::qos_count))});
    }
  CO_TRY(co_await sleep_for(2200ms));
  for (auto& work : works) work->over = true;
  CO_TRY(co_await hogs.join());
  for (std::size_t i = 0; i < works.size(); ++i) {
    const std::uint64_t bound =
        parameters.latency_ns[i % sched::bucket_count] + 2 * windows + world.slack_ns;
    hal::sim::note("longest wait", works[i]->longest_gap);
    check(works[i]->done > 0 && works[i]->longest_gap <= bound, "no bucket starves");
  }
  co_return Result<void>{};
}

// Several hogs in each bucket, on whatever core: who sleeps beside them wakes soon.
Task<Result<void>> sleepers(World& world) {
  std::array<sched::Group::Handle, 2> groups{
      CO_TRY(sched::make_group({.name = "foreground", .foreground = true})),
      CO_TRY(sched::make_group({.name = "background"}))};
  const sched::ScheduleParameters parameters;
  std::uint64_t bound = world.slack_ns;
  for (const std::uint64_t window : parameters.window_ns) bound += window;
  for (const std::uint64_t warp : parameters.warp_ns) bound += warp;
  bound += parameters.latency_ns[static_cast<unsigned>(Qos::user_initiated)];
  Work work;
  Scope hogs;
  for (unsigned i = 0; i < (world.machine.cores() > 1 ? 32U : 12U); ++i)
    hogs.spawn(
        hog(work, 500 * us),
        {.lane = groups[i / sched::qos_count % 2]->lane(static_cast<Qos>(i % sched::qos_count))});
  std::uint64_t longest = 0;
  for (unsigned i = 0; i < 10; ++i) {
    const Deadline deadline = Deadline::after(Duration{world.random.below(100 * ms)});
    CO_TRY(co_await sleep_until(deadline));
    longest = std::max(longest, hal::now_ns() - deadline.ns);
  }
  hal::sim::note("woken late by", longest);
  hal::sim::note("bound", bound);
  work.over = true;
  CO_TRY(co_await hogs.join());
  check(longest <= bound, "who sleeps beside hogs wakes within its bucket's latency");
  co_return Result<void>{};
}

// Two apps take turns in the foreground.
Task<Result<void>> switches(World& world) {
  std::array<sched::Group::Handle, 2> groups{CO_TRY(sched::make_group({.name = "left"})),
                                             CO_TRY(sched::make_group({.name = "right"}))};
  std::array<Work, 2> works;
  Scope hogs;
  for (unsigned core = 0; core < world.machine.cores(); ++core)
    for (unsigned i = 0; i < 2; ++i)
      hogs.spawn(hog(works[i], 500 * us),
                 {.core = &world.machine.core(core), .lane = groups[i]->lane(Qos::utility)});
  for (unsigned turn = 0; turn < 6; ++turn) {
    const unsigned shown = world.random.below(2);
    sched::set_foreground(*groups[shown ^ 1], false);
    sched::set_foreground(*groups[shown], true);
    const std::uint64_t mine = works[shown].done;
    const std::uint64_t others = works[shown ^ 1].done;
    CO_TRY(co_await sleep_for(Duration{20 * ms + world.random.below(60 * ms)}));
    const std::uint64_t got = works[shown].done - mine;
    const std::uint64_t left = works[shown ^ 1].done - others;
    hal::sim::note("of the foreground", got);
    hal::sim::note("of the background", left);
    check(got * 10 >= (got + left) * 8, "the foreground goes first from the next pick on");
  }
  works[0].over = works[1].over = true;
  co_return co_await hogs.join();
}

}  // namespace lichen::tests

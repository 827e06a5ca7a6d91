// Tasks that are watched: what their records say is what happened to them.
#include <array>
#include <atomic>
#include <string_view>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/place.hpp"
#include "lichen/sched/task_watch.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

using sched::Qos;

constexpr std::uint64_t us = 1'000;
constexpr std::array<std::string_view, 3> names{"one", "two", "three"};

// As the task knows it.
struct Seen {
  std::uint64_t turns = 1;  // the one that watch_task() asks for
  std::uint64_t moves = 0;
  std::uint64_t computed_ns = 0;
  std::uint64_t lived_ns = 0;  // from its first look at the clock in these turns to its last
};

// Computes, each time on a core that chance names, and never waits for anything but its turn.
Task<Result<void>> wander(World& world, std::string_view name, std::uint64_t seed, Seen& seen) {
  Random random{seed};
  coro::Strand& strand = *coro::this_core()->current();
  std::uint32_t core = coro::this_core()->index();
  strand.pin(&world.machine.core(core));
  const auto watch = CO_TRY(co_await sched::watch_task(name));
  const std::uint64_t began = hal::now_ns();
  for (unsigned i = 0; i < 6; ++i) {
    const std::uint64_t work = random.below(800 * us);
    hal::sim::compute(work);
    seen.computed_ns += work * hal::sim::full_capacity / hal::sim::capacity(core);
    const auto next = static_cast<std::uint32_t>(random.below(world.machine.cores()));
    if (next != core) ++seen.moves;
    strand.pin(&world.machine.core(core = next));
    co_await yield();
    ++seen.turns;
  }
  seen.lived_ns = hal::now_ns() - began;
  co_return Result<void>{};
}

// Comes in between.
Task<Result<void>> tick(std::uint64_t seed) {
  Random random{seed};
  for (;;) {
    if (!co_await sleep_for(Duration{random.below(300 * us)})) co_return Result<void>{};
    hal::sim::compute(random.below(20 * us));
  }
}

void compare(const World& world, const sched::TaskFigures& found, const Seen& seen) {
  hal::sim::note("preempted", found.work.preemptions);
  hal::sim::note("set aside for", found.aside_ns);
  check(!found.watched, "who has ended is watched no longer");
  check(found.work.tasks == seen.turns && found.work.run.count() == seen.turns &&
            found.work.wait.count() == seen.turns,
        "every turn is counted, and what it waited and ran");
  check(found.migrations == seen.moves, "every move is counted");
  check((found.work.preemptions == 0) == (found.aside_ns == 0), "who was set aside waited");
  check(found.longest_aside_ns <= found.aside_ns, "the longest is one of all");
  check(found.work.run.sum() >= seen.computed_ns, "a turn takes what the task computes");
  // From a wake to a turn's end, set aside or not, and by then it has been woken again.
  const std::uint64_t all = found.work.wait.sum() + found.work.run.sum() + found.aside_ns;
  check(all >= seen.lived_ns, "the task waits, or runs, or is set aside");
  const std::uint64_t both = 100 * us + 20 * world.options.timing.stall.most;
  check(all <= seen.lived_ns + found.work.wait.max() + seen.turns * both,
        "what is counted twice is only the end of a suspension");
}

}  // namespace

Task<Result<void>> watched(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  Scope ticking;
  for (unsigned core = 0; core < world.machine.cores(); ++core)
    ticking.spawn(tick(world.random()), {.core = &world.machine.core(core),
                                         .lane = foreground->lane(Qos::user_interactive)});
  std::array<Seen, names.size()> seen;
  Scope scope;
  for (std::size_t i = 0; i < names.size(); ++i)
    scope.spawn(wander(world, names[i], world.random(), seen[i]),
                {.lane = background->lane(static_cast<Qos>(world.random.below(4)))});
  CO_TRY(co_await scope.join());
  ticking.request_stop();
  CO_TRY(co_await ticking.join());
  unsigned known = 0;
  sched::for_each_watched_task(world.machine, [&](const sched::TaskFigures& task) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!(task.name == names[i])) continue;
      ++known;
      compare(world, task, seen[i]);
    }
  });
  check(known == names.size(), "every task that was watched is known by its name");
  co_return Result<void>{};
}

}  // namespace lichen::tests

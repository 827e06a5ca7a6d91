// The lease: cores come and go while tasks, channels, timers and reservations go on.
#include <array>
#include <atomic>
#include <memory>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/place.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

using namespace std::chrono_literals;

struct Counts {
  std::atomic<std::uint64_t> pieces{0};
  std::atomic<std::uint64_t> messages{0};
  std::atomic<bool> over{false};
};

Task<Result<void>> change(World& world, std::uint64_t seed, Counts& counts) {
  Random random{seed};
  const unsigned cores = world.machine.cores();
  check(world.machine.set_active_cores(0).failed_with(Error::out_of_range), "no core at all");
  check(world.machine.set_active_cores(cores + 1).failed_with(Error::out_of_range), "too many");
  while (!counts.over.load()) {
    const auto active = static_cast<unsigned>(1 + random.below(cores));
    hal::sim::note("cores in the lease", active);
    check(world.machine.set_active_cores(active).has_value(), "a lease of fewer cores");
    CO_TRY(co_await sleep_for(Duration{random.below(200'000)}));
  }
  co_return world.machine.set_active_cores(cores);
}

Task<Result<void>> piece(std::uint64_t work_ns, Counts& counts) {
  hal::sim::compute(work_ns);
  counts.pieces.fetch_add(1);
  co_return Result<void>{};
}

Task<Result<void>> worker(std::uint64_t seed, unsigned rounds, Counts& counts) {
  Random random{seed};
  for (unsigned i = 0; i < rounds; ++i) {
    switch (random.below(4)) {
      case 0: co_await yield(); break;
      case 1: CO_TRY(co_await sleep_for(Duration{random.below(50'000)})); break;
      case 2: {
        Scope scope;
        for (unsigned k = 0; k < 3; ++k) scope.spawn(piece(random.below(20'000), counts));
        CO_TRY(co_await scope.join());
        counts.pieces.fetch_sub(3);
        break;
      }
      default: hal::sim::compute(random.below(10'000));
    }
    counts.pieces.fetch_add(1);
  }
  co_return Result<void>{};
}

Task<Result<void>> stay(sched::Executor& home, std::uint64_t seed, unsigned rounds,
                        Counts& counts) {
  Random random{seed};
  for (unsigned i = 0; i < rounds; ++i) {
    check(coro::this_core() == &home, "a pinned task stays on its core, in the lease or not");
    if (random.below(2))
      CO_TRY(co_await sleep_for(Duration{random.below(50'000)}));
    else
      co_await yield();
    counts.pieces.fetch_add(1);
  }
  co_return Result<void>{};
}

Task<Result<void>> send(Channel<unsigned>& channel, unsigned count) {
  for (unsigned i = 0; i < count; ++i) CO_TRY(co_await channel.send(i));
  co_return Result<void>{};
}

Task<Result<void>> receive(Channel<unsigned>& channel, unsigned count, Counts& counts) {
  for (unsigned i = 0; i < count; ++i) {
    check(CO_TRY(co_await channel.receive()) == i, "messages in order");
    counts.messages.fetch_add(1);
  }
  co_return Result<void>{};
}

Task<Result<void>> draw(unsigned count, Counts& counts) {
  auto group = CO_TRY(sched::make_group({.name = "app"}));
  auto frames = CO_TRY(co_await sched::Frames::reserve(*group, {.period = 1ms, .budget = 20us}));
  const coro::Core* home = coro::this_core();
  for (unsigned i = 0; i < count; ++i) {
    CO_TRY(co_await frames.next());
    check(coro::this_core() == home, "a reservation stays on its core");
    counts.pieces.fetch_add(1);
  }
  co_return Result<void>{};
}

// Outside the lease what may move does not run, but for what was there already.
Task<Result<void>> wander(World& world, Counts& counts) {
  sched::Machine& machine = world.machine;
  if (machine.cores() == 1) co_return Result<void>{};
  CO_TRY(machine.set_active_cores(1));
  // They have given away what they had before these begin.
  CO_TRY(co_await sleep_for(Duration{world.slack_ns}));
  Scope scope;
  auto at_home = [](sched::Machine& here, std::uint64_t seed) -> Task<Result<void>> {
    Random random{seed};
    for (unsigned i = 0; i < 20; ++i) {
      check(coro::this_core() == &here.core(0), "only the lease's cores take what may move");
      if (random.below(3) == 0)
        CO_TRY(co_await sleep_for(Duration{random.below(20'000)}));
      else
        co_await yield();
    }
    co_return Result<void>{};
  };
  for (unsigned i = 0; i < 20; ++i) scope.spawn(at_home(machine, world.random()));
  CO_TRY(co_await scope.join());
  counts.pieces.fetch_add(1);
  co_return machine.set_active_cores(machine.cores());
}

}  // namespace

Task<Result<void>> leases(World& world) {
  Counts counts;
  std::uint64_t expected = 0;
  CO_TRY(co_await wander(world, counts));
  if (world.machine.cores() > 1) ++expected;

  Scope changing;
  changing.spawn(change(world, world.random(), counts));
  Scope scope;
  std::array<std::unique_ptr<Channel<unsigned>>, 3> channels;
  for (auto& channel : channels) {
    channel = std::make_unique<Channel<unsigned>>(world.random.below(4) + 1);
    scope.spawn(send(*channel, 100));
    scope.spawn(receive(*channel, 100, counts));
  }
  for (unsigned i = 0; i < 12; ++i) {
    scope.spawn(worker(world.random(), 20, counts));
    expected += 20;
  }
  for (unsigned i = 0; i < world.machine.cores(); ++i) {
    sched::Executor& home = world.machine.core(i);
    scope.spawn(stay(home, world.random(), 20, counts), &home);
    expected += 20;
  }
  scope.spawn(draw(5, counts));
  expected += 5;
  CO_TRY(co_await scope.join());
  counts.over = true;
  CO_TRY(co_await changing.join());
  check(counts.pieces == expected, "every piece of work was done once");
  check(counts.messages == 300, "every message came once");
  check(world.machine.active_cores() == world.machine.cores(), "the whole lease at the end");
  co_return Result<void>{};
}

}  // namespace lichen::tests

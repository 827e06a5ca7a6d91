// Time: sleeps that are never early and not much too late, stop requests that reach everybody, work
// that leaves no core idle.
#include <algorithm>
#include <atomic>
#include <vector>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/stop.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/hal/hal.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

Task<Result<void>> nap(World& world, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < 6; ++i) {
    const Duration length{random.below(400'000)};
    const Deadline deadline = Deadline::after(length);
    CO_TRY(co_await sleep_until(deadline));
    const std::uint64_t now = hal::now_ns();
    check(now >= deadline.ns, "a sleep does not end early");
    // The wheel turns in ticks of 2^16 ns at most; every core may stall, and others go first.
    check(now - deadline.ns < world.slack_ns, "a sleep does not end late");
  }
  co_return Result<void>{};
}

Task<Result<void>> wait_forever() {
  Event never;
  co_return co_await never.wait();
}

Task<Result<void>> time_out(std::uint64_t seed) {
  const auto outcome =
      co_await coro::with_timeout(std::chrono::nanoseconds{seed % 200'000}, wait_forever());
  check(outcome.failed_with(Error::timed_out), "a wait for nothing times out");
  co_return Result<void>{};
}

struct Traps {
  Event event;
  Mutex mutex;
  Channel<int> channel{0};
  Semaphore permits{0};
  StopSource source;
  std::atomic<unsigned> ended{0};
};

// Gets stuck in one of all the ways there are.
Task<Result<void>> get_stuck(Traps& traps, std::uint64_t seed) {
  struct Count {
    std::atomic<unsigned>& n;
    ~Count() { n.fetch_add(1); }
  } count{traps.ended};
  Random random{seed};
  Result<void> outcome;
  switch (random.below(7)) {
    case 0: outcome = co_await traps.event.wait(); break;
    case 1: {
      auto guard = co_await traps.mutex.lock();
      outcome = co_await wait_forever();
      break;
    }
    case 2: outcome = co_await traps.channel.send(1); break;
    case 3: outcome = co_await traps.permits.acquire(); break;
    case 4: outcome = co_await sleep_until(Deadline::never()); break;
    case 5: {
      Scope scope;
      scope.spawn(get_stuck(traps, random()));
      scope.spawn(get_stuck(traps, random()));
      traps.ended.fetch_sub(2);  // they count for themselves
      outcome = co_await scope.join();
      break;
    }
    default:
      while (!coro::stop_requested()) {
        hal::sim::compute(random.below(2'000));
        co_await yield();
      }
      co_return Error::stopped;
  }
  check(outcome.failed_with(Error::stopped), "whatever waits is stopped");
  co_return Error::stopped;
}

Task<Result<void>> stop_all(Scope& scope, std::uint64_t seed) {
  CO_TRY(co_await sleep_for(std::chrono::nanoseconds{seed % 40'000}));
  scope.request_stop();
  co_return Result<void>{};
}

Task<Result<void>> work(std::uint64_t ns, std::atomic<std::uint64_t>& done) {
  hal::sim::compute(ns);
  done.fetch_add(ns);
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> timers(World& world) {
  Scope scope;
  for (unsigned i = 0; i < 12; ++i) {
    scope.spawn(nap(world, world.random()));
    scope.spawn(time_out(world.random()));
  }
  co_return co_await scope.join();
}

Task<Result<void>> stops(World& world) {
  for (unsigned round = 0; round < 4; ++round) {
    Traps traps;
    Scope stopping;
    Scope scope{OnError::keep_going};
    coro::StopFollower follower{traps.source, scope};
    const auto n = static_cast<unsigned>(1 + world.random.below(10));
    for (unsigned i = 0; i < n; ++i) scope.spawn(get_stuck(traps, world.random()));
    if (world.random.below(2) == 0)
      stopping.spawn(stop_all(scope, world.random()));
    else
      traps.source.request_stop();
    const auto outcome = co_await scope.join();
    check(outcome.failed_with(Error::stopped), "the scope says that it was stopped");
    CO_TRY(co_await stopping.join());
    check(traps.ended == n, "everybody ended");
  }
  co_return Result<void>{};
}

// Independent pieces of work on cores of unequal speed, all started on one of them: no schedule
// that leaves no core idle takes longer than the ideal one plus the longest piece on the slowest
// core (Graham, 1969). A core looks for idle ones between batches of 64 tasks, so what it has begun
// as a batch may be late by that much.
Task<Result<void>> hogs(World& world) {
  std::atomic<std::uint64_t> done{0};
  std::uint64_t total = 0;
  std::uint64_t longest = 0;
  const auto n = 30 + world.random.below(100);
  const std::uint64_t began = hal::now_ns();
  Scope scope;
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t ns = 10'000 + world.random.below(200'000);
    total += ns;
    longest = std::max(longest, ns);
    scope.spawn(work(ns, done));
  }
  CO_TRY(co_await scope.join());
  const std::uint64_t took = hal::now_ns() - began;
  check(done == total, "all work was done");
  const std::uint64_t ideal = total * hal::sim::full_capacity / world.total_capacity();
  const std::uint64_t last = longest * hal::sim::full_capacity / world.least_capacity();
  hal::sim::note("ideal", ideal);
  hal::sim::note("took", took);
  constexpr std::uint64_t batch = 64;
  check(took <= ideal + batch * last + world.slack_ns, "no core idles while there is work");
  co_return Result<void>{};
}

}  // namespace lichen::tests

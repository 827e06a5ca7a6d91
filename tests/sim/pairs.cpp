// Two tasks, each on a core of its own, that wait for each other: nobody else is there to make good
// a wake that is lost.
#include <atomic>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/latch.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/select.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/stop.hpp"
#include "lichen/io/home_signal.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

constexpr unsigned rounds = 25;

// Most of the time both are at it at the same moment.
void dawdle(Random& random) noexcept {
  if (random.below(2) == 0) hal::sim::compute(random.below(400));
}

struct Court {
  Semaphore there{0};
  Semaphore back{0};
  Event open;
  Mutex mutex;
  Channel<unsigned> channel{0};
  unsigned count = 0;
};

Task<Result<void>> serve(Court& court, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < rounds; ++i) {
    dawdle(random);
    court.there.release();
    dawdle(random);
    CO_TRY(co_await court.back.acquire());
    dawdle(random);
    CO_TRY(co_await court.channel.send(i));
    {
      auto guard = CO_TRY(co_await court.mutex.lock());
      ++court.count;
    }
    if (i % 2 == 0)
      CO_TRY(co_await court.open.wait());
    else
      court.open.reset();
  }
  co_return Result<void>{};
}

Task<Result<void>> answer(Court& court, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < rounds; ++i) {
    dawdle(random);
    CO_TRY(co_await court.there.acquire());
    dawdle(random);
    court.back.release();
    dawdle(random);
    check(CO_TRY(co_await court.channel.receive()) == i, "what is handed over arrives");
    {
      auto guard = CO_TRY(co_await court.mutex.lock());
      ++court.count;
    }
    if (i % 2 == 0) court.open.set();
  }
  co_return Result<void>{};
}

Task<Result<void>> play(World& world) {
  // With one core they take turns.
  Court court;
  Scope playing;
  playing.spawn(serve(court, world.random()), &world.machine.core(0));
  playing.spawn(answer(court, world.random()), &world.machine.core(world.machine.cores() - 1));
  CO_TRY(co_await playing.join());
  check(court.count == 2 * rounds, "both have counted each round");
  co_return Result<void>{};
}

Task<Result<void>> open(Event& event, Latch& latch, std::uint64_t seed) {
  Random random{seed};
  dawdle(random);
  if (random.below(2) == 0) {
    event.set();
    latch.count_down();
  } else {
    latch.count_down();
    event.set();
  }
  co_return Result<void>{};
}

Task<Result<void>> pass(Event& event, Latch& latch, std::uint64_t seed) {
  Random random{seed};
  dawdle(random);
  CO_TRY(co_await event.wait());
  co_return co_await latch.wait();
}

// Waits in one of the ways, and is stopped from the other core at about the same time.
Task<Result<void>> linger(Event& never, std::uint64_t seed) {
  Random random{seed};
  dawdle(random);
  Result<void> outcome;
  switch (random.below(4)) {
    case 0: outcome = co_await never.wait(); break;
    case 1: outcome = co_await sleep_until(Deadline::never()); break;
    case 2: {
      const auto first = co_await select(never.wait(), sleep_until(Deadline::never()));
      outcome = first ? Result<void>{} : first.error();
      break;
    }
    default: co_await stop_event(); outcome = Error::stopped;
  }
  check(outcome.failed_with(Error::stopped), "a wait without an end is stopped");
  co_return Error::stopped;
}

Task<Result<void>> stop(Scope& scope, std::uint64_t seed) {
  Random random{seed};
  dawdle(random);
  scope.request_stop();
  co_return Result<void>{};
}

struct Home {
  io::HomeSignal signal;
  unsigned things = 0;
};

// On the home core.
Task<Result<void>> wait_at_home(Home& home, coro::Core& core) {
  for (;;) {
    while (home.things > 0) --home.things;
    CO_TRY(co_await home.signal.wait(core));
  }
}

Task<Result<void>> notify_at_home(Home& home, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < 4; ++i) {
    ++home.things;
    home.signal.notify();
    co_await yield();
    dawdle(random);
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> wakes(World& world) {
  CO_TRY(co_await play(world));
  // Each found the other's core without work, or with work that was as urgent.
  for (unsigned i = 0; i < world.machine.cores(); ++i)
    check(world.machine.core(i).statistics().called == 0, "a wake needs no interrupt");
  co_return Result<void>{};
}

Task<Result<void>> pairs(World& world) {
  coro::Core& one = world.machine.core(0);
  coro::Core& other = world.machine.core(world.machine.cores() - 1);
  CO_TRY(co_await play(world));
  for (unsigned i = 0; i < rounds; ++i) {
    Event event;
    Latch latch{1};
    Scope scope;
    scope.spawn(pass(event, latch, world.random()), &one);
    scope.spawn(open(event, latch, world.random()), &other);
    CO_TRY(co_await scope.join());
  }
  for (unsigned i = 0; i < rounds; ++i) {
    Event never;
    Scope stopping;
    Scope lingering{OnError::keep_going};
    lingering.spawn(linger(never, world.random()), &one);
    stopping.spawn(stop(lingering, world.random()), &other);
    check((co_await lingering.join()).failed_with(Error::stopped), "it was stopped");
    CO_TRY(co_await stopping.join());
  }
  for (unsigned i = 0; i < rounds; ++i) {
    Home home;
    Scope stopping;
    Scope notifying;
    Scope waiting{OnError::keep_going};
    waiting.spawn(wait_at_home(home, one), &one);
    notifying.spawn(notify_at_home(home, world.random()), &one);
    stopping.spawn(stop(waiting, world.random()), &other);
    CO_TRY(co_await notifying.join());
    check((co_await waiting.join()).failed_with(Error::stopped), "it was stopped at home");
    CO_TRY(co_await stopping.join());
  }
  co_return Result<void>{};
}

}  // namespace lichen::tests

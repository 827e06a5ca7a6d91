// Who has what somebody urgent waits for runs in that one's place (priority inheritance).
#include <atomic>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/loan.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/place.hpp"
#include "lichen/sched/request.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

using namespace std::chrono_literals;
using sched::Qos;

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t section_ns = 400 * us;  // the longest time the mutex is held
constexpr std::uint64_t answer_ns = 200 * us;

struct Shared {
  std::atomic<bool> over{false};
  Mutex mutex;
  std::uint64_t count = 0;
  Channel<sched::Request<unsigned>> queries{4};
  Channel<unsigned> answers{1};
  Event serves;
};

Task<Result<void>> hog(Shared& shared) {
  while (!shared.over.load()) hal::sim::compute(1'000 * us);
  co_return Result<void>{};
}

// Holds the mutex most of the time, and is the least urgent of all.
Task<Result<void>> hold(Shared& shared, std::uint64_t seed) {
  Random random{seed};
  while (!shared.over.load()) {
    {
      auto guard = CO_TRY(co_await shared.mutex.lock());
      hal::sim::compute(random.below(section_ns));
      ++shared.count;
    }
    hal::sim::compute(random.below(20 * us));
  }
  co_return Result<void>{};
}

// A service that nobody would call urgent, but for who asks.
Task<Result<void>> serve(Shared& shared) {
  const coro::Strand& self = *coro::this_core()->current();
  const coro::LaneId own = self.lane();
  const coro::Serving serving{shared.answers};  // that is where the asker waits
  shared.serves.set();
  for (;;) {
    auto query = co_await shared.queries.receive();
    if (!query) {
      check(coro::own_lane(self) == own, "a service is in its own lane between requests");
      co_return Result<void>{};
    }
    const auto on_behalf = co_await query->adopt();
    hal::sim::compute(answer_ns);
    CO_TRY(co_await shared.answers.send(query->value));
  }
}

Task<Result<void>> need(Shared& shared, std::uint64_t seed, std::uint64_t slack_ns) {
  Random random{seed};
  for (unsigned i = 0; i < 15; ++i) {
    CO_TRY(co_await sleep_for(Duration{random.below(4'000 * us)}));
    std::uint64_t asked = hal::now_ns();
    {
      auto guard = CO_TRY(co_await shared.mutex.lock());
      const std::uint64_t waited = hal::now_ns() - asked;
      hal::sim::note("waited for the mutex", waited);
      check(waited <= section_ns + slack_ns, "a mutex is had after one section of who holds it");
      ++shared.count;
    }
    asked = hal::now_ns();
    CO_TRY(co_await shared.queries.send(sched::Request{i}));
    check(CO_TRY(co_await shared.answers.receive()) == i, "a query is answered");
    const std::uint64_t waited = hal::now_ns() - asked;
    hal::sim::note("waited for the answer", waited);
    check(waited <= answer_ns + slack_ns, "a service is as urgent as who asks");
  }
  co_return Result<void>{};
}

// Two mutexes. `outer` is held by who waits for `inner`, or for its children.
struct Chain {
  std::atomic<bool> over{false};
  Mutex outer;
  Mutex inner;
  Scope strays;
  coro::LaneId link_lane = coro::default_lane;
};

Task<Result<void>> hog_beside(Chain& chain) {
  while (!chain.over.load()) hal::sim::compute(1'000 * us);
  co_return Result<void>{};
}

Task<Result<void>> hold_inner(Chain& chain, std::uint64_t seed) {
  Random random{seed};
  while (!chain.over.load()) {
    {
      auto guard = CO_TRY(co_await chain.inner.lock());
      hal::sim::compute(random.below(section_ns));
    }
    hal::sim::compute(random.below(20 * us));
  }
  co_return Result<void>{};
}

Task<Result<void>> piece(std::uint64_t work_ns) {
  hal::sim::compute(work_ns);
  co_return Result<void>{};
}

// Nobody waits for it: it is no more urgent than the one that started it is by itself.
Task<Result<void>> stray(const Chain& chain) {
  check(coro::this_core()->current()->lane() == chain.link_lane, "a loan is not given to strays");
  co_return Result<void>{};
}

Task<Result<void>> link(Chain& chain, std::uint64_t seed) {
  Random random{seed};
  const coro::Strand& self = *coro::this_core()->current();
  while (!chain.over.load()) {
    {
      auto guard = CO_TRY(co_await chain.outer.lock());
      switch (random.below(3)) {
        case 0: {
          auto inner = CO_TRY(co_await chain.inner.lock());
          hal::sim::compute(random.below(answer_ns));
          break;
        }
        case 1: {
          Scope children;
          for (unsigned i = 0; i < 2; ++i) children.spawn(piece(random.below(answer_ns)));
          CO_TRY(co_await children.join());
          break;
        }
        default: {
          // A child that waits for the next one.
          auto nested = [](Chain& of) -> Task<Result<void>> {
            auto inner = CO_TRY(co_await of.inner.lock());
            co_return Result<void>{};
          };
          CO_TRY(co_await with_timeout(10s, nested(chain)));
          hal::sim::compute(random.below(answer_ns));
        }
      }
      chain.strays.spawn(stray(chain));
    }
    check(coro::own_lane(self) == chain.link_lane, "a loan changes nobody's own lane");
    hal::sim::compute(random.below(20 * us));
  }
  co_return Result<void>{};
}

Task<Result<void>> need_outer(Chain& chain, std::uint64_t seed, std::uint64_t slack_ns) {
  Random random{seed};
  for (unsigned i = 0; i < 12; ++i) {
    CO_TRY(co_await sleep_for(Duration{random.below(4'000 * us)}));
    const std::uint64_t asked = hal::now_ns();
    auto guard = CO_TRY(co_await chain.outer.lock());
    const std::uint64_t waited = hal::now_ns() - asked;
    hal::sim::note("waited for the outer mutex", waited);
    // Each hand-over may cost what chance costs.
    check(waited <= section_ns + 2 * answer_ns + 4 * slack_ns,
          "who holds what is waited for is not held up in its turn");
  }
  co_return Result<void>{};
}

}  // namespace

// The same through others: of whom the holder waits for.
Task<Result<void>> chains(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  Chain chain;
  chain.link_lane = background->lane(Qos::utility);
  Scope others;
  others.spawn(hold_inner(chain, world.random()), {.lane = background->lane(Qos::background)});
  others.spawn(link(chain, world.random()), {.lane = chain.link_lane});
  for (unsigned core = 0; core < world.machine.cores(); ++core)
    others.spawn(hog_beside(chain),
                 {.core = &world.machine.core(core), .lane = foreground->lane(Qos::utility)});
  Scope needing;
  needing.spawn(need_outer(chain, world.random(), world.slack_ns),
                {.lane = foreground->lane(Qos::user_interactive)});
  CO_TRY(co_await needing.join());
  chain.over = true;
  CO_TRY(co_await others.join());
  co_return co_await chain.strays.join();
}

Task<Result<void>> inherit(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  Shared shared;
  Scope others;
  others.spawn(hold(shared, world.random()), {.lane = background->lane(Qos::background)});
  others.spawn(serve(shared), {.lane = background->lane(Qos::utility)});
  CO_TRY(co_await shared.serves.wait());
  for (unsigned core = 0; core < world.machine.cores(); ++core)
    others.spawn(hog(shared),
                 {.core = &world.machine.core(core), .lane = foreground->lane(Qos::utility)});
  Scope needing;
  needing.spawn(need(shared, world.random(), world.slack_ns),
                {.lane = foreground->lane(Qos::user_interactive)});
  CO_TRY(co_await needing.join());
  shared.over = true;
  shared.queries.close();
  co_return co_await others.join();
}

}  // namespace lichen::tests

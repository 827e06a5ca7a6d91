// Mutexes and semaphores: mutual exclusion, bounds, first come first served.
#include <atomic>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/when.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

struct Shared {
  Mutex mutex;
  bool inside = false;
  std::uint64_t count = 0;  // guarded by the mutex, not atomic
  Semaphore permits{2};
  std::atomic<unsigned> holders{0};
  std::atomic<unsigned> timeouts{0};
};

Task<Result<void>> add(Shared& shared, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < 15; ++i) {
    auto guard = CO_TRY(co_await shared.mutex.lock());
    check(!std::exchange(shared.inside, true), "one task at a time holds a mutex");
    const std::uint64_t before = shared.count;
    switch (random.below(4)) {
      case 0: co_await yield(); break;
      case 1: hal::sim::compute(random.below(4'000)); break;
      case 2: CO_TRY(co_await sleep_for(std::chrono::nanoseconds{random.below(3'000)})); break;
      default: break;
    }
    shared.count = before + 1;
    shared.inside = false;
  }
  co_return Result<void>{};
}

Task<Result<void>> take_permit(Shared& shared, std::uint64_t seed) {
  CO_TRY(co_await shared.permits.acquire());
  check(shared.holders.fetch_add(1) < 2, "a semaphore's permits bound its holders");
  hal::sim::compute(seed % 3'000);
  shared.holders.fetch_sub(1);
  shared.permits.release();
  co_return Result<void>{};
}

Task<Result<void>> use(Shared& shared, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < 8; ++i) {
    const auto outcome = co_await coro::with_timeout(std::chrono::nanoseconds{random.below(30'000)},
                                                     take_permit(shared, random()));
    if (!outcome) {
      check(outcome.failed_with(Error::timed_out), "a permit is had, or the time is over");
      shared.timeouts.fetch_add(1);
    }
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> locks(World& world) {
  Shared shared;
  Scope scope;
  for (unsigned i = 0; i < 5; ++i) {
    scope.spawn(add(shared, world.random()));
    scope.spawn(use(shared, world.random()));
  }
  CO_TRY(co_await scope.join());
  check(shared.count == 75, "no step under the mutex is lost");
  check(shared.permits.available() == 2 && shared.holders == 0, "all permits came back");
  co_return Result<void>{};
}

}  // namespace lichen::tests

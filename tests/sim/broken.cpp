// Primitives with a fault in them, each of a kind that has been made many times. The simulator must
// find seeds in which they fail.
#include <atomic>
#include <coroutine>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

// Looks at the flag and subscribes in two steps: a set() in between finds nobody to wake.
struct HastyEvent {
  std::atomic<bool> set{false};
  std::atomic<coro::PromiseBase*> waiter{nullptr};

  [[nodiscard]] bool await_ready() const noexcept { return set.load(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    waiter.store(&handle.promise());
  }
  static void await_resume() noexcept {}

  void signal() noexcept {
    set.store(true);
    if (auto* promise = waiter.exchange(nullptr)) coro::wake(*promise);
  }
};

Task<Result<void>> signal(HastyEvent& event, std::uint64_t delay) {
  hal::sim::compute(delay);
  event.signal();
  co_return Result<void>{};
}

Task<Result<void>> wait(HastyEvent& event) {
  co_await event;
  co_return Result<void>{};
}

// Adds with a load and a store, from several cores.
Task<Result<void>> add(std::atomic<unsigned>& count) {
  for (unsigned i = 0; i < 50; ++i) {
    const unsigned value = count.load(std::memory_order_relaxed);
    if (value % 2 == 0) hal::sim::note("even");
    count.store(value + 1, std::memory_order_relaxed);
    if (i % 10 == 9) co_await yield();
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> lost_wake(World& world) {
  coro::Core& one = world.machine.core(0);
  coro::Core& other = world.machine.core(world.machine.cores() - 1);
  for (unsigned round = 0; round < 30; ++round) {
    HastyEvent event;
    Scope scope;
    scope.spawn(signal(event, world.random.below(300)), &one);
    scope.spawn(wait(event), &other);
    CO_TRY(co_await scope.join());
  }
  co_return Result<void>{};
}

Task<Result<void>> torn_count(World& world) {
  std::atomic<unsigned> count{0};
  Scope scope;
  for (unsigned i = 0; i < world.machine.cores(); ++i)
    scope.spawn(add(count), &world.machine.core(i));
  CO_TRY(co_await scope.join());
  check(count == 50 * world.machine.cores(), "every step counted");
  co_return Result<void>{};
}

}  // namespace lichen::tests

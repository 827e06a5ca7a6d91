// Tasks that start tasks: trees of scopes, forks, and tasks that move from core to core.
#include <atomic>
#include <vector>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/when.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

using namespace std::chrono_literals;

// What a tree consists of follows from its seed, whoever runs it.
struct Shape {
  Random random;
  unsigned children;
  explicit Shape(std::uint64_t seed, unsigned depth) noexcept
      : random{seed}, children{depth == 0 ? 0 : static_cast<unsigned>(random.below(5))} {}
};

std::uint64_t count(std::uint64_t seed, unsigned depth) {
  Shape shape{seed, depth};
  std::uint64_t nodes = 1;
  for (unsigned i = 0; i < shape.children; ++i) nodes += count(shape.random(), depth - 1);
  return nodes;
}

Task<Result<std::uint64_t>> leaf(std::uint64_t seed) {
  if (seed % 3 == 0) co_await yield();
  co_return 1;
}

Task<Result<void>> node(std::uint64_t seed, unsigned depth, std::atomic<std::uint64_t>& nodes) {
  Shape shape{seed, depth};
  Scope scope;
  for (unsigned i = 0; i < shape.children; ++i) scope.spawn(node(shape.random(), depth - 1, nodes));
  switch (seed % 7) {
    case 0: co_await yield(); break;
    case 1: hal::sim::compute(seed % 20'000); break;
    case 2: CO_TRY(co_await sleep_for(std::chrono::nanoseconds{seed % 50'000})); break;
    case 3: {
      auto [a, b] = CO_TRY(co_await when_all(leaf(seed), leaf(seed / 7)));
      check(CO_TRY(a) + CO_TRY(b) == 2, "when_all yields what its tasks yield");
      break;
    }
    default: break;
  }
  nodes.fetch_add(1, std::memory_order_relaxed);
  co_return co_await scope.join();
}

Task<Result<std::uint64_t>> fibonacci(unsigned n) {
  if (n < 2) {
    hal::sim::compute(500);
    co_return n;
  }
  auto first = fibonacci(n - 1);
  auto second = fibonacci(n - 2);
  Scope scope;
  scope.fork(first);
  scope.fork(second);
  CO_TRY(co_await scope.join());
  co_return CO_TRY(first.take_result()) + CO_TRY(second.take_result());
}

Task<Result<void>> wander(World& world, std::uint64_t seed, std::vector<unsigned>& visits) {
  Random random{seed};
  auto* const home = static_cast<sched::Executor*>(coro::this_core());
  for (unsigned i = 0; i < 10; ++i) {
    // Pinned: a hop to its own core is a stay.
    check(coro::this_core() == home, "a pinned task is on its core");
    ++visits[home->index()];  // of this core's tasks, one at a time
    switch (random.below(3)) {
      case 0: co_await yield(); break;
      case 1: CO_TRY(co_await sleep_for(std::chrono::nanoseconds{random.below(10'000)})); break;
      default: co_await sched::move_to(*home);
    }
  }
  co_return Result<void>{};
  (void)world;
}

Task<Result<void>> hop(World& world, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < 10; ++i) {
    co_await sched::move_to(
        world.machine.core(static_cast<unsigned>(random.below(world.machine.cores()))));
    if (random.below(4) == 0) hal::sim::compute(random.below(5'000));
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> trees(World& world) {
  std::atomic<std::uint64_t> nodes{0};
  std::uint64_t expected = 0;
  Scope scope;
  for (unsigned i = 0; i < 4; ++i) {
    const std::uint64_t seed = world.random();
    expected += count(seed, 4);
    scope.spawn(node(seed, 4, nodes));
  }
  CO_TRY(co_await scope.join());
  check(nodes == expected, "every node of the trees ran once");
  co_return Result<void>{};
}

Task<Result<void>> forks(World& world) {
  const auto n = static_cast<unsigned>(5 + world.random.below(6));
  std::uint64_t a = 0;
  std::uint64_t b = 1;
  for (unsigned i = 0; i < n; ++i) a = std::exchange(b, a + b);
  check(CO_TRY(co_await fibonacci(n)) == a, "the forks' sum is right");
  co_return Result<void>{};
}

Task<Result<void>> moves(World& world) {
  std::vector<unsigned> visits(world.machine.cores());
  Scope scope;
  for (unsigned i = 0; i < 6; ++i) {
    for (unsigned core = 0; core < world.machine.cores(); ++core)
      scope.spawn(wander(world, world.random(), visits), &world.machine.core(core));
    scope.spawn(hop(world, world.random()));
  }
  CO_TRY(co_await scope.join());
  for (const unsigned n : visits) check(n == 60, "every pinned task ran on its core only");
  co_return Result<void>{};
}

}  // namespace lichen::tests

// A task that computes until another one, on the same core, tells it to stop: only preemption lets
// the other one run.
#include <atomic>
#include <chrono>
#include <cstdio>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/image/run.hpp"

using namespace lichen;

Task<> compute_until(const std::atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) {
  }
  co_return;
}

Task<Result<>> two_tasks() {
  std::atomic<bool> done{false};
  Scope scope;
  scope.spawn(compute_until(done));
  CO_TRY(co_await sleep_for(std::chrono::milliseconds{5}));
  done = true;
  co_return co_await scope.join();
}

int main() {
  const auto outcome = run(two_tasks());
  if (outcome) std::puts("gave way");
  return outcome ? 0 : 1;
}

// A device beside a task that computes, on the only core: who waits for the device runs at once.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"
#include "lichen/sched/place.hpp"

namespace {

using namespace lichen;
using namespace std::chrono_literals;
using sched::Qos;

// What a task that nobody interrupts counts to; it takes seconds, even here.
constexpr std::uint64_t to_the_end = 1'500'000'000;
// By then nobody has planned to look at it any more.
constexpr std::uint64_t well_on = 10'000'000;

struct Shared {
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> now_ns{0};  // a moment ago, for the one who computes
  std::atomic<bool> asked{false};
};

Task<Result<void>> wait_for_console(io::System& system, Shared& shared) {
  CO_TRY(co_await system.next_request());
  const std::uint64_t now = hal::now_ns();
  const std::uint64_t count = shared.count.load();
  shared.asked.store(true);
  log::info("asked in the middle: {}", count < to_the_end);
  log::info("at most {} us after the interrupt", (now - shared.now_ns.load()) / 1'000);
  co_return Result<void>{};
}

Task<Result<void>> compute(Shared& shared) {
  std::uint64_t count = 0;
  while (count < to_the_end && !shared.asked.load(std::memory_order_relaxed)) {
    shared.count.store(++count, std::memory_order_relaxed);
    if (count == well_on) log::info("computing");
    if (count % 256 == 0) shared.now_ns.store(hal::now_ns(), std::memory_order_relaxed);
  }
  co_return Result<void>{};
}

Task<Result<void>> app(io::System& system) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  Shared shared;
  Scope scope;
  scope.spawn(wait_for_console(system, shared));
  scope.spawn(compute(shared), {.lane = background->lane(Qos::utility)});
  co_return co_await scope.join();
}

}  // namespace

int main() {
  // Nobody looks by himself.
  const Result<void> outcome = run(&app, {.cores = 1, .first_look = 1h});
  return outcome ? 46 : 1;
}

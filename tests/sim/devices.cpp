// Devices beside tasks that never come back by themselves.
#include <atomic>

#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/place.hpp"
#include "tests/sim/device.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

using sched::Qos;

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000 * us;

Device& own_device() { return static_cast<Device&>(sched::Executor::current().events()); }

// Waits for its device, again and again, with long pauses in which the core looks ever seldomer.
Task<Result<void>> serve(std::uint64_t seed, std::uint64_t bound_ns) {
  Random random{seed};
  for (unsigned i = 0; i < 6; ++i) {
    coro::Event told;
    const std::uint64_t at = hal::now_ns() + random.below(150 * ms);
    own_device().tell(told, at);
    CO_TRY(co_await told.wait());
    const std::uint64_t late = hal::now_ns() - at;
    hal::sim::note("served late by", late);
    check(late <= bound_ns, "who waits for a device runs soon after its interrupt");
    hal::sim::compute(random.below(20 * us));
  }
  co_return Result<void>{};
}

// The same for one that is in no hurry: its interrupts are in vain.
Task<Result<void>> serve_sometime(std::uint64_t seed, const std::atomic<bool>& over) {
  Random random{seed};
  while (!over.load()) {
    coro::Event told;
    own_device().tell(told, hal::now_ns() + random.below(300 * us));
    CO_TRY(co_await told.wait());
  }
  co_return Result<void>{};
}

Task<Result<void>> hog(const std::atomic<bool>& over, std::uint64_t piece_ns) {
  while (!over.load()) hal::sim::compute(piece_ns);
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> devices(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  const bool in_vain = world.random.below(2) == 0;
  // Latencies of the machine, and code in which nobody is set aside.
  constexpr std::uint64_t slack = 200 * us;
  // Before the core first asks for what is kept back, or after a look in vain.
  std::uint64_t deaf = 0;
  if (world.keeps_back)
    deaf = 1 * ms;
  else if (in_vain)
    deaf = 500 * us;
  std::atomic<bool> over{false};
  Scope others;
  Scope serving;
  for (unsigned i = 0; i < world.machine.cores(); ++i) {
    coro::Core* const core = &world.machine.core(i);
    others.spawn(hog(over, 100 * us + world.random.below(10 * ms)),
                 {.core = core, .lane = background->lane(Qos::utility)});
    if (in_vain)
      others.spawn(serve_sometime(world.random(), over),
                   {.core = core, .lane = background->lane(Qos::background)});
    serving.spawn(serve(world.random(), slack + deaf),
                  {.core = core, .lane = foreground->lane(Qos::user_interactive)});
  }
  CO_TRY(co_await serving.join());
  over = true;
  co_return co_await others.join();
}

}  // namespace lichen::tests

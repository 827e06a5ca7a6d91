// Frames: what was admitted is never late, whatever else the cores are made to do.
#include "lichen/sched/frames.hpp"

#include <atomic>
#include <vector>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/place.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

using namespace std::chrono_literals;
using sched::Qos;

constexpr std::uint64_t us = 1'000;

Task<Result<void>> hog(std::atomic<bool>& over) {
  while (!over.load()) hal::sim::compute(5'000 * us);
  co_return Result<void>{};
}

struct Track {
  Duration period;
  Duration budget;
  bool greedy;  // uses twice what it has reserved
};

Task<Result<void>> draw(sched::Group& group, Track track, unsigned count, std::uint64_t seed,
                        std::atomic<unsigned>& refused) {
  Random random{seed};
  auto frames =
      co_await sched::Frames::reserve(group, {.period = track.period, .budget = track.budget});
  if (!frames) {
    check(frames.failed_with(Error::limit_reached), "a reservation is refused for want of time");
    refused.fetch_add(1);
    co_return Result<void>{};
  }
  const auto budget = static_cast<std::uint64_t>(track.budget.count());
  for (unsigned i = 0; i < count; ++i) {
    const sched::Frame frame = CO_TRY(co_await frames->next());
    if (track.greedy) {
      hal::sim::compute(2 * budget);
      continue;
    }
    check(frame.missed == 0, "a frame within its budget is not late");
    check(frame.number == i, "no frame is left out");
    hal::sim::compute(budget / 2 + random.below(budget * 2 / 5));
    const std::uint64_t now = hal::now_ns();
    hal::sim::note("frame drawn before its deadline by", frame.deadline_ns - now);
    check(now <= frame.deadline_ns, "a frame within its budget is ready in time");
  }
  co_return Result<void>{};
}

// Never comes back, and is half of its time in code that must not be left, 30 us at once.
Task<Result<void>> hog_with_calls(std::atomic<bool>& over) {
  while (!over.load()) {
    const std::uint64_t until = hal::now_ns() + 30 * us;
    while (hal::now_ns() < until) hal::yield_to_host();
    hal::sim::compute(30 * us);
  }
  co_return Result<void>{};
}

Task<Result<void>> draw_soon(sched::Group& group, std::atomic<std::uint64_t>& latest) {
  auto frames =
      CO_TRY(co_await sched::Frames::reserve(group, {.period = 8'333us, .budget = 500us}));
  for (unsigned i = 0; i < 3; ++i) {
    const sched::Frame frame = CO_TRY(co_await frames.next());
    const std::uint64_t late = hal::now_ns() - frame.due_ns;
    hal::sim::note("a frame begins after it was due by", late);
    if (late > latest) latest = late;
    hal::sim::compute(100 * us);
  }
  co_return Result<void>{};
}

// Nine tenths of the time are the host's.
void compute_on_a_tenth(unsigned parts) {
  for (; parts > 0; --parts) {
    hal::sim::compute(100 * us);
    hal::sim::take_core(900 * us);
  }
}

Task<Result<void>> hog_on_a_tenth(std::atomic<bool>& over) {
  while (!over.load()) compute_on_a_tenth(1);
  co_return Result<void>{};
}

Task<Result<void>> draw_on_a_tenth(sched::Group& group, std::atomic<bool>& over) {
  auto frames =
      CO_TRY(co_await sched::Frames::reserve(group, {.period = 8'333us, .budget = 2'800us}));
  for (unsigned i = 0; !over.load(); ++i) {
    check(i < 200, "who is no frame has a part of the core, too");
    CO_TRY(co_await frames.next());
    compute_on_a_tenth(20);
  }
  co_return Result<void>{};
}

Task<Result<void>> answer(unsigned times) {
  for (; times > 0; --times) {
    CO_TRY(co_await coro::sleep_for(1ms));
    compute_on_a_tenth(1);
  }
  co_return Result<void>{};
}

// Counts frames that come so late that they no longer have their whole budget.
Task<Result<void>> draw_if_in_time(sched::Group& group, sched::Executor& core,
                                   std::atomic<std::uint64_t>& late) {
  auto frames = CO_TRY(co_await sched::Frames::reserve(
      group, {.period = 8'333us, .budget = 1'400us, .core = &core}));
  for (unsigned i = 0; i < 40; ++i) {
    const sched::Frame frame = CO_TRY(co_await frames.next());
    if (hal::now_ns() > frame.due_ns + 2'000 * us) ++late;
    for (unsigned part = 0; part < 10; ++part) hal::sim::compute(100 * us);
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> frames(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  std::atomic<bool> over{false};
  std::atomic<unsigned> refused{0};
  Scope hogs;
  for (unsigned i = 0; i < 2 * world.machine.cores(); ++i)
    hogs.spawn(hog(over), {.lane = background->lane(Qos::user_initiated)});
  Scope drawing;
  static constexpr std::array<Duration, 5> periods{2ms, 4ms, 8'333us, 11ms, 16'667us};
  const auto tracks = 2 * world.machine.cores() + world.random.below(4);
  for (std::uint64_t i = 0; i < tracks; ++i) {
    const Duration period = periods[world.random.below(periods.size())];
    const Track track{.period = period,
                      .budget = period * static_cast<int>(10 + world.random.below(30)) / 100,
                      .greedy = world.random.below(4) == 0};
    drawing.spawn(draw(*foreground, track, 30, world.random(), refused),
                  {.lane = foreground->lane(Qos::user_interactive)});
  }
  CO_TRY(co_await drawing.join());
  check(refused < tracks, "some reservation fits");
  over = true;
  co_return co_await hogs.join();
}

// Interrupts often meet a task where it must not be left. However often that was before, a frame
// that is due does not wait long for the next try.
Task<Result<void>> frames_beside_calls(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  std::atomic<bool> over{false};
  Scope hogs;
  for (unsigned i = 0; i < 2 * world.machine.cores(); ++i)
    hogs.spawn(hog_with_calls(over), {.lane = background->lane(Qos::user_initiated)});
  Scope drawing;
  std::atomic<std::uint64_t> latest{0};
  for (unsigned i = 0; i < world.machine.cores(); ++i)
    drawing.spawn(draw_soon(*foreground, latest));
  CO_TRY(co_await drawing.join());
  over = true;
  CO_TRY(co_await hogs.join());
  check(latest < 2'000 * us, "a frame waits for few bad moments, soon one after the other");
  co_return Result<void>{};
}

namespace {

// Two tracks and two hogs for each core; how many frames began late.
Task<Result<void>> draw_beside_hogs(World& world, std::atomic<std::uint64_t>& late) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  std::atomic<bool> over{false};
  Scope hogs;
  for (unsigned i = 0; i < 2 * world.machine.cores(); ++i)
    hogs.spawn(hog(over), {.lane = background->lane(Qos::user_initiated)});
  Scope drawing;
  for (unsigned i = 0; i < 2 * world.machine.cores(); ++i)
    drawing.spawn(
        draw_if_in_time(*foreground, world.machine.core(i % world.machine.cores()), late));
  CO_TRY(co_await drawing.join());
  over = true;
  CO_TRY(co_await hogs.join());
  hal::sim::note("overruns", foreground->statistics().overruns);
  // Without hal::core_time_ns() it is one in each eight frames.
  check(foreground->statistics().overruns <= late, "budgets are not used up by the host");
  co_return Result<void>{};
}

}  // namespace

// On a machine whose host takes the cores for longer than a budget: frames may be late, but those
// that keep to their budget are not treated as if they had used it up, also where they wait for a
// lock of another core that was taken.
Task<Result<void>> robbed_frames(World& world) {
  std::atomic<std::uint64_t> late{0};
  co_return co_await draw_beside_hogs(world, late);
}

// The same where frames go before what the host has to do: none is late.
Task<Result<void>> outranking_frames(World& world) {
  std::atomic<std::uint64_t> late{0};
  CO_TRY(co_await draw_beside_hogs(world, late));
  check(late == 0, "who goes before the host's other work is not kept from its processor");
  co_return Result<void>{};
}

// A core of which the host leaves us so little that its frames could use it all, and are late in
// any case: everything else of the foreground goes on.
Task<Result<void>> frames_on_a_tenth(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  std::atomic<bool> over{false};
  Scope busy;
  for (unsigned i = 0; i < world.machine.cores(); ++i) {
    busy.spawn(hog_on_a_tenth(over),
               {.core = &world.machine.core(i), .lane = background->lane(Qos::background)});
    for (unsigned track = 0; track < 2; ++track) busy.spawn(draw_on_a_tenth(*foreground, over));
  }
  Scope answers;
  for (unsigned i = 0; i < world.machine.cores(); ++i)
    answers.spawn(answer(10), {.core = &world.machine.core(i),
                               .lane = foreground->lane(Qos::user_interactive)});
  CO_TRY(co_await answers.join());
  over = true;
  co_return co_await busy.join();
}

}  // namespace lichen::tests

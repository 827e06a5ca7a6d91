// Why frames are late: each reason that the frames benchmark tells (bench/frames/witness.hpp) is
// made to happen, and is told. None excuses another.
#include <array>
#include <atomic>

#include "bench/frames/witness.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/place.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

using namespace std::chrono_literals;
using bench::frames::Reason;
using bench::frames::Witness;
using sched::Qos;

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000 * us;

// What befalls a core once: while it computes something else, or in the middle of a frame.
enum class Fault : std::uint8_t {
  none,
  host_beside,
  host_within,
  unseen_beside,
  unseen_within,
  unseen_when_arming,
  long_section,
  too_much_work,
  slept,
  waits,
};
struct Case {
  Fault fault;
  Reason told;
};
constexpr std::array cases{
    Case{Fault::none, Reason::other},  // not late at all
    Case{Fault::host_beside, Reason::host},
    Case{Fault::host_within, Reason::host},
    Case{Fault::unseen_beside, Reason::unseen},
    Case{Fault::unseen_within, Reason::unseen},
    Case{Fault::unseen_when_arming, Reason::unseen},
    Case{Fault::long_section, Reason::section},
    Case{Fault::too_much_work, Reason::budget},
    Case{Fault::slept, Reason::slept},
    Case{Fault::waits, Reason::other},
};

constexpr std::uint64_t long_ns = 17 * ms;  // more than two periods

struct Stage {
  Fault fault = Fault::none;
  bool now = false;  // it is to happen
  bool over = false;
};
std::atomic<std::uint64_t> sleeps;
std::uint64_t count_sleeps() { return sleeps; }

// One of all on the same core, so that one at a time looks at the stage.
Task<Result<void>> hog(Stage& stage) {
  while (!stage.over) {
    hal::sim::compute(50 * us);
    if (!stage.now) continue;
    switch (stage.fault) {
      case Fault::host_beside: hal::sim::take_core(long_ns); break;
      case Fault::unseen_beside: hal::sim::take_core(long_ns, false); break;
      case Fault::unseen_when_arming: hal::sim::take_core_when_arming(long_ns); break;
      case Fault::long_section: {
        coro::Critical section;
        hal::sim::compute(long_ns);
        break;
      }
      default: continue;
    }
    stage.now = false;
  }
  co_return Result<void>{};
}

// True: a frame was late, for `told`.
Task<Result<bool>> draw(sched::Group& group, Stage& stage, Reason& told) {
  constexpr Duration period = 8'333us;
  auto frames = CO_TRY(co_await sched::Frames::reserve(
      group, {.period = period, .budget = 1'400us, .core = &sched::Executor::current()}));
  Witness witness{frames, &count_sleeps};
  for (unsigned i = 0; i < 8; ++i) {
    const sched::Frame frame = CO_TRY(co_await frames.next());
    std::uint64_t work = 1'000;
    if (i == 4) stage.now = true;  // after it, or in its middle
    if (i == 4 && stage.fault == Fault::too_much_work) work = 9'000;
    if (i == 4 && stage.fault == Fault::waits) CO_TRY(co_await coro::sleep_for(Duration{long_ns}));
    witness.work(work, [&](std::uint64_t piece) {
      hal::sim::compute(piece * us);
      if (i != 4 || piece < Witness::piece_us) return;
      if (!stage.now) return;
      if (stage.fault == Fault::host_within) hal::sim::take_core(long_ns);
      if (stage.fault == Fault::unseen_within) hal::sim::take_core(long_ns, false);
      if (stage.fault == Fault::slept) {
        hal::sim::take_core(long_ns);
        ++sleeps;
      }
      const bool within = stage.fault == Fault::host_within ||
                          stage.fault == Fault::unseen_within || stage.fault == Fault::slept;
      if (within) stage.now = false;
    });
    const std::uint64_t ended = hal::now_ns();
    if (ended > frame.deadline_ns) {
      told = witness.reason(ended - frame.deadline_ns);
      co_return true;
    }
    witness.in_time();
  }
  co_return false;
}

Task<Result<void>> draw_and_end(sched::Group& group, Stage& stage, Reason& told, bool& late) {
  late = CO_TRY(co_await draw(group, stage, told));
  stage.over = true;
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> late_reasons(World& world) {
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  const Case& one = cases[world.random.below(cases.size())];
  Stage stage{.fault = one.fault};
  Reason told = Reason::other;
  bool late = false;
  sched::Executor& core = sched::Executor::current();
  Scope scope;
  for (unsigned i = 0; i < 2; ++i)
    scope.spawn(hog(stage), {.core = &core, .lane = background->lane(Qos::background)});
  scope.spawn(draw_and_end(*foreground, stage, told, late), &core);
  CO_TRY(co_await scope.join());
  hal::sim::note("fault", static_cast<std::uint64_t>(one.fault));
  hal::sim::note("told", static_cast<std::uint64_t>(told));
  check(late == (one.fault != Fault::none), "a frame is late if something befell its core");
  check(!late || told == one.told, "the reason is told, and no other");
  co_return Result<void>{};
}

}  // namespace lichen::tests

// inherit: a frame needs what a background task holds, while hogs of a class in between take every
// core. With inheritance it waits for the rest of the critical section at most.
#include <memory>

#include "bench/frames/ours.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"

namespace bench::frames {

namespace {

constexpr double section_us = 500;

// What both want. A semaphore does not know who holds it: nobody inherits anything.
class Shared {
 public:
  explicit Shared(bool inherits) : inherits_{inherits} {}
  template <class Work>
  Task<Result<void>> with(Work work) {
    if (inherits_) {
      auto held = CO_TRY(co_await mutex_.lock());
      work();
    } else {
      CO_TRY(co_await semaphore_.acquire());
      work();
      semaphore_.release();
    }
    co_return Result<void>{};
  }

 private:
  const bool inherits_;
  coro::Mutex mutex_;
  coro::Semaphore semaphore_{1};
};

Task<Result<void>> hold_often(const Plan& plan, Shared& shared, Background& background) {
  const auto section = static_cast<std::uint64_t>(section_us * plan.iterations_per_us);
  while (!background.stopped()) {
    CO_TRY(co_await shared.with([&] { spin(section); }));
    background.round_trips.add();
    co_await coro::yield();
  }
  co_return Result<void>{};
}

Task<Result<void>> run_track(const Plan& plan, Track& track, sched::Group& group, Shared& shared) {
  const std::chrono::nanoseconds budget{
      static_cast<std::int64_t>((plan.work_us + section_us) * 1'400)};
  auto frames = CO_TRY(
      co_await sched::Frames::reserve(group, {.period = std::chrono::nanoseconds{plan.period_ns()},
                                              .budget = budget,
                                              .first_due_ns = track.due(0)}));
  for (std::uint64_t number = 0; number < track.frames();) {
    if (CO_TRY(co_await frames.next()).number < number) continue;  // run in place of a dropped one
    std::uint64_t began = now_ns();
    while (number < track.frames() && track.dropped(track.due(number), began)) ++number;
    if (number == track.frames()) break;
    // What counts as waking here is to have what it needs.
    CO_TRY(co_await shared.with([&] {
      began = now_ns();
      spin(plan.work());
    }));
    track.ran(track.due(number), began, now_ns());
    ++number;
  }
  co_return Result<void>{};
}

Task<Result<void>> run_all(const Plan& plan, Background& background, std::vector<Track>& tracks,
                           bool inherits) {
  auto app = CO_TRY(sched::make_group({.name = "app", .foreground = true}));
  auto others = CO_TRY(sched::make_group({.name = "others", .guarantee_permille = 100}));
  std::vector<std::unique_ptr<Shared>> shared;
  Scope scope;
  for (Track& track : tracks) {
    shared.push_back(std::make_unique<Shared>(inherits));
    scope.spawn(run_track(plan, track, *app, *shared.back()));
    scope.spawn(hold_often(plan, *shared.back(), background),
                Place{.lane = others->lane(sched::Qos::background)});
  }
  for (auto& done : background.hogs)
    scope.spawn(hog(plan, background, done), Place{.lane = app->lane(sched::Qos::utility)});
  co_return co_await scope.join();
}

}  // namespace

void inherit(const Args& args) {
  const Plan plan{args, std::thread::hardware_concurrency()};
  for (const bool inherits : {true, false}) {
    Background background{plan};
    const std::uint64_t start = now_ns();
    std::vector<Track> tracks;
    for (unsigned i = 0; i < plan.tracks; ++i) tracks.emplace_back(plan, i, start);
    Observed seen{};
    std::thread observer{[&] { seen = observe(plan, start, background); }};
    on_machine({.cores = plan.cores}, [&] [[clang::coro_wrapper]] (io::System&) {
      return run_all(plan, background, tracks, inherits);
    });
    observer.join();
    Report::print(inherits ? "lichen, mutex" : "lichen, semaphore", plan, tracks, seen);
  }
}

}  // namespace bench::frames

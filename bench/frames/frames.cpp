// frames: periodic tracks with a reservation each, beside background hogs and an echo pair.
#include <array>
#include <cstddef>

#include "bench/frames/ours.hpp"
#include "lichen/coro/sleep.hpp"

namespace bench::frames {

namespace {

// How long the host has kept the processor from this thread, which never sleeps while hogs run.
std::uint64_t kept_by_host() { return now_ns() - now_ns(CLOCK_THREAD_CPUTIME_ID); }

Task<Result<void>> run_track(const Plan& plan, Track& track, sched::Group& group) {
  const std::chrono::nanoseconds budget{static_cast<std::int64_t>(plan.work_us * 1'400)};
  auto frames = CO_TRY(
      co_await sched::Frames::reserve(group, {.period = std::chrono::nanoseconds{plan.period_ns()},
                                              .budget = budget,
                                              .first_due_ns = track.due(0)}));
  std::uint64_t kept = kept_by_host();
  for (std::uint64_t number = 0; number < track.frames();) {
    if (CO_TRY(co_await frames.next()).number < number) continue;  // run in place of a dropped one
    const std::uint64_t host = kept_by_host() - kept;
    // Those that are over already are dropped, as everywhere.
    std::uint64_t now = now_ns();
    while (number < track.frames() && track.dropped(track.due(number), now, host)) ++number;
    if (number == track.frames()) break;
    spin(plan.work());
    track.ran(track.due(number), now, now_ns(), kept_by_host() - kept);
    kept = kept_by_host();
    ++number;
  }
  co_return Result<void>{};
}

Task<Result<void>> answer(io::Listener& listener) {
  auto stream = CO_TRY(co_await listener.accept());
  std::array<std::byte, 64> data;
  while (co_await stream->read_exact(data)) CO_TRY(co_await stream->write_all(data));
  co_return Result<void>{};
}

Task<Result<void>> echo_pair(const Plan& plan, io::Network& network, Background& background) {
  auto listener = CO_TRY(co_await network.listen(io::Address::loopback(0)));
  Scope scope{OnError::keep_going};
  scope.spawn(answer(*listener));
  auto stream = CO_TRY(co_await network.connect(listener->local()));
  std::array<std::byte, 64> data{};
  std::uint64_t next = now_ns();
  while (!background.stopped()) {
    CO_TRY(co_await stream->write_all(data));
    CO_TRY(co_await stream->read_exact(data));
    background.round_trips.add();
    next = std::max(next + plan.io_period_ns(), now_ns());
    CO_TRY(co_await coro::sleep_until({next}));
  }
  stream.reset();
  co_return co_await scope.join();
}

Task<Result<void>> run_all(const Plan& plan, io::System& system, Background& background,
                           std::vector<Track>& tracks) {
  auto app = CO_TRY(sched::make_group({.name = "tracks", .foreground = true}));
  auto others = CO_TRY(sched::make_group({.name = "hogs"}));
  const Place aside{.lane = others->lane(sched::Qos::background)};
  Scope scope;
  for (Track& track : tracks) scope.spawn(run_track(plan, track, *app));
  for (auto& done : background.hogs) scope.spawn(hog(plan, background, done), aside);
  if (plan.io_hz > 0) scope.spawn(echo_pair(plan, system.network(), background), aside);
  co_return co_await scope.join();
}

}  // namespace

void frames(const Args& args) {
  const Plan plan{args, std::thread::hardware_concurrency()};
  const bool preempt = args.count("preempt", 1) != 0;
  Background background{plan};
  const std::uint64_t start = now_ns();
  std::vector<Track> tracks;
  for (unsigned i = 0; i < plan.tracks; ++i) tracks.emplace_back(plan, i, start);
  // On a thread that no hog keeps from running.
  Observed seen{};
  std::thread observer{[&] { seen = observe(plan, start, background); }};
  on_machine(plan.cores, preempt, [&] [[clang::coro_wrapper]] (io::System & system) {
    return run_all(plan, system, background, tracks);
  });
  observer.join();
  Report::print(preempt ? "lichen" : "lichen, no preemption", plan, tracks, seen);
}

}  // namespace bench::frames

// frames: periodic tracks with a reservation each, beside background hogs and an echo pair.
#include <sys/resource.h>

#include <array>
#include <cstddef>
#include <utility>

#include "bench/frames/ours.hpp"
#include "bench/frames/witness.hpp"
#include "lichen/coro/sleep.hpp"

namespace bench::frames {

namespace {

std::uint64_t slept() {
  rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<std::uint64_t>(usage.ru_nvcsw);
}

// When a track's frame last ended on each core. A frame that was due before that has waited for
// another one, with an earlier deadline, that was late itself. Each core has its own.
std::array<std::uint64_t, sched::Machine::max_cores> last_frame_ns;

constexpr double control_us = 12;

// How long after its timer's signal the frame runs, or after it was due.
std::uint64_t after_signal(std::uint64_t due, std::uint64_t now) {
  const auto [expected, came] = sched::Executor::current().latest_alarm();
  const std::uint64_t from = std::max(due, expected), to = std::min(now, came);
  return now - due - (to > from ? to - from : 0);
}

// What a piece of plain computing takes on this core just now, about as long as a frame's wake:
// what is too much of it is the host's.
std::uint64_t control_piece(const Plan& plan) {
  const std::uint64_t began = now_ns();
  spin(static_cast<std::uint64_t>(control_us * plan.iterations_per_us));
  const std::uint64_t took = now_ns() - began;
  return took - std::min(took, static_cast<std::uint64_t>(control_us * 1000));
}

Task<Result<void>> run_track(const Plan& plan, Track& track, sched::Group& group) {
  const std::chrono::nanoseconds budget{static_cast<std::int64_t>(plan.work_us * 1'400)};
  auto frames = CO_TRY(
      co_await sched::Frames::reserve(group, {.period = std::chrono::nanoseconds{plan.period_ns()},
                                              .budget = budget,
                                              .first_due_ns = track.due(0)}));
  Witness witness{frames, &slept};
  std::uint64_t& last_frame = last_frame_ns[sched::Executor::current().index()];
  for (std::uint64_t number = 0; number < track.frames();) {
    if (CO_TRY(co_await frames.next()).number < number) continue;  // run in place of a dropped one
    // Those that are over already are dropped, as everywhere.
    const std::uint64_t now = now_ns();
    for (; number < track.frames() && track.dropped(track.due(number), now); ++number)
      track.late_for(witness.reason(now - track.due(number) - track.period()));
    if (number == track.frames()) break;
    const std::uint64_t due = track.due(number);
    if (witness.undisturbed() && last_frame <= due) {
      track.ran_after_signal(after_signal(due, now));
      const std::uint64_t too_long = control_piece(plan);
      if (witness.undisturbed())
        track.ran_piece(too_long);  // what the host says counts for neither
    }
    witness.work(static_cast<std::uint64_t>(plan.work_us), [&](std::uint64_t us) {
      spin(static_cast<std::uint64_t>(static_cast<double>(us) * plan.iterations_per_us));
    });
    const std::uint64_t ended = last_frame = now_ns();
    if (track.ran(due, now, ended)) track.late_for(witness.reason(ended - due - track.period()));
    ended < due + track.period() ? witness.in_time() : witness.was_late();
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
  const RunOptions options{.cores = plan.cores,
                           .preemption = args.count("preempt", 1) != 0,
                           .realtime = args.count("realtime", 0) != 0};
  Background background{plan};
  const std::uint64_t start = now_ns();
  std::vector<Track> tracks;
  tracks.reserve(plan.tracks);
  for (unsigned i = 0; i < plan.tracks; ++i) tracks.emplace_back(plan, i, start);
  // On a thread that no hog keeps from running.
  Observed seen{};
  std::thread observer{[&] { seen = observe(plan, start, background); }};
  on_machine(options, [&] [[clang::coro_wrapper]] (io::System & system) {
    return run_all(plan, system, background, tracks);
  });
  observer.join();
  Report::print(options.realtime     ? "lichen, real-time"
                : options.preemption ? "lichen"
                                     : "lichen, no preemption",
                plan, tracks, seen);
}

}  // namespace bench::frames

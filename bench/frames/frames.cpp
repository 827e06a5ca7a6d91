// frames: periodic tracks with a reservation each, beside background hogs and an echo pair.
#include <pthread.h>

#include <array>
#include <cstddef>
#include <utility>

#include "bench/frames/ours.hpp"
#include "lichen/coro/sleep.hpp"

namespace bench::frames {

namespace {

// Why a track's frames are late. What counts is what has happened since the track was last in time:
// a frame that waits for a late one is late for the same reason.
class Witness {
 public:
  explicit Witness(const sched::Frames& frames) : frames_{&frames}, start_{look()}, kept_{0} {}

  // The track is in time: it has nothing to do before its next frame is due.
  void in_time() {
    start_ = look();
    gaps_ns_ = 0;
    late_ = false;
  }
  void was_late() { late_ = true; }

  [[nodiscard]] Reason reason(std::uint64_t late_ns) const {
    const Marks now = look();
    if (now.thread != start_.thread || now.replaced != start_.replaced) return Reason::stand_in;
    const std::uint64_t host = more(now.kept_ns, start_.kept_ns);
    if (host >= late_ns) return Reason::host;
    if (host + gaps_ns_ + now.unseen_ns - start_.unseen_ns >= late_ns) return Reason::unseen;
    if (now.overruns != start_.overruns) return Reason::budget;
    return now.retries - start_.retries > 8 ? Reason::section : Reason::other;
  }

  // The track was in time, and since then the host took no part of its core.
  [[nodiscard]] bool undisturbed() const {
    const Marks now = look();
    return !late_ && now.thread == start_.thread && now.unseen_ns == start_.unseen_ns &&
           more(now.kept_ns, start_.kept_ns) < least_gap_us * 1000;
  }

  // The work of a frame, in pieces. A piece that takes much longer although it was not set aside
  // was interrupted by the host.
  void work(const Plan& plan) {
    const auto iterations = static_cast<std::uint64_t>(piece_us * plan.iterations_per_us);
    kept_ = kept_by_host();
    std::uint64_t began = now_ns();
    sched::CoreStatistics before = statistics();
    for (std::uint64_t left = plan.work(); left > 0;) {
      const std::uint64_t now = std::min(left, iterations);
      spin(now);
      left -= now;
      const std::uint64_t ended = now_ns();
      const sched::CoreStatistics after = statistics();
      const std::uint64_t least = after.interrupts == before.interrupts ? least_gap_us : handler_us;
      if (ended - began > (piece_us + least) * 1000 && after.preemptions == before.preemptions)
        note_gap(ended - began - piece_us * 1000, after.unseen_ns - before.unseen_ns);
      began = ended;
      before = after;
    }
  }

 private:
  static constexpr std::uint64_t piece_us = 25, least_gap_us = 100, handler_us = 300;
  struct Marks {
    std::uint64_t kept_ns, unseen_ns, overruns, retries, replaced;
    pthread_t thread;
  };

  // How long the host has kept the processor from this thread, which never sleeps while hogs run.
  static std::uint64_t kept_by_host() { return now_ns() - now_ns(CLOCK_THREAD_CPUTIME_ID); }
  static sched::CoreStatistics statistics() { return sched::Executor::current().statistics(); }
  // The two clocks are not read at the same moment.
  static std::uint64_t more(std::uint64_t now, std::uint64_t before) {
    return now > before ? now - before : 0;
  }
  [[nodiscard]] Marks look() const {
    const sched::CoreStatistics core = statistics();
    return {.kept_ns = kept_by_host(),
            .unseen_ns = core.unseen_ns,
            .overruns = frames_->reservation().overruns(),
            .retries = core.retries,
            .replaced = core.replaced,
            .thread = pthread_self()};
  }
  // Of which so much is known already.
  void note_gap(std::uint64_t ns, std::uint64_t unseen_ns) {
    const std::uint64_t kept = kept_by_host(), known = more(kept, kept_) + unseen_ns;
    kept_ = kept;
    gaps_ns_ += more(ns, known);
  }

  const sched::Frames* frames_;
  Marks start_;
  std::uint64_t kept_, gaps_ns_ = 0;
  bool late_ = false;
};

// How long after its timer's signal the frame runs, or after it was due.
std::uint64_t after_signal(std::uint64_t due, std::uint64_t now) {
  const auto [expected, came] = sched::Executor::current().latest_alarm();
  const std::uint64_t from = std::max(due, expected), to = std::min(now, came);
  return now - due - (to > from ? to - from : 0);
}

Task<Result<void>> run_track(const Plan& plan, Track& track, sched::Group& group) {
  const std::chrono::nanoseconds budget{static_cast<std::int64_t>(plan.work_us * 1'400)};
  auto frames = CO_TRY(
      co_await sched::Frames::reserve(group, {.period = std::chrono::nanoseconds{plan.period_ns()},
                                              .budget = budget,
                                              .first_due_ns = track.due(0)}));
  Witness witness{frames};
  for (std::uint64_t number = 0; number < track.frames();) {
    if (CO_TRY(co_await frames.next()).number < number) continue;  // run in place of a dropped one
    // Those that are over already are dropped, as everywhere.
    const std::uint64_t now = now_ns();
    for (; number < track.frames() && track.dropped(track.due(number), now); ++number)
      track.late_for(witness.reason(now - track.due(number) - track.period()));
    if (number == track.frames()) break;
    const std::uint64_t due = track.due(number);
    if (witness.undisturbed()) track.ran_after_signal(after_signal(due, now));
    witness.work(plan);
    const std::uint64_t ended = now_ns();
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
  const bool preempt = args.count("preempt", 1) != 0;
  Background background{plan};
  const std::uint64_t start = now_ns();
  std::vector<Track> tracks;
  tracks.reserve(plan.tracks);
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

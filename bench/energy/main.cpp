// Energy: what a phone's loads cost on four big and four little cores of the simulated machine
// under each placement, beside two bounds. Prints a line of JSON for each load and policy. A run is
// a function of its seed.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/energy/loads.hpp"
#include "bench/energy/recording.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/sim/simulator.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen::bench {
namespace {

constexpr unsigned big_cores = 4;
constexpr unsigned little_cores = 4;
// Capacities and power of the example in Linux's description of energy-aware scheduling, at their
// highest frequencies; what a core takes that sleeps is ours.
constexpr hal::sim::CoreModel big{.capacity = 1'024, .busy_mw = 1'700, .idle_mw = 40};
constexpr hal::sim::CoreModel little{.capacity = 512, .busy_mw = 300, .idle_mw = 10};

struct Outcome {
  std::uint64_t frames = 0;
  std::uint64_t missed = 0;
  std::uint64_t tasks = 0;
  std::uint64_t latency_ns = 0;  // of all tasks together, from arrival to end
  double mj = 0;
};

struct Run {
  const Load& load;
  std::uint64_t start_ns = 0;
  std::atomic<std::uint64_t> frames{0};
  std::atomic<std::uint64_t> missed{0};
  std::atomic<std::uint64_t> tasks{0};
  std::atomic<std::uint64_t> latency_ns{0};
  std::atomic<bool> refused{false};
};

Task<Result<void>> draw(Run& run, const Track& track, sched::Group& group) {
  auto frames = co_await sched::Frames::reserve(
      group, {.period = coro::Duration{track.period_ns},
              .budget = coro::Duration{track.budget_ns + track.budget_ns / 10},
              .first_due_ns = run.start_ns + track.frames.front().at_ns});
  if (!frames) {
    run.refused = true;
    co_return frames.error();
  }
  sched::Frame frame;
  for (;;) {
    frame = CO_TRY(co_await frames->next());
    if (frame.number >= track.frames.size()) break;
    hal::sim::compute(track.frames[frame.number].work_ns);
    run.frames.fetch_add(1);
    if (frame.number + 1 == track.frames.size()) {
      if (hal::now_ns() > frame.deadline_ns) run.missed.fetch_add(1);
      break;
    }
  }
  run.missed.fetch_add(frame.missed);
  co_return Result<void>{};
}

Task<Result<void>> work(Run& run, Arrival arrival) {
  hal::sim::compute(arrival.work_ns);
  run.tasks.fetch_add(1);
  run.latency_ns.fetch_add(hal::now_ns() - run.start_ns - arrival.at_ns);
  co_return Result<void>{};
}

// Whoever takes the arrivals is urgent, as an interrupt is; what it starts is as the stream says.
Task<Result<void>> arrive(Run& run, const Stream& stream, sched::Group& group) {
  const sched::Qos qos = stream.background ? sched::Qos::background
                         : stream.urgent   ? sched::Qos::user_initiated
                                           : sched::Qos::utility;
  Scope scope;
  for (const Arrival& arrival : stream.tasks) {
    CO_TRY(co_await coro::sleep_until({run.start_ns + arrival.at_ns}));
    scope.spawn(work(run, arrival), {.lane = group.lane(qos)});
  }
  co_return co_await scope.join();
}

Task<Result<void>> phone(Run& run) {
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  run.start_ns = hal::now_ns() + 1'000'000;
  Scope scope;
  for (const Track& track : run.load.tracks)
    scope.spawn(draw(run, track, *foreground),
                {.lane = foreground->lane(sched::Qos::user_interactive)});
  for (const Stream& stream : run.load.streams) {
    sched::Group& group = stream.background ? *background : *foreground;
    scope.spawn(arrive(run, stream, group), {.lane = group.lane(sched::Qos::utility)});
  }
  CO_TRY(co_await scope.join());
  // All policies are paid until the same moment.
  co_return co_await coro::sleep_until({run.start_ns + run.load.length_ns + 200'000'000});
}

Outcome simulate(const Load& load, const sched::Placement& placement, std::uint64_t seed) {
  hal::sim::Options options{
      .seed = seed, .cores = {}, .time_limit_ns = 2 * load.length_ns + 10'000'000'000};
  options.cores.insert(options.cores.end(), big_cores, big);
  options.cores.insert(options.cores.end(), little_cores, little);
  options.turn_limit = 4'000'000'000;
  options.timing.steps_between_stalls = 0;
  options.timing.early_returns = 0;
  options.timing.ahead = 5'000;
  hal::sim::configure(options);
  auto machine = sched::Machine::create(
      {.cores = big_cores + little_cores, .poll = coro::Duration{0}, .placement = &placement});
  if (!machine) hal::sim::fail("no machine can be made");
  Run run{.load = load};
  const auto ended = (*machine)->run(phone(run));
  if (!ended || run.refused) hal::sim::fail("the load does not run to its end");
  return {.frames = run.frames,
          .missed = run.missed,
          .tasks = run.tasks,
          .latency_ns = run.latency_ns,
          .mj = static_cast<double>(hal::sim::statistics().energy_pj) / 1e9};
}

// --- bounds: no schedule whatever takes less
// ------------------------------------------------------

// What all cores take that sleep all the time, and the price of work beyond that, in millijoules.
double asleep_mj(double seconds) {
  return seconds * (big_cores * big.idle_mw + little_cores * little.idle_mw);
}
double big_mj(double work_s) { return work_s * (big.busy_mw - big.idle_mw); }
double little_mj(double work_s) {
  return work_s * hal::sim::full_capacity / little.capacity * (little.busy_mw - little.idle_mw);
}
constexpr double speed = static_cast<double>(little.capacity) / hal::sim::full_capacity;

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// Processor sharing without grain: work is a fluid that any core may take any part of at any time.
double fluid_mj(const Load& load) {
  double work = 0;
  for (const Track& track : load.tracks)
    for (const Arrival& frame : track.frames) work += seconds(frame.work_ns);
  for (const Stream& stream : load.streams)
    for (const Arrival& task : stream.tasks) work += seconds(task.work_ns);
  const double length = seconds(load.length_ns + 200'000'000);
  const double on_little = std::min(work, little_cores * speed * length);
  return asleep_mj(length) + little_mj(on_little) + big_mj(work - on_little);
}

// Optimal offline, relaxed to a linear program: the future is known and a piece of work may move at
// any moment at no cost, but runs on one core at a time. A frame of w in a period of d spends l on
// a little core and b on a big one: speed * l + b = w, l + b <= d; the least b is cheapest. Cores
// are shared without conflict as long as the little ones' time suffices in all.
double offline_mj(const Load& load) {
  double on_little = 0;
  double on_big = 0;
  for (const Track& track : load.tracks) {
    const double period = seconds(track.period_ns);
    for (const Arrival& frame : track.frames) {
      const double work = seconds(frame.work_ns);
      const double least_big = std::max(0.0, (work - speed * period) / (1 - speed));
      on_big += least_big;
      on_little += work - least_big;
    }
  }
  for (const Stream& stream : load.streams)
    for (const Arrival& task : stream.tasks) on_little += seconds(task.work_ns);
  const double length = seconds(load.length_ns + 200'000'000);
  const double excess = std::max(0.0, on_little - little_cores * speed * length);
  return asleep_mj(length) + little_mj(on_little - excess) + big_mj(on_big + excess);
}

// The best assignment of streams to kinds of cores that stays as it is: of all of them the cheapest
// in which the largest piece of each track is done within its period. Costs add up, so each stream
// goes to the cheapest kind by itself.
double static_mj(const Load& load) {
  double on_little = 0;
  double on_big = 0;
  for (const Track& track : load.tracks) {
    double most = 0;
    double all = 0;
    for (const Arrival& frame : track.frames) {
      most = std::max(most, seconds(frame.work_ns));
      all += seconds(frame.work_ns);
    }
    (most <= speed * seconds(track.period_ns) ? on_little : on_big) += all;
  }
  for (const Stream& stream : load.streams)
    for (const Arrival& task : stream.tasks) on_little += seconds(task.work_ns);
  const double length = seconds(load.length_ns + 200'000'000);
  const double excess = std::max(0.0, on_little - little_cores * speed * length);
  return asleep_mj(length) + little_mj(on_little - excess) + big_mj(on_big + excess);
}

int run(const std::vector<Load>& loads, std::uint64_t seed) {
  std::vector<sched::CorePower> power;
  for (unsigned i = 0; i < big_cores + little_cores; ++i) {
    const auto& core = i < big_cores ? big : little;
    power.push_back({.busy = core.busy_mw, .idle = core.idle_mw});
  }
  const sched::Spread spread;
  const sched::Pack pack;
  const sched::EnergyAware energy{power};
  for (const Load& load : loads) {
    double of_spread = 0;
    const auto print = [&](std::string_view policy, const Outcome* outcome, double mj) {
      std::printf("{\"variant\":\"%.*s, %.*s\",\"mj\":%.1f,\"ratio\":%.4f",
                  static_cast<int>(load.name.size()), load.name.data(),
                  static_cast<int>(policy.size()), policy.data(), mj, mj / of_spread);
      if (outcome)
        std::printf(",\"frames\":%llu,\"missed\":%llu,\"tasks\":%llu,\"mean_latency_us\":%.1f",
                    static_cast<unsigned long long>(outcome->frames),
                    static_cast<unsigned long long>(outcome->missed),
                    static_cast<unsigned long long>(outcome->tasks),
                    static_cast<double>(outcome->latency_ns) / 1e3 /
                        static_cast<double>(std::max<std::uint64_t>(outcome->tasks, 1)));
      std::printf("}\n");
    };
    for (const sched::Placement* policy : {static_cast<const sched::Placement*>(&spread),
                                           static_cast<const sched::Placement*>(&pack),
                                           static_cast<const sched::Placement*>(&energy)}) {
      const Outcome outcome = simulate(load, *policy, seed);
      if (policy == &spread) of_spread = outcome.mj;
      print(policy->name(), &outcome, outcome.mj);
    }
    print("best static", nullptr, static_mj(load));
    print("offline bound", nullptr, offline_mj(load));
    print("fluid bound", nullptr, fluid_mj(load));
  }
  return 0;
}

}  // namespace
}  // namespace lichen::bench

int main(int argc, char** argv) {
  std::uint64_t length_s = 20;
  std::uint64_t seed = 1;
  const char* recording = nullptr;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) length_s = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--recording") == 0) recording = argv[i + 1];
  }
  if (argc % 2 == 0 || length_s == 0 || length_s > 3'600) {
    std::fprintf(stderr,
                 "usage: bench_energy [--seconds N] [--seed N] [--recording FILE]\n"
                 "(N seconds of each load that is made up, and one that was recorded)\n");
    return 2;
  }
  auto loads = lichen::bench::phone_loads(seed, length_s * 1'000'000'000);
  std::string text;
  if (recording != nullptr) {
    std::ifstream file{recording};
    text.assign(std::istreambuf_iterator<char>{file}, {});
    unsigned line = 0;
    auto load = lichen::bench::read_recording("recorded browsing", text, line);
    if (!load) {
      std::fprintf(stderr, "bench_energy: %s: no recording (line %u)\n", recording, line);
      return 1;
    }
    loads.push_back(*std::move(load));
  }
  return lichen::bench::run(loads, seed);
}

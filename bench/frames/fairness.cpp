// fairness: what groups get beside each other while every core is hogged.
#include "bench/frames/ours.hpp"

namespace bench::frames {

namespace {

// The work that two groups got in a window.
struct Window {
  double seconds = 0;
  std::uint64_t first = 0, second = 0;  // slices
};

struct Pair {
  const char* variant;
  sched::GroupOptions first, second;
  sched::Qos first_qos, second_qos;
  bool spread = true;  // by us, evenly over the cores; otherwise tasks go where Lichen sends them
};

void hog_by(Scope& scope, const Plan& plan, Background& background, sched::LaneId lane,
            bool spread) {
  sched::Machine& machine = sched::Machine::current();
  for (unsigned i = 0; i < plan.hogs; ++i)
    scope.spawn(hog(plan, background, background.hogs[i]),
                Place{.core = spread ? &machine.core(i % machine.cores()) : nullptr, .lane = lane});
}

Task<Result<void>> hog_both(const Plan& plan, const Pair& pair, Background& first,
                            Background& second) {
  auto one = CO_TRY(sched::make_group(pair.first));
  auto other = CO_TRY(sched::make_group(pair.second));
  Scope scope;
  hog_by(scope, plan, first, one->lane(pair.first_qos), pair.spread);
  hog_by(scope, plan, second, other->lane(pair.second_qos), pair.spread);
  co_return co_await scope.join();
}

std::vector<Window> measure(const Plan& plan, const Pair& pair, unsigned windows) {
  Background first{plan}, second{plan};
  std::vector<Window> seen;
  std::thread watcher{[&] {
    const auto wait = [](double seconds) {
      std::this_thread::sleep_for(std::chrono::duration<double>{seconds});
    };
    wait(0.5);
    for (unsigned i = 0; i < windows; ++i) {
      const std::uint64_t start = now_ns(), one = first.slices(), other = second.slices();
      wait(1);
      seen.push_back({static_cast<double>(now_ns() - start) / 1e9, first.slices() - one,
                      second.slices() - other});
    }
    first.stop = second.stop = true;
  }};
  on_machine({.cores = plan.cores}, [&] [[clang::coro_wrapper]] (io::System&) {
    return hog_both(plan, pair, first, second);
  });
  watcher.join();
  return seen;
}

}  // namespace

void fairness(const Args& args) {
  const Plan plan{args, std::thread::hardware_concurrency()};
  const unsigned windows = args.count("seconds", 5);

  for (const bool spread : {true, false}) {
    const Pair weighted{.variant = spread ? "weights 1:3, spread" : "weights 1:3, as placed",
                        .first = {.name = "one", .weight = 100},
                        .second = {.name = "three", .weight = 300},
                        .first_qos = sched::Qos::utility,
                        .second_qos = sched::Qos::utility,
                        .spread = spread};
    double worst = 0, ratios = 0;
    for (const Window& window : measure(plan, weighted, windows)) {
      const double ratio = static_cast<double>(window.second) / static_cast<double>(window.first);
      worst = std::max(worst, std::abs(ratio / 3 - 1));
      ratios += ratio / windows;
    }
    std::printf("{\"name\":\"fairness\",\"variant\":\"%s\",\"ratio\":%.3f,\"worst_error\":%.4f}\n",
                weighted.variant, ratios, worst);
  }

  const Pair guaranteed{.variant = "guarantee 20 %",
                        .first = {.name = "background", .guarantee_permille = 200},
                        .second = {.name = "foreground", .foreground = true},
                        .first_qos = sched::Qos::background,
                        .second_qos = sched::Qos::user_interactive};
  // The hogs use up all that the host gives to the machine, which may be less than it has.
  double least = 1e9, mean = 0;
  for (const Window& window : measure(plan, guaranteed, windows)) {
    const double cores = static_cast<double>(window.first) * plan.cores /
                         static_cast<double>(window.first + window.second);
    least = std::min(least, cores);
    mean += cores / windows;
  }
  const double promised = guaranteed.first.guarantee_permille / 1000.0;
  std::printf("{\"name\":\"fairness\",\"variant\":\"%s\",\"cores\":%.4f,\"missing\":%.4f}\n",
              guaranteed.variant, mean, std::max(0.0, 1 - least / promised));
}

}  // namespace bench::frames

// preempt: what one preemption costs, and that who is never preempted pays nothing.
#include "bench/frames/ours.hpp"
#include "bench/frames/turns.hpp"

namespace bench::frames {

namespace {

Task<> take_part(Turns& turns, unsigned me) {
  turns.take_part(me);
  co_return;
}

// Two groups of one weight on one core: each is preempted when its slice has ended.
Task<Result<void>> take_turns(Turns& turns, double seconds) {
  auto first = CO_TRY(sched::make_group({.name = "first"}));
  auto second = CO_TRY(sched::make_group({.name = "second"}));
  turns.start(seconds);
  Scope scope;
  scope.spawn(take_part(turns, 0), Place{.lane = first->lane(sched::Qos::utility)});
  scope.spawn(take_part(turns, 1), Place{.lane = second->lane(sched::Qos::utility)});
  co_return co_await scope.join();
}

Task<> compute(std::uint64_t iterations, double& ns) {
  const std::uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
  spin(iterations);
  ns = static_cast<double>(now_ns(CLOCK_THREAD_CPUTIME_ID) - start) /
       static_cast<double>(iterations);
  co_return;
}

Task<Result<void>> compute_alone(std::uint64_t iterations, double& ns) {
  Scope scope;
  scope.spawn(compute(iterations, ns));
  co_return co_await scope.join();
}

}  // namespace

void preempt(const Args& args) {
  const double seconds = args.number("seconds", 5);
  Turns turns;
  on_machine({.cores = 1},
             [&] [[clang::coro_wrapper]] (io::System&) { return take_turns(turns, seconds); });
  turns.print("lichen", seconds);

  // The same computation, alone on its core, in turn with and without.
  constexpr std::uint64_t iterations = 60'000'000;
  std::vector<double> with, without;
  for (int i = 0; i < 7; ++i)
    for (const bool on : {true, false}) {
      double ns = 0;
      on_machine({.cores = 1, .preemption = on}, [&] [[clang::coro_wrapper]] (io::System&) {
        return compute_alone(iterations, ns);
      });
      (on ? with : without).push_back(ns);
    }
  std::ranges::sort(with);
  std::ranges::sort(without);
  std::printf(
      "{\"name\":\"preempt\",\"variant\":\"computing alone\",\"ns_with\":%.4f,"
      "\"ns_without\":%.4f,\"ratio\":%.5f}\n",
      with[3], without[3], with[3] / without[3]);
}

}  // namespace bench::frames

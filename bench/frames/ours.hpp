// What our programs about time share: a machine with the host's sockets, and background work on it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "bench/frames/workload.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/image/run.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace bench::frames {

using namespace lichen;

// As the peers say it.
inline constexpr int not_permitted = 77;

// Runs main(system) on a machine of its own; says why and ends the process if that fails.
template <class Main>
void on_machine(const RunOptions& options, Main main) {
  const auto outcome = lichen::run(std::move(main), options);
  if (outcome) return;
  if (options.realtime && outcome.failed_with(Error::access_denied)) std::exit(not_permitted);
  std::fprintf(stderr, "bench_frames: %s\n", std::string{base::describe(outcome.error())}.c_str());
  std::exit(1);
}

// Never yields.
inline Task<> hog(const Plan& plan, Background& background, Background::Counter& done) {
  for (; !background.stopped(); done.add()) spin(plan.slice());
  co_return;
}

// The programs, one for each name on the command line.
void frames(const Args& args);
void preempt(const Args& args);
void fairness(const Args& args);
void inherit(const Args& args);
void idle(const Args& args);

}  // namespace bench::frames

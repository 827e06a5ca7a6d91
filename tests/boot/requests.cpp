// An app that waits until somebody at the console asks it to stop.
#include "lichen/base/log.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"
#include "lichen/io/operation.hpp"

namespace {

using namespace lichen;

Task<Result<void>> app(io::System& system) {
  sched::Machine& machine = sched::Machine::current();
  const unsigned cores = machine.cores();
  const io::Stay stay = co_await io::StayOn{machine.core(cores - 1)};
  log::info("waiting on core {} of {}", hal::this_core() + 1, cores);
  const io::Request request = CO_TRY(co_await system.next_request());
  log::info("asked to {}", request == io::Request::stop ? "stop" : "do something else");
  log::info("date: {}", system.wall_clock_ns() / 1'000'000'000);
  co_return Result<void>{};
}

}  // namespace

int main() {
  const Result<void> outcome = run(&app, {.cores = hal::core_count_available()});
  if (!outcome) log::error("{}", base::describe(outcome.error()));
  return outcome ? 45 : 1;
}

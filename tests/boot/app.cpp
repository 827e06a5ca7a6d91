// An app as an image of its own: tasks that sleep, yield and never yield, on all cores.
#include <array>
#include <atomic>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"

namespace {

using namespace lichen;
using namespace std::chrono_literals;

std::uint64_t first_ns = 0;

// Does not come back by itself before `stop`.
[[gnu::noinline]] std::uint64_t compute_until(const std::atomic<bool>& stop) {
  std::uint64_t rounds = 0;
  while (!stop.load(std::memory_order_relaxed)) ++rounds;
  return rounds;
}

std::atomic<unsigned> hogs{0};

Task<Result<void>> hog(const std::atomic<bool>& stop) {
  hogs.fetch_add(1);
  (void)compute_until(stop);
  co_return Result<void>{};
}

Task<Result<void>> send(Channel<int>& channel) {
  for (int i = 0; i < 100; ++i) CO_TRY(co_await channel.send(i));
  co_return Result<void>{};
}

Task<Result<void>> app(unsigned cores) {
  first_ns = hal::now_ns();
  log::info("the first task runs");
  CO_TRY(co_await sleep_for(5ms));
  log::info("slept");

  std::atomic<bool> stop{false};
  Channel<int> channel{4};
  Scope scope;
  for (unsigned i = 0; i < cores; ++i) scope.spawn(hog(stop));
  // Until one of them is where this task is, too.
  while (hogs.load() < cores) CO_TRY(co_await sleep_for(1ms));
  scope.spawn(send(channel));
  int sum = 0;
  for (int i = 0; i < 100; ++i) sum += CO_TRY(co_await channel.receive());
  log::info("received {} beside {} tasks that never yield", sum, cores);
  stop.store(true);
  CO_TRY(co_await scope.join());
  std::uint64_t preemptions = 0;
  sched::Machine& machine = sched::Machine::current();
  for (unsigned i = 0; i < machine.cores(); ++i)
    preemptions += machine.core(i).statistics().preemptions;
  log::info("interrupted in the middle: {}", preemptions > 0);
  co_return Result<void>{};
}

}  // namespace

int main() {
  const unsigned cores = hal::core_count_available();
  const Result<void> outcome = run(app(cores), {.cores = cores});
  std::array<char, 96> room;
  hal::write_console(
      base::format_to(room, "cores: {}, first task after {} us\n", cores, first_ns / 1'000).text);
  return outcome ? 42 : 1;
}

// A completion beside a task that computes: it takes effect at once, although the host keeps it to
// itself until somebody asks. This file is app text.
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "lichen/coro/scope.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using driver::Feature;
using driver::UringCore;
using driver::UringCores;
using sched::Machine;
using sched::Qos;

constexpr unsigned rounds = 200;
// What a task that nobody interrupts counts to; it takes seconds.
constexpr std::uint64_t to_the_end = std::uint64_t{10'000'000'000};

struct Shared {
  UringCores cores;
  std::array<int, 2> pipe{};
  std::atomic<unsigned> computing{0};  // rounds in which the one began to compute
  std::atomic<unsigned> seen{0};       // and in which the other has read
  std::atomic<std::uint64_t> written_ns{0};
  std::uint64_t longest = 0;  // what the one counted to
  std::vector<std::uint64_t> latencies_ns;
};

Task<Result<void>> read_each(Shared& shared) {
  UringCore& uring = shared.cores.here();
  for (unsigned round = 1; round <= rounds; ++round) {
    char byte = 0;
    CO_TRY(co_await uring.submit([&](io_uring_sqe& sqe) noexcept {
      sqe.opcode = IORING_OP_READ;
      sqe.fd = shared.pipe[0];
      sqe.addr = reinterpret_cast<std::uint64_t>(&byte);
      sqe.len = 1;
    }));
    shared.latencies_ns.push_back(hal::now_ns() - shared.written_ns.load());
    shared.seen.store(round);
  }
  co_return Result<void>{};
}

Task<Result<void>> compute_each(Shared& shared) {
  for (unsigned round = 1; round <= rounds; ++round) {
    std::uint64_t count = 0;
    shared.computing.store(round);
    while (shared.seen.load(std::memory_order_relaxed) < round && count < to_the_end) ++count;
    shared.longest = std::max(shared.longest, count);
    if (count == to_the_end) break;
  }
  co_return Result<void>{};
}

Task<Result<void>> both(Shared& shared) {
  auto foreground = CO_TRY(sched::make_group({.name = "foreground", .foreground = true}));
  auto background = CO_TRY(sched::make_group({.name = "background"}));
  Scope scope;
  scope.spawn(read_each(shared), {.lane = foreground->lane(Qos::user_interactive)});
  scope.spawn(compute_each(shared), {.lane = background->lane(Qos::utility)});
  co_return co_await scope.join();
}

// Writes when the other computes: at once, or later and later.
void write_each(Shared& shared) {
  for (unsigned round = 1; round <= rounds; ++round) {
    while (shared.computing.load() < round) std::this_thread::yield();
    std::this_thread::sleep_for(round % 4 * 400us);
    shared.written_ns.store(hal::now_ns());
    EXPECT_EQ(::write(shared.pipe[1], "x", 1), 1);
    while (shared.seen.load() < round && shared.longest < to_the_end) std::this_thread::yield();
  }
}

TEST(Listen, ACompletionInterruptsATaskThatComputes) {
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "ThreadSanitizer keeps signals back";
#endif
  Shared shared;
  ASSERT_EQ(pipe(shared.pipe.data()), 0);
  // Nobody looks by himself.
  auto machine = Machine::create({.cores = 1, .pin = false, .first_look = 1h});
  ASSERT_TRUE(machine.has_value());
  bool interrupts = false;
  auto events = [&](unsigned index) -> Result<std::unique_ptr<sched::EventSource>> {
    auto uring = TRY(UringCore::create((*machine)->core(index)));
    interrupts = uring->features().has(Feature::interrupts);
    uring->join(shared.cores);
    return std::unique_ptr<sched::EventSource>{std::move(uring)};
  };
  std::thread writer{[&] { write_each(shared); }};
  EXPECT_TRUE((*machine)->run(both(shared), events).has_value());
  writer.join();
  for (const int end : shared.pipe) close(end);
  if (!interrupts) GTEST_SKIP() << "this kernel keeps completions back";
  EXPECT_LT(shared.longest, to_the_end);
  EXPECT_GE((*machine)->core(0).statistics().preemptions, rounds);
  std::ranges::sort(shared.latencies_ns);
  std::printf(
      "written to read beside a task that computes: p50 %.1f us, p99 %.1f us, max %.1f us\n",
      static_cast<double>(shared.latencies_ns[rounds / 2]) / 1e3,
      static_cast<double>(shared.latencies_ns[rounds * 99 / 100]) / 1e3,
      static_cast<double>(shared.latencies_ns.back()) / 1e3);
}

}  // namespace
}  // namespace lichen

// A core whose thread the host keeps, and I/O: what is begun meanwhile is done when the thread is
// back, in order, however much it is; everything else on the core goes on. This file is app text.
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "lichen/coro/sleep.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using driver::UringCore;
using driver::UringCores;
using sched::Machine;

#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

constexpr unsigned tasks = 60;

struct Shared {
  UringCores cores;
  std::array<int, 2> blocking{};  // a pipe whose reader waits in the host
  std::array<int, 2> silent{};    // and one that nobody writes to
  unsigned done = 0;
  unsigned timed_out = 0;
  unsigned stopped = 0;
  unsigned early = 0;  // what was done before the thread was back
};

Task<> wait_in_host(const Shared& shared) {
  // Behind the task that answers, which might else be set aside for it, on the thread that it
  // keeps.
  co_await sched::enter(Machine::current().registry().default_group(), sched::Qos::background);
  char byte = 0;
  EXPECT_EQ(::read(shared.blocking[0], &byte, 1), 1);
  co_return;
}

void read_silence(io_uring_sqe& sqe, const Shared& shared, char& into) noexcept {
  sqe.opcode = IORING_OP_READ;
  sqe.fd = shared.silent[0];
  sqe.addr = reinterpret_cast<std::uint64_t>(&into);
  sqe.len = 1;
}

Task<Result<void>> operate(Shared& shared) {
  UringCore& uring = shared.cores.here();
  CO_TRY(co_await uring.submit([](io_uring_sqe& sqe) noexcept { sqe.opcode = IORING_OP_NOP; }));
  ++shared.done;
  char byte = 0;
  const auto limited = co_await uring.submit_within(
      1ms, [&](io_uring_sqe& sqe) noexcept { read_silence(sqe, shared, byte); });
  shared.timed_out += limited.failed_with(Error::timed_out);
  co_return Result<void>{};
}

Task<> wait_for_silence(Shared& shared) {
  char byte = 0;
  const auto read = co_await shared.cores.here().submit(
      [&](io_uring_sqe& sqe) noexcept { read_silence(sqe, shared, byte); });
  shared.stopped += read.failed_with(Error::stopped);
}

Task<Result<void>> main_task(Shared& shared) {
  Scope scope;
  Scope stopped;
  auto& core = Machine::current().core(0);
  stopped.spawn(wait_for_silence(shared));
  scope.spawn(wait_in_host(shared));
  while (core.statistics().replaced == 0) CO_TRY(co_await sleep_for(1ms));
  for (unsigned i = 0; i < tasks; ++i) scope.spawn(operate(shared));
  stopped.request_stop();
  for (int i = 0; i < 20; ++i) CO_TRY(co_await sleep_for(1ms));
  shared.early = shared.done + shared.stopped;
  EXPECT_EQ(::write(shared.blocking[1], "x", 1), 1);
  CO_TRY(co_await scope.join());
  co_return co_await stopped.join();
}

// A task that never comes back was set aside on the thread that stood in and stays there. I/O,
// which needs the other thread, goes on all the same.
Task<Result<void>> hog_on_a_stand_in(Shared& shared) {
  Scope scope;
  auto& core = Machine::current().core(0);
  std::atomic<bool> over{false};
  scope.spawn(wait_in_host(shared));
  while (core.statistics().replaced == 0) CO_TRY(co_await sleep_for(1ms));
  scope.spawn([](const auto& done) -> Task<> {
    while (!done.load(std::memory_order_relaxed)) {
    }
    co_return;
  }(over));
  const std::uint64_t before = core.statistics().preemptions;
  while (core.statistics().preemptions == before) CO_TRY(co_await sleep_for(1ms));
  EXPECT_EQ(::write(shared.blocking[1], "x", 1), 1);
  for (unsigned i = 0; i < 20; ++i) CO_TRY(co_await operate(shared));
  over = true;
  co_return co_await scope.join();
}

void run_on_a_small_core(Task<Result<void>> (*main)(Shared&), unsigned entries, Shared& shared) {
  ASSERT_EQ(pipe(shared.blocking.data()), 0);
  ASSERT_EQ(pipe(shared.silent.data()), 0);
  auto machine = Machine::create({.cores = 1, .pin = false, .stuck_after = 2ms});
  ASSERT_TRUE(machine.has_value());
  auto events = [&](unsigned index) -> Result<std::unique_ptr<sched::EventSource>> {
    driver::UringOptions options;
    options.ring.entries = entries;
    auto uring = TRY(UringCore::create((*machine)->core(index), options));
    uring->join(shared.cores);
    return std::unique_ptr<sched::EventSource>{std::move(uring)};
  };
  EXPECT_TRUE((*machine)->run(main(shared), events).has_value());
  EXPECT_GE((*machine)->core(0).statistics().replaced, 1U);
  for (const auto& ends : {shared.blocking, shared.silent})
    for (const int end : ends) close(end);
}

TEST(StuckIo, WaitsForTheThreadAndIsNotLost) {
  if (sanitized) GTEST_SKIP() << "sanitizers must know on which thread a flow runs";
  for (const unsigned entries : {2U, 8U, 512U}) {
    Shared shared;
    run_on_a_small_core(&main_task, entries, shared);
    EXPECT_EQ(shared.early, 0U);
    EXPECT_EQ(shared.done, tasks);
    EXPECT_EQ(shared.timed_out, tasks);
    EXPECT_EQ(shared.stopped, 1U);
  }
}

TEST(StuckIo, GoesOnBesideATaskThatStaysOnTheOtherThread) {
  if (sanitized) GTEST_SKIP() << "sanitizers must know on which thread a flow runs";
  Shared shared;
  run_on_a_small_core(&hog_on_a_stand_in, 8, shared);
  EXPECT_EQ(shared.done, 20U);
  EXPECT_EQ(shared.timed_out, 20U);
}

}  // namespace
}  // namespace lichen

// Frames that go before other processes, on the real machine: what the host is asked for is given
// back, whatever runs meanwhile. This file is app text; skipped where the host gives no such right.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/preemption.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"
#include "tests/torture/hogs.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using sched::Frames;
using sched::Group;
using sched::make_group;
using sched::Qos;

bool is_real_time(pid_t thread) {
  return (sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK) == SCHED_FIFO;
}

struct Realtime : testing::TestWithParam<unsigned> {
  void run(Task<Result<void>> main, coro::Duration poll = 50us) {
    auto machine = sched::Machine::create(
        {.cores = GetParam(), .pin = false, .poll = poll, .realtime = true, .stuck_after = 500us});
    ASSERT_TRUE(machine.has_value());
    const auto outcome = (*machine)->run(std::move(main));
    if (outcome.failed_with(Error::access_denied)) GTEST_SKIP() << "the host gives no such right";
    EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
  }
};
// Four: more than some hosts have processors.
INSTANTIATE_TEST_SUITE_P(Cores, Realtime, testing::Values(1U, 2U, 4U));

Task<Result<void>> draw(Group& group, unsigned count) {
  auto frames = CO_TRY(co_await Frames::reserve(group, {.period = 4ms, .budget = 500us}));
  for (unsigned i = 0; i < count; ++i) CO_TRY(co_await frames.next());
  co_return Result<void>{};
}

// Waits in the host again and again, so the core goes to another thread and back.
Task<Result<void>> wait_in_the_host(int fd, const std::atomic<bool>& over) {
  char byte = 0;
  while (!over.load()) {
    EXPECT_EQ(read(fd, &byte, 1), 1);
    breathe();
  }
  co_return Result<void>{};
}

Task<Result<void>> draw_beside_all(int fd, std::atomic<bool>& over) {
  auto foreground = CO_TRY(make_group({.name = "foreground", .foreground = true}));
  auto background = CO_TRY(make_group({.name = "background"}));
  const coro::LaneId lane = background->lane(Qos::background);
  Scope others;
  spawn_hogs(others, lane, over);
  others.spawn(wait_in_the_host(fd, over), {.lane = lane});
  Scope drawing;
  for (unsigned i = 0; i < sched::Machine::current().cores(); ++i)
    drawing.spawn(draw(*foreground, 20));
  CO_TRY(co_await drawing.join());
  over = true;
  co_return co_await others.join();
}

TEST_P(Realtime, CoresThatMoveFromThreadToThreadAreGivenBack) {
  for (unsigned machines = 0; machines < 5 && !IsSkipped(); ++machines) {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    std::atomic<bool> over{false};
    std::atomic<bool> ended{false};
    std::thread writer{[&] {
      while (!ended.load()) {
        EXPECT_EQ(write(ends[1], "x", 1), 1);
        std::this_thread::sleep_for(3ms);
      }
    }};
    run(draw_beside_all(ends[0], over));
    ended = true;
    writer.join();
    close(ends[0]);
    close(ends[1]);
  }
}

// In code that must not be left: waits until this is a real-time thread, unless the host keeps it
// until it is that no more, and then until it is none. False: it stays one.
bool lags_behind() {
  const auto began = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::steady_clock::now() - began; };
  while (!is_real_time(0) && passed() < 1s) continue;
  while (is_real_time(0))
    if (passed() > 30s) return false;
  return true;
}

// Of a task that frames wait for, and of a frame itself.
Task<Result<void>> never_leave() {
  auto group = CO_TRY(make_group({.name = "app"}));
  Scope drawing;
  drawing.spawn(draw(*group, 10));
  CO_TRY(co_await coro::sleep_for(10ms));
  {
    coro::Critical critical;
    EXPECT_TRUE(lags_behind());
  }
  CO_TRY(co_await drawing.join());
  auto frames = CO_TRY(co_await Frames::reserve(*group, {.period = 4ms, .budget = 500us}));
  CO_TRY(co_await frames.next());
  coro::Critical critical;
  EXPECT_TRUE(lags_behind());
  co_return Result<void>{};
}

TEST_P(Realtime, WhoStaysWhereItMustNotBeLeftLeavesTheHostItsPart) { run(never_leave()); }

// No app text.
[[gnu::section("text_of_others"), gnu::noinline]] void stay_until_it_lags(
    std::atomic<bool>& there) {
  there = true;
  EXPECT_TRUE(lags_behind());
}

// Its frames are whatever others send.
Task<Result<void>> serve(Group& group, Channel<int>& from) {
  sched::Machine& machine = sched::Machine::current();
  const auto frames = CO_TRY(
      co_await Frames::reserve(group, {.period = 4ms, .budget = 500us, .core = &machine.core(1)}));
  while (co_await from.receive()) continue;
  co_return Result<void>{};
}

Task<Result<void>> wake_a_frame_elsewhere() {
  sched::Machine& machine = sched::Machine::current();
  auto group = CO_TRY(make_group({.name = "app"}));
  Channel<int> channel{1};
  std::atomic<bool> there{false};
  Scope scope;
  scope.spawn(serve(*group, channel), {.core = &machine.core(1)});
  CO_TRY(co_await coro::sleep_for(10ms));
  scope.spawn(
      [](std::atomic<bool>& says) -> Task<> {
        stay_until_it_lags(says);
        co_return;
      }(there),
      {.core = &machine.core(1), .lane = group->lane(Qos::background)});
  while (!there) CO_TRY(co_await coro::sleep_for(1ms));
  CO_TRY(co_await channel.send(1));
  channel.close();
  co_return co_await scope.join();
}

TEST_P(Realtime, WhomAFrameWokenElsewhereWaitsForLeavesTheHostItsPart) {
  if (GetParam() == 2 && by_signal) run(wake_a_frame_elsewhere());
}

// Asks what the core's thread is while it has nothing to do.
Task<Result<void>> rest_between_frames(std::atomic<pid_t>& core) {
  auto group = CO_TRY(make_group({.name = "app"}));
  auto frames = CO_TRY(co_await Frames::reserve(*group, {.period = 20ms, .budget = 500us}));
  core = gettid();
  for (unsigned i = 0; i < 20; ++i) CO_TRY(co_await frames.next());
  core = 0;
  co_return Result<void>{};
}

TEST_P(Realtime, WhoLooksForWorkForLongLeavesTheHostItsPart) {
  std::atomic<pid_t> core{-1};
  std::atomic<bool> lagged{false};
  std::thread observer{[&] {
    while (core.load() != 0) {
      if (core.load() > 0 && !is_real_time(core.load())) lagged = true;
      std::this_thread::sleep_for(1ms);
    }
  }};
  run(rest_between_frames(core), 50ms);
  core = 0;
  observer.join();
  if (!IsSkipped()) EXPECT_TRUE(lagged);
}

}  // namespace
}  // namespace lichen

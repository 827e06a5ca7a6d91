// Tasks that never come back by themselves, interrupted anywhere. This file is app text: the test
// is compiled as an app is (lichen_preemptible).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/select.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"
#include "tests/torture/breathe.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using sched::Executor;
using sched::Machine;
using sched::MachineOptions;

struct Preempt : testing::TestWithParam<unsigned> {
  std::uint64_t preemptions = 0;
  std::uint64_t no_stack = 0;

  void run(Task<Result<void>> main, MachineOptions options = {}) {
    options.cores = GetParam();
    options.pin = false;
    auto machine = Machine::create(options);
    ASSERT_TRUE(machine.has_value());
    const auto outcome = (*machine)->run(std::move(main));
    EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
    EXPECT_EQ((*machine)->root().active(), 0U);
    for (unsigned i = 0; i < GetParam(); ++i) {
      preemptions += (*machine)->core(i).statistics().preemptions;
      no_stack += (*machine)->core(i).statistics().no_stack;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Cores, Preempt, testing::Values(1U, 2U));

Task<> hog_until(const std::atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) breathe();
  co_return;
}

TEST_P(Preempt, ATaskThatNeverComesBackStopsNobody) {
  auto body = []() -> Task<Result<void>> {
    std::atomic<bool> done{false};
    Scope hogs;
    for (int i = 0; i < 4; ++i) hogs.spawn(hog_until(done));
    for (int i = 0; i < 20; ++i) CO_TRY(co_await sleep_for(1ms));
    done = true;
    co_return co_await hogs.join();
  };
  run(body());
  EXPECT_GT(preemptions, 0U);
}

// A computation that uses every kind of register, and the heap now and then.
std::uint64_t compute(std::uint64_t seed) noexcept {
  Random random{seed};
  std::vector<std::uint64_t> words(2'000);
  for (auto& word : words) word = random();
  double real = 1.0;
  for (int round = 0; round < 60; ++round) {
    std::sort(words.begin(), words.end());
    for (std::size_t i = 0; i < words.size(); ++i) {
      words[i] = words[i] * 6364136223846793005ULL + 1442695040888963407ULL;
      real += static_cast<double>(words[i] >> 40) * 1e-9;
    }
    breathe();
  }
  return std::accumulate(words.begin(), words.end(), static_cast<std::uint64_t>(real));
}

TEST_P(Preempt, ResultsAreThoseOfUndisturbedRuns) {
  static constexpr unsigned tasks = 12;
  std::array<std::uint64_t, tasks> expected{};
  for (unsigned i = 0; i < tasks; ++i) expected[i] = compute(i);
  std::array<std::uint64_t, tasks> found{};
  auto body = [](auto& into) -> Task<Result<void>> {
    Scope scope;
    for (unsigned i = 0; i < tasks; ++i)
      scope.spawn([](std::uint64_t& result, unsigned seed) -> Task<> {
        for (int again = 0; again < 4; ++again) result = compute(seed);
        co_return;
      }(into[i], i));
    co_return co_await scope.join();
  };
  run(body(found));
  EXPECT_EQ(found, expected);
  EXPECT_GT(preemptions, 0U);
}

// Everything the runtime offers, by tasks that compute in between.
Task<Result<void>> mixed_work(std::uint64_t seed) {
  Channel<std::uint64_t> channel{4};
  Mutex mutex;
  Semaphore permits{2};
  std::uint64_t under_mutex = 0;
  std::uint64_t received = 0;
  static constexpr unsigned senders = 5;
  static constexpr unsigned each = 120;
  Scope all;
  {
    Scope sending;
    all.spawn([](auto& from, auto& sum) -> Task<> {
      while (auto message = co_await from.receive()) sum += *message;
    }(channel, received));
    for (unsigned s = 0; s < senders; ++s)
      sending.spawn([](auto& to, auto& lock, auto& some, auto& counter,
                       std::uint64_t start) -> Task<Result<void>> {
        Random random{start};
        for (unsigned i = 0; i < each; ++i) {
          std::uint64_t noise = 0;
          for (auto n = random.below(2'000); n > 0; --n) noise += random() & 1;
          breathe();
          {
            auto guard = CO_TRY(co_await lock.lock());
            const std::uint64_t before = counter;
            for (auto n = random.below(500); n > 0; --n) noise += random() & 1;
            counter = before + 1;
            if (random.below(8) == 0) co_await yield();
          }
          CO_TRY(co_await some.acquire());
          if (random.below(4) == 0) CO_TRY(co_await sleep_for(1us * random.below(50)));
          some.release();
          if (random.below(3) == 0)
            (co_await with_timeout(1us * random.below(30),
                                   [](auto& into) -> Task<Result<void>> {
                                     CO_TRY(co_await into.acquire());
                                     into.release();
                                     co_return Result<void>{};
                                   }(some)))
                .ignore();
          CO_TRY(co_await to.send(1 + (noise & 0)));
        }
        co_return Result<void>{};
      }(channel, mutex, permits, under_mutex, seed * senders + s));
    CO_TRY(co_await sending.join());
  }
  channel.close();
  CO_TRY(co_await all.join());
  EXPECT_EQ(under_mutex, senders * each);
  EXPECT_EQ(received, senders * each);
  EXPECT_EQ(permits.available(), 2U);
  co_return Result<void>{};
}

TEST_P(Preempt, AStormOfInterruptsBreaksNothing) {
  std::atomic<bool> over{false};
  std::thread storm{[&over, cores = GetParam()] {
    Random random{42};
    while (!over.load()) {
      for (unsigned core = 0; core < cores; ++core) hal::send_interrupt(core).ignore();
      std::this_thread::sleep_for(1us * random.below(60));
    }
  }};
  auto body = []() -> Task<Result<void>> {
    for (std::uint64_t round = 0; round < 6; ++round) {
      Scope scope;
      for (std::uint64_t i = 0; i < 4; ++i) scope.spawn(mixed_work(round * 4 + i));
      CO_TRY(co_await scope.join());
    }
    co_return Result<void>{};
  };
  run(body());
  over = true;
  storm.join();
}

// More of them than there are stacks, in two lanes and on all cores.
TEST_P(Preempt, MoreThatNeverComeBackThanStacksStopNobody) {
  auto body = []() -> Task<Result<void>> {
    auto group = CO_TRY(sched::make_group({}));
    auto other = CO_TRY(sched::make_group({}));
    std::atomic<bool> done{false};
    Scope hogs;
    for (int i = 0; i < 100; ++i)
      hogs.spawn(hog_until(done), {.lane = (i % 2 ? group : other)->lane(sched::Qos::utility)});
    for (int i = 0; i < 20; ++i) CO_TRY(co_await sleep_for(20ms));
    done = true;
    co_return co_await hogs.join();
  };
  run(body(), {.stacks = 8});
  EXPECT_GT(preemptions, 0U);
}

// Of two groups, which share the core: who is set aside in one has the only stack when the other
// has its turn.
TEST_P(Preempt, WithoutStacksTasksRunToTheirEnd) {
  auto body = []() -> Task<Result<void>> {
    auto a = CO_TRY(sched::make_group({}));
    auto b = CO_TRY(sched::make_group({}));
    auto c = CO_TRY(sched::make_group({}));
    const std::array groups{&*a, &*b, &*c};
    Scope scope;
    for (unsigned i = 0; i < 12; ++i)
      scope.spawn(
          []() -> Task<> {
            const auto until = std::chrono::steady_clock::now() + 8ms;
            while (std::chrono::steady_clock::now() < until) {
              for (volatile int spin = 0; spin < 10'000; spin = spin + 1) {
              }
              breathe();
            }
            co_return;
          }(),
          {.core = &Machine::current().core(0), .lane = groups[i % 3]->lane(sched::Qos::utility)});
    co_return co_await scope.join();
  };
  run(body(), {.stacks = 1});
  EXPECT_GT(no_stack, 0U);
}

// Frames would have their turn, again and again, but the one who runs cannot be set aside: it gets
// on, and is not interrupted all the time.
TEST_P(Preempt, WithoutStacksFramesWait) {
  auto body = []() -> Task<Result<void>> {
    auto front = CO_TRY(sched::make_group({.foreground = true}));
    auto a = CO_TRY(sched::make_group({}));
    auto b = CO_TRY(sched::make_group({}));
    auto c = CO_TRY(sched::make_group({}));
    const std::array groups{&*a, &*b, &*c};
    auto& core = Machine::current().core(0);
    Scope scope;
    for (unsigned i = 0; i < 6; ++i)
      scope.spawn(
          []() -> Task<> {
            for (volatile int spin = 0; spin < 16'000'000; spin = spin + 1)
              if (spin % 10'000 == 0) breathe();
            co_return;
          }(),
          {.core = &core, .lane = groups[i % 3]->lane(sched::Qos::utility)});
    scope.spawn([](sched::Group& group) -> Task<Result<void>> {
      auto frames = CO_TRY(co_await sched::Frames::reserve(
          group, {.period = 2ms, .budget = 500us, .core = &Machine::current().core(0)}));
      for (int i = 0; i < 10; ++i) CO_TRY(co_await frames.next());
      co_return Result<void>{};
    }(*front));
    co_return co_await scope.join();
  };
  run(body(), {.stacks = 1});
  EXPECT_GT(no_stack, 0U);
}

TEST_P(Preempt, ACriticalSectionIsNotLeft) {
  auto body = []() -> Task<Result<void>> {
    struct Shared {
      std::uint64_t a = 0;
      std::uint64_t b = 0;
    } shared;
    Scope scope;
    for (int i = 0; i < 4; ++i)
      scope.spawn(
          [](Shared& pair) -> Task<> {
            for (int round = 0; round < 60'000; ++round) {
              {
                coro::Critical section;
                EXPECT_EQ(pair.a, pair.b);
                ++pair.a;
                for (volatile int spin = 0; spin < 300; spin = spin + 1) {
                }
                ++pair.b;
              }
              breathe();
            }
            co_return;
          }(shared),
          &Machine::current().core(0));
    co_return co_await scope.join();
  };
  run(body());
  EXPECT_GT(preemptions, 0U);
}

TEST(MachineOptionsTest, ThatMakeNoSenseAreRefused) {
  for (const MachineOptions& options :
       {MachineOptions{.first_look = 0ms}, MachineOptions{.first_look = -1ms},
        MachineOptions{.poll = -1us}, MachineOptions{.stuck_after = -1ms},
        MachineOptions{.stack_size = 4096}, MachineOptions{.stacks = 0},
        MachineOptions{.stack_size = SIZE_MAX}})
    EXPECT_TRUE(Machine::create(options).failed_with(Error::invalid_argument));
  EXPECT_TRUE(Machine::create({.cores = 65}).failed_with(Error::out_of_range));
}

TEST_P(Preempt, CanBeTurnedOff) {
  auto body = []() -> Task<Result<void>> {
    Scope scope;
    for (int i = 0; i < 4; ++i)
      scope.spawn([]() -> Task<> {
        (void)compute(1);
        co_return;
      }());
    co_return co_await scope.join();
  };
  run(body(), {.preemption = false});
  EXPECT_EQ(preemptions, 0U);
}

}  // namespace
}  // namespace lichen

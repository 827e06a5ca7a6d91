// Tasks that are stuck in calls of the host's: everything else on their core goes on. This file is
// app text.
#include <dirent.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>
#include <thread>

#include "lichen/base/random.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using sched::Machine;

#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

unsigned threads_of_process() {
  std::FILE* status = std::fopen("/proc/self/status", "re");
  std::array<char, 256> line{};
  unsigned count = 0;
  while (std::fgets(line.data(), line.size(), status))
    if (std::sscanf(line.data(), "Threads: %u", &count) == 1) break;
  std::fclose(status);
  return count;
}

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe(ends_.data()), 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  // Waits in the host.
  char read() const noexcept {
    char byte = 0;
    EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
    return byte;
  }
  void write(char byte) const noexcept { EXPECT_EQ(::write(ends_[1], &byte, 1), 1); }

 private:
  std::array<int, 2> ends_{};
};

struct Stuck : testing::TestWithParam<unsigned> {
  std::uint64_t replaced = 0;
  std::string_view call;  // the latest one that was reported

  void SetUp() override {
    if (sanitized) GTEST_SKIP() << "sanitizers must know on which thread a flow runs";
  }
  void run(Task<Result<void>> main, coro::Duration stuck_after = 1ms, unsigned stand_ins = 16) {
    const unsigned before = threads_of_process();
    auto machine = Machine::create(
        {.cores = GetParam(), .pin = false, .stuck_after = stuck_after, .stand_ins = stand_ins});
    ASSERT_TRUE(machine.has_value());
    const auto outcome = (*machine)->run(std::move(main));
    EXPECT_TRUE(outcome.has_value());
    for (unsigned i = 0; i < GetParam(); ++i) {
      replaced += (*machine)->core(i).statistics().replaced;
      for (const sched::Stall& stall : (*machine)->core(i).stalls().latest()) call = stall.call;
    }
    // One of the test may have ended meanwhile; one that was joined is listed for a moment.
    for (unsigned looks = 0; threads_of_process() > before && looks < 10'000; ++looks)
      std::this_thread::sleep_for(1ms);
    EXPECT_LE(threads_of_process(), before);
  }
};
INSTANTIATE_TEST_SUITE_P(Cores, Stuck, testing::Values(1U, 2U));

// A task that will be stuck goes behind the one that answers it. Else that one might be set aside
// for it, in the middle of its code, on the very thread that it then keeps (the second limit in
// docs/decisions/stuck-workers.md).
auto step_back() {
  return sched::enter(Machine::current().registry().default_group(), sched::Qos::background);
}

Task<> read_one(const Pipe& pipe, char& into) {
  co_await step_back();
  into = pipe.read();
  co_return;
}

TEST_P(Stuck, WhoWaitsInTheHostIsAnsweredByATaskOfItsCore) {
  Pipe pipe;
  char got = 0;
  unsigned steps = 0;
  auto body = [](auto& from, auto& into, auto& progress) -> Task<Result<void>> {
    Scope scope;
    scope.spawn(read_one(from, into), &Machine::current().core(0));
    for (int i = 0; i < 30; ++i, ++progress) CO_TRY(co_await sleep_for(1ms));
    from.write('x');
    co_return co_await scope.join();
  };
  run(body(pipe, got, steps));
  EXPECT_EQ(got, 'x');
  EXPECT_EQ(steps, 30U);
  if (GetParam() > 1) return;  // the other core may have run it all
  EXPECT_GE(replaced, 1U);
  EXPECT_EQ(call, "read");
}

TEST_P(Stuck, AMutexOfTheHostsIsHeldByAThreadThatATaskLetsGo) {
  struct Shared {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    std::atomic<bool> held{false};
    Pipe let_go;
  } shared;
  pthread_t holder{};
  ASSERT_EQ(pthread_create(
                &holder, nullptr,
                [](void* argument) -> void* {
                  auto& all = *static_cast<Shared*>(argument);
                  pthread_mutex_lock(&all.mutex);
                  all.held = true;
                  (void)all.let_go.read();
                  pthread_mutex_unlock(&all.mutex);
                  return nullptr;
                },
                &shared),
            0);
  while (!shared.held) usleep(100);
  auto body = [](auto& all) -> Task<Result<void>> {
    Scope scope;
    scope.spawn(
        [](auto& host) -> Task<> {
          co_await step_back();
          pthread_mutex_lock(&host.mutex);
          pthread_mutex_unlock(&host.mutex);
          co_return;
        }(all),
        &Machine::current().core(0));
    for (int i = 0; i < 20; ++i) CO_TRY(co_await sleep_for(1ms));
    all.let_go.write('x');
    co_return co_await scope.join();
  };
  auto machine = Machine::create({.cores = GetParam(), .pin = false, .stuck_after = 1ms});
  ASSERT_TRUE(machine.has_value());
  EXPECT_TRUE((*machine)->run(body(shared)).has_value());
  if (GetParam() == 1) EXPECT_GE((*machine)->core(0).statistics().replaced, 1U);
  pthread_join(holder, nullptr);
}

TEST_P(Stuck, SeveralAtOnce) {
  static constexpr unsigned count = 6;
  std::array<Pipe, count> pipes;
  std::array<char, count> got{};
  auto body = [](auto& all, auto& into) -> Task<Result<void>> {
    Scope scope;
    for (unsigned i = 0; i < count; ++i)
      scope.spawn(read_one(all[i], into[i]), &Machine::current().core(0));
    // The last is let go first.
    for (unsigned i = count; i-- > 0;) {
      CO_TRY(co_await sleep_for(20ms));
      all[i].write(static_cast<char>('a' + i));
    }
    co_return co_await scope.join();
  };
  run(body(pipes, got));
  EXPECT_EQ(std::memcmp(got.data(), "abcdef", count), 0);
}

TEST_P(Stuck, AgainAndAgain) {
  static constexpr unsigned rounds = 200;
  Pipe pipe;
  unsigned right = 0;
  auto body = [](auto& through, auto& good) -> Task<Result<void>> {
    for (unsigned i = 0; i < rounds; ++i) {
      char got = 0;
      Scope scope;
      scope.spawn(read_one(through, got), &Machine::current().core(0));
      CO_TRY(co_await sleep_for(2ms));
      through.write(static_cast<char>(i));
      CO_TRY(co_await scope.join());
      good += got == static_cast<char>(i);
    }
    co_return Result<void>{};
  };
  run(body(pipe, right), 100us);
  EXPECT_EQ(right, rounds);
  if (GetParam() == 1) EXPECT_GE(replaced, 1U);
}

// A task that holds a mutex of the host's while it is stuck, others that wait for it, and fewer
// threads than there are of them: when the first is back it goes on, so that it lets go. The others
// come when it is stuck, for it MUST NOT be preempted with the mutex.
TEST_P(Stuck, FewerThreadsThanStuckTasks) {
  static constexpr unsigned count = 5;
  struct Shared {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    Pipe pipe;
    std::atomic<unsigned> done{0};
  };
  for (const unsigned stand_ins : {0U, 1U, 2U}) {
    Shared shared;
    std::thread feeder{[&shared] {
      std::this_thread::sleep_for(60ms);
      shared.pipe.write('z');
    }};
    auto body = [](Shared& all) -> Task<Result<void>> {
      sched::Executor& core = Machine::current().core(0);
      Scope scope;
      scope.spawn(
          [](Shared& mine) -> Task<> {
            pthread_mutex_lock(&mine.mutex);
            EXPECT_EQ(mine.pipe.read(), 'z');
            ++mine.done;
            pthread_mutex_unlock(&mine.mutex);
            co_return;
          }(all),
          &core);
      while (core.statistics().replaced == 0 && all.done == 0) CO_TRY(co_await sleep_for(1ms));
      for (unsigned i = 1; i < count; ++i)
        scope.spawn(
            [](Shared& mine) -> Task<> {
              pthread_mutex_lock(&mine.mutex);
              ++mine.done;
              pthread_mutex_unlock(&mine.mutex);
              co_return;
            }(all),
            &core);
      co_return co_await scope.join();
    };
    run(body(shared), 1ms, stand_ins);
    EXPECT_EQ(shared.done, count);
    feeder.join();
  }
}

TEST_P(Stuck, AMachineThatIsAskedToStopWaitsForTheEndOfTheCall) {
  Pipe pipe;
  char got = 0;
  auto machine = Machine::create({.cores = GetParam(), .pin = false, .stuck_after = 1ms});
  ASSERT_TRUE(machine.has_value());
  std::thread outside{[&] {
    std::this_thread::sleep_for(40ms);
    (*machine)->request_stop();
    std::this_thread::sleep_for(40ms);
    pipe.write('s');
  }};
  auto body = [](auto& from, auto& into) -> Task<Result<void>> {
    Scope scope;
    scope.spawn(read_one(from, into), &Machine::current().core(0));
    const Result<void> slept = co_await sleep_for(10s);
    EXPECT_TRUE(slept.failed_with(Error::stopped));
    co_return co_await scope.join();
  };
  (*machine)->run(body(pipe, got)).ignore();
  EXPECT_EQ(got, 's');
  outside.join();
}

TEST_P(Stuck, WhatIsSlowButNotStuckIsLeftAlone) {
  auto body = []() -> Task<Result<void>> {
    Scope scope;
    for (int i = 0; i < 4; ++i)
      scope.spawn([]() -> Task<> {
        // Not a call in which it may be left, though others wait.
        const timespec time{.tv_sec = 0, .tv_nsec = 10'000'000};
        nanosleep(&time, nullptr);
        co_return;
      }());
    co_return co_await scope.join();
  };
  run(body());
  EXPECT_EQ(replaced, 0U);
}

TEST_P(Stuck, CanBeTurnedOff) {
  Pipe pipe;
  char got = 0;
  std::thread feeder{[&pipe] {
    std::this_thread::sleep_for(50ms);
    pipe.write('o');
  }};
  auto body = [](auto& from, auto& into) -> Task<Result<void>> {
    Scope scope;
    scope.spawn(read_one(from, into), &Machine::current().core(0));
    co_return co_await scope.join();
  };
  run(body(pipe, got), 0ms);
  EXPECT_EQ(got, 'o');
  EXPECT_EQ(replaced, 0U);
  feeder.join();
}

// Channels, timers and tasks that compute, while others are stuck; what computes is set aside on
// several threads.
static constexpr unsigned pairs = 4;
static constexpr unsigned waits = 30;
static constexpr std::uint64_t messages = 3'000;

struct Outcome {
  unsigned reads = 0;
  std::array<std::uint64_t, pairs> sums{};
};

Task<Result<void>> load(Outcome& outcome) {
  struct All {
    std::array<Channel<std::uint64_t>, pairs> channels{
        Channel<std::uint64_t>{4}, Channel<std::uint64_t>{4}, Channel<std::uint64_t>{4},
        Channel<std::uint64_t>{4}};
    std::array<std::uint64_t, pairs> sums{};
    std::array<Pipe, 2> pipes;
    std::atomic<unsigned> reads{0};
    std::atomic<bool> done{false};
  };
  All shared;  // its memory is the machine's
  Scope scope;
  for (unsigned i = 0; i < pairs; ++i) {
    scope.spawn([](auto& to) -> Task<Result<void>> {
      for (std::uint64_t n = 1; n <= messages; ++n) CO_TRY(co_await to.send(n));
      to.close();
      co_return Result<void>{};
    }(shared.channels[i]));
    scope.spawn([](auto& from, auto& sum) -> Task<> {
      while (auto message = co_await from.receive()) sum += *message;
    }(shared.channels[i], shared.sums[i]));
  }
  Scope hogs;
  for (int i = 0; i < 2; ++i)
    hogs.spawn([](auto& over) -> Task<> {
      co_await step_back();
      while (!over.load(std::memory_order_relaxed)) {
      }
      co_return;
    }(shared.done));
  for (Pipe& pipe : shared.pipes)
    scope.spawn([](auto& from, auto& count) -> Task<> {
      co_await step_back();
      for (unsigned i = 0; i < waits; ++i) {
        EXPECT_EQ(from.read(), 'y');
        ++count;
        co_await yield();
      }
    }(pipe, shared.reads));
  for (unsigned i = 0; i < waits; ++i) {
    CO_TRY(co_await sleep_for(5ms));
    for (Pipe& pipe : shared.pipes) pipe.write('y');
  }
  CO_TRY(co_await scope.join());
  shared.done = true;
  CO_TRY(co_await hogs.join());
  outcome.reads = shared.reads;
  outcome.sums = shared.sums;
  co_return Result<void>{};
}

void expect_all(const Outcome& outcome) {
  EXPECT_EQ(outcome.reads, 2 * waits);
  for (const std::uint64_t sum : outcome.sums) EXPECT_EQ(sum, messages * (messages + 1) / 2);
}

TEST_P(Stuck, UnderLoad) {
  Outcome outcome;
  run(load(outcome));
  expect_all(outcome);
}

TEST_P(Stuck, UnderAStormOfInterrupts) {
  std::atomic<bool> over{false};
  std::thread storm{[&over, cores = GetParam()] {
    Random random{42};
    while (!over.load()) {
      for (unsigned core = 0; core < cores; ++core) hal::send_interrupt(core).ignore();
      std::this_thread::sleep_for(1us * random.below(100));
    }
  }};
  Outcome outcome;
  run(load(outcome), 200us);
  over = true;
  storm.join();
  expect_all(outcome);
}

// Stops every thread of the process for a while, again and again, wherever it is: between any two
// instructions of handing a core over, too.
class Delays {
 public:
  Delays() {
    struct sigaction action{};
    action.sa_handler = [](int) {
      const int error = errno;
      static std::atomic<unsigned> turn{0};
      const timespec time{.tv_sec = 0, .tv_nsec = 1'000 * (turn.fetch_add(7) % 400)};
      nanosleep(&time, nullptr);
      errno = error;
    };
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    EXPECT_EQ(sigaction(SIGUSR2, &action, nullptr), 0);
    thread_ = std::thread{[this] {
      Random random{9};
      while (!over_) {
        DIR* tasks = opendir("/proc/self/task");
        while (const dirent* entry = readdir(tasks)) {
          const int thread = std::atoi(entry->d_name);
          if (thread != 0 && thread != gettid() && random.below(3) == 0)
            syscall(SYS_tgkill, getpid(), thread, SIGUSR2);
        }
        closedir(tasks);
        std::this_thread::sleep_for(1us * random.below(150));
      }
    }};
  }
  Delays(const Delays&) = delete;
  Delays& operator=(const Delays&) = delete;
  ~Delays() {
    over_ = true;
    thread_.join();
    signal(SIGUSR2, SIG_IGN);
  }

 private:
  std::atomic<bool> over_{false};
  std::thread thread_;
};

TEST_P(Stuck, HandingOverIsInterruptedAnywhere) {
  for (int round = 0; round < 3; ++round) {
    Outcome outcome;
    {
      const Delays delays;
      auto machine = Machine::create(
          {.cores = GetParam(), .pin = false, .stuck_after = 300us, .stand_ins = 3});
      ASSERT_TRUE(machine.has_value());
      EXPECT_TRUE((*machine)->run(load(outcome)).has_value());
    }
    expect_all(outcome);
  }
}

}  // namespace
}  // namespace lichen

// What a machine says when a task ends the process. This file is app text.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>

#include "lichen/coro/sleep.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using sched::Machine;

// A sanitizer tells of faults itself, and its stacks differ.
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

struct FaultDeathTest : testing::Test {
  void SetUp() override {
    if (sanitized) GTEST_SKIP() << "the sanitizer handles faults";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

// Without an end, which the compiler cannot know.
[[gnu::noinline]] std::uint64_t recurse(const std::atomic<bool>& stop, unsigned depth) {
  volatile std::uint64_t frame[32] = {depth};
  if (stop) return 0;
  return recurse(stop, depth + 1) + frame[depth % 32];
}
constinit std::atomic<bool> never{false};

Task<> overrun() {
  EXPECT_GT(recurse(never, 0), 0U);
  co_return;
}

void run(Task<Result<void>> main) {
  auto machine = Machine::create({.stack_size = 64 * 1024});
  ASSERT_TRUE(machine.has_value());
  (*machine)->run(std::move(main)).ignore();
}

TEST_F(FaultDeathTest, AnOverrunOfTheCoresOwnStackIsNamed) {
  auto main = []() -> Task<Result<void>> {
    Scope scope;
    scope.spawn(overrun());
    co_return co_await scope.join();
  };
  EXPECT_EXIT(run(main()), testing::KilledBySignal(SIGSEGV),
              "core 0: the stack of [0-9]+ KiB is used up.*\n.*by a task of .*\n"
              ".*spawned at fault_test.cpp:[0-9]+(.*\n)*.*ulimit -s");
}

// A task that computes is set aside, so what runs next does so on a stack of the machine's.
TEST_F(FaultDeathTest, AnOverrunOfACarrierIsNamed) {
  auto main = []() -> Task<Result<void>> {
    std::atomic<bool> done{false};
    Scope scope;
    scope.spawn([](auto& flag) -> Task<> {
      while (!flag.load(std::memory_order_relaxed)) {
      }
      co_return;
    }(done));
    CO_TRY(co_await sleep_for(1ms));
    scope.spawn(overrun());
    co_return co_await scope.join();
  };
  EXPECT_EXIT(run(main()), testing::KilledBySignal(SIGSEGV),
              "core 0: the stack of 64 KiB is used up.*\n.*by a task of .*\n"
              ".*spawned at fault_test.cpp:[0-9]+(.*\n)*.*--stack-size");
}

TEST_F(FaultDeathTest, AnyOtherFaultIsTheHostsAndTheTaskIsNamed) {
  auto main = []() -> Task<Result<void>> {
    Scope scope;
    scope.spawn([]() -> Task<> {
      volatile int* volatile nowhere = reinterpret_cast<int*>(16);
      *nowhere = 1;
      co_return;
    }());
    co_return co_await scope.join();
  };
  EXPECT_EXIT(run(main()), testing::KilledBySignal(SIGSEGV),
              "core 0: a bad memory access, address 0x10, at image.*\n.*by a task of .*\n"
              ".*spawned at fault_test.cpp:[0-9]+");
}

TEST_F(FaultDeathTest, OfACallOfNothingTheCallerIsNamed) {
  auto main = []() -> Task<Result<void>> {
    Scope scope;
    scope.spawn([]() -> Task<> {
      void (*volatile nothing)() = nullptr;
      nothing();
      co_return;
    }());
    co_return co_await scope.join();
  };
  EXPECT_EXIT(run(main()), testing::KilledBySignal(SIGSEGV),
              "core 0: a bad memory access, address 0x0, where the program has no code\n"
              "  called from image.0x[0-9a-f]{1,8}\n.*by a task of .*\n"
              ".*spawned at fault_test.cpp:[0-9]+");
}

TEST_F(FaultDeathTest, ASignalThatSomebodySendsIsNoFault) {
  auto main = []() -> Task<Result<void>> {
    raise(SIGSEGV);
    co_return Result<void>{};
  };
  EXPECT_EXIT(run(main()), testing::KilledBySignal(SIGSEGV), "^$");
}

}  // namespace
}  // namespace lichen

#include "lichen/coro/sleep.hpp"

#include <vector>

#include "lichen/coro/coro_test.hpp"

namespace lichen::coro {
namespace {

using namespace std::chrono_literals;
using SleepTest = test::CoroTest;

Task<Result<void>> sleeps(Duration duration) { co_return co_await sleep_for(duration); }

TEST_F(SleepTest, IsNeverEarlyAndAtMostATickLate) {
  for (Duration duration : {1ns, 1000ns, 1024ns, 5000ns, 10'000'000ns, 7'200'000'000'000ns}) {
    const std::uint64_t before = test::virtual_now_ns;
    EXPECT_TRUE(loop_.run(sleeps(duration))->has_value());
    const std::uint64_t slept = test::virtual_now_ns - before;
    EXPECT_GE(slept, static_cast<std::uint64_t>(duration.count()));
    EXPECT_LT(slept, static_cast<std::uint64_t>(duration.count()) + 1024);
  }
}

TEST_F(SleepTest, NothingAndThePastEndWithoutTimePassing) {
  const std::uint64_t before = test::virtual_now_ns;
  EXPECT_TRUE(loop_.run(sleeps(0ns))->has_value());
  EXPECT_TRUE(loop_.run(sleeps(-5s))->has_value());
  EXPECT_LT(test::virtual_now_ns - before, 2048U);
}

TEST_F(SleepTest, EndsInTheOrderOfDeadlines) {
  std::vector<int> order;
  auto one = [&](int n) -> Task<> {
    (co_await sleep_for(n * 1ms)).ignore();
    order.push_back(n);
  };
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    for (int n : {5, 1, 4, 2, 3}) scope.spawn(one(n));
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4, 5}));
}

TEST_F(SleepTest, AStopEndsItAtOnce) {
  const std::uint64_t before = test::virtual_now_ns;
  EXPECT_EQ(loop_.run(test::stop_while_waiting(sleeps(1h)))->error(), Error::stopped);
  EXPECT_EQ(test::virtual_now_ns, before);
}

TEST_F(SleepTest, DeadlinesSaturate) {
  EXPECT_EQ(Deadline::after(Duration::max()).ns, test::virtual_now_ns + Duration::max().count());
  test::virtual_now_ns += std::uint64_t{1} << 63;
  EXPECT_EQ(Deadline::after(Duration::max()), Deadline::never());
  test::virtual_now_ns -= std::uint64_t{1} << 63;
}

}  // namespace
}  // namespace lichen::coro

#include "lichen/coro/scope.hpp"

#include <gtest/gtest.h>

#include "lichen/coro/stop.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/coro/trace.hpp"
#include "lichen/coro/when.hpp"

namespace lichen::coro {
namespace {

using namespace std::chrono_literals;
using test::TestLoop;

class ScopeTest : public testing::Test {
 protected:
  void TearDown() override {
    test::frames_until_failure = ~std::size_t{0};
    EXPECT_EQ(test::frames_alive, 0U);
  }
  TestLoop loop_;
};

Task<> add_after(int& sum, int n, Duration delay) {
  if ((co_await sleep_for(delay)).has_value()) sum += n;
}
Task<Result<void>> fail_after(Duration delay, Error error) {
  CO_TRY(co_await sleep_for(delay));
  co_return error;
}

TEST_F(ScopeTest, JoinWaitsForAllChildren) {
  int sum = 0;
  auto body = [](int& total) -> Task<Result<void>> {
    Scope scope;
    for (int i = 1; i <= 100; ++i) scope.spawn(add_after(total, i, i * 1ms));
    EXPECT_EQ(scope.active(), 100U);
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body(sum))->has_value());
  EXPECT_EQ(sum, 5050);
}

TEST_F(ScopeTest, TheFirstErrorStopsTheOthersAndReachesJoin) {
  int sum = 0;
  auto body = [](int& total) -> Task<Result<void>> {
    Scope scope;
    scope.spawn(add_after(total, 1, 1ms));
    scope.spawn(fail_after(2ms, Error::io_failed));
    scope.spawn(add_after(total, 10, 3ms));
    scope.spawn(fail_after(4ms, Error::busy));
    co_return co_await scope.join();
  };
  EXPECT_EQ(loop_.run(body(sum))->error(), Error::io_failed);
  EXPECT_EQ(sum, 1);
}

TEST_F(ScopeTest, KeepGoingLeavesSiblingsAlone) {
  int sum = 0;
  auto body = [](int& total) -> Task<Result<void>> {
    Scope scope{OnError::keep_going};
    scope.spawn(fail_after(2ms, Error::io_failed));
    scope.spawn(add_after(total, 10, 3ms));
    co_return co_await scope.join();
  };
  EXPECT_EQ(loop_.run(body(sum))->error(), Error::io_failed);
  EXPECT_EQ(sum, 10);
}

Task<Result<void>> nest(int depth, int& stopped) {
  Scope scope;
  if (depth > 0) scope.spawn(nest(depth - 1, stopped));
  auto slept = co_await sleep_for(1h);
  if (slept.failed_with(Error::stopped)) ++stopped;
  co_return co_await scope.join();
}

TEST_F(ScopeTest, StopRequestsFlowDownTheWholeTree) {
  int stopped = 0;
  const std::uint64_t before = test::virtual_now_ns;
  auto body = [](int& count) -> Task<Result<void>> {
    Scope scope;
    scope.spawn(nest(50, count));
    CO_TRY(co_await sleep_for(1ms));
    scope.request_stop();
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body(stopped))->has_value());
  EXPECT_EQ(stopped, 51);
  EXPECT_LT(test::virtual_now_ns - before, 1'000'000'000U);
}

TEST_F(ScopeTest, ShieldedScopesFinishTheirWork) {
  int sum = 0;
  auto body = [](int& total) -> Task<Result<void>> {
    auto cleaning = [](int& t) -> Task<Result<void>> {
      Scope shield{Scope::Shielded{}};
      shield.spawn(add_after(t, 5, 10ms));
      co_return co_await shield.join();
    };
    Scope scope;
    scope.spawn(cleaning(total));
    CO_TRY(co_await sleep_for(1ms));
    scope.request_stop();
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body(sum))->has_value());
  EXPECT_EQ(sum, 5);
}

TEST_F(ScopeTest, SpawnWithoutAFrameFailsTheScope) {
  auto body = []() -> Task<Result<void>> {
    Scope scope;
    int unused = 0;
    test::frames_until_failure = 0;
    EXPECT_FALSE(scope.spawn(add_after(unused, 1, 1ms)));
    co_return co_await scope.join();
  };
  EXPECT_EQ(loop_.run(body())->error(), Error::no_memory);
}

TEST_F(ScopeTest, WithScopeJoinsWhicheverWayTheBodyLeaves) {
  int sum = 0;
  auto outer = [](int& total) -> Task<Result<void>> {
    co_return co_await with_scope([&total](Scope& scope) -> Task<Result<void>> {
      scope.spawn(add_after(total, 1, 1ms));
      CO_TRY(co_await fail_after(2ms, Error::closed));
      co_return Result<void>{};
    });
  };
  EXPECT_EQ(loop_.run(outer(sum))->error(), Error::closed);
  EXPECT_EQ(sum, 1);
}

using ScopeDeathTest = ScopeTest;
TEST_F(ScopeDeathTest, LeavingTasksBehindIsRefused) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto body = []() -> Task<Result<void>> {
    int unused = 0;
    Scope scope;
    scope.spawn(add_after(unused, 1, 1ms));
    co_return Result<void>{};
  };
  EXPECT_DEATH(loop_.run(body()).reset(), "co_await scope.join");
}

Task<Result<int>> value_after(int n, Duration delay) {
  CO_TRY(co_await sleep_for(delay));
  co_return n;
}

TEST_F(ScopeTest, WhenAllGathersResults) {
  auto body = []() -> Task<Result<int>> {
    auto [a, b] = CO_TRY(co_await when_all(value_after(1, 2ms), value_after(2, 1ms)));
    co_return CO_TRY(std::move(a)) * 10 + CO_TRY(std::move(b));
  };
  EXPECT_EQ(**loop_.run(body()), 12);
  auto failing = []() -> Task<Result<bool>> {
    auto [a, b] = CO_TRY(co_await when_all(value_after(1, 1h), fail_after(1ms, Error::busy)));
    co_return a.failed_with(Error::stopped) && b.failed_with(Error::busy);
  };
  EXPECT_TRUE(**loop_.run(failing()));
}

TEST_F(ScopeTest, WhenAnyTakesTheFirstAndStopsTheRest) {
  auto body = []() -> Task<Result<int>> {
    auto first =
        CO_TRY(co_await when_any(value_after(1, 1h), value_after(2, 1ms), value_after(3, 2h)));
    EXPECT_EQ(first.index(), 1U);
    co_return CO_TRY(std::get<1>(std::move(first)));
  };
  EXPECT_EQ(**loop_.run(body()), 2);
}

TEST_F(ScopeTest, TimeoutsStopWhatIsLate) {
  auto late = []() -> Task<Result<int>> {
    co_return co_await with_timeout(1ms, value_after(1, 1h));
  };
  EXPECT_EQ(loop_.run(late())->error(), Error::timed_out);
  auto in_time = []() -> Task<Result<int>> {
    co_return co_await with_timeout(1h, value_after(1, 1ms));
  };
  EXPECT_EQ(**loop_.run(in_time()), 1);
  EXPECT_EQ(loop_.timers().size(), 0U);
}

TEST_F(ScopeTest, TimeoutOfAStoppedTaskIsAStop) {
  auto outer = []() -> Task<Result<void>> {
    Scope scope{OnError::keep_going};
    auto inner = []() -> Task<Result<void>> {
      co_return (co_await with_timeout(1h, value_after(1, 2h))).error();
    };
    scope.spawn(inner());
    CO_TRY(co_await sleep_for(1ms));
    scope.request_stop();
    co_return co_await scope.join();
  };
  EXPECT_EQ(loop_.run(outer())->error(), Error::stopped);
}

TEST_F(ScopeTest, StopSourcesReachScopesThatFollow) {
  StopSource source;
  auto body = [](StopSource& stop) -> Task<Result<bool>> {
    Scope scope{OnError::keep_going};
    StopFollower follower{stop, scope};
    scope.spawn(fail_after(1h, Error::busy));
    auto requester = [](StopSource& s) -> Task<> {
      (co_await sleep_for(1ms)).ignore();
      s.request_stop();
    };
    scope.spawn(requester(stop));
    CO_TRY(co_await stop.requested());
    auto joined = co_await scope.join();
    co_return joined.failed_with(Error::stopped);
  };
  EXPECT_TRUE(**loop_.run(body(source)));
}

TEST_F(ScopeTest, StopEventCompletesOnStop) {
  auto body = []() -> Task<Result<bool>> {
    bool seen = false;
    auto watcher = [](bool& flag) -> Task<> {
      co_await stop_event();
      flag = stop_requested();
    };
    Scope scope;
    scope.spawn(watcher(seen));
    CO_TRY(co_await sleep_for(1ms));
    scope.request_stop();
    CO_TRY(co_await scope.join());
    co_return seen;
  };
  EXPECT_TRUE(**loop_.run(body()));
}

Task<> waits_for(Event& event) { (co_await event.wait()).ignore(); }

TEST_F(ScopeTest, TracesCrossScopes) {
  auto body = []() -> Task<Result<int>> {
    Event event;
    Scope scope;
    scope.spawn(waits_for(event));
    co_await yield();
    int strands = 0;
    std::size_t lines = 0;
    TraceLine trace_lines[8];
    Strand* found = nullptr;
    for_each_strand(scope, [&](Strand& strand, unsigned depth) {
      EXPECT_EQ(depth, 0U);
      found = &strand;
      ++strands;
    });
    lines = trace(*found, trace_lines);
    EXPECT_NE(std::string{trace_lines[0].function}.find("waits_for"), std::string::npos);
    EXPECT_EQ(trace_lines[1].kind, TraceLine::Kind::spawned);
    EXPECT_GE(lines, 2U);
    event.set();
    CO_TRY(co_await scope.join());
    co_return strands;
  };
  EXPECT_EQ(**loop_.run(body()), 1);
}

}  // namespace
}  // namespace lichen::coro

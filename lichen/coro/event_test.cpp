#include "lichen/coro/event.hpp"

#include <vector>

#include "lichen/coro/coro_test.hpp"

namespace lichen::coro {
namespace {

using EventTest = test::CoroTest;

Task<Result<void>> wait_for(Event& event) { co_return co_await event.wait(); }
Task<> note(Event& event, std::vector<int>& order, int n) {
  if ((co_await event.wait()).has_value()) order.push_back(n);
}

TEST_F(EventTest, ASetEventDoesNotSuspend) {
  Event event{true};
  EXPECT_TRUE(loop_.run(wait_for(event))->has_value());
  EXPECT_EQ(loop_.steps, 1U);
}

TEST_F(EventTest, WakesAllInTheOrderInWhichTheyCame) {
  Event event;
  std::vector<int> order;
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    for (int i = 0; i < 5; ++i) scope.spawn(note(event, order, i));
    (co_await test::settle()).ignore();
    EXPECT_TRUE(order.empty());
    event.set();
    EXPECT_TRUE(order.empty()) << "a wake runs nobody at once";
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

TEST_F(EventTest, ResetMakesThoseWaitWhoComeLater) {
  Event event;
  std::vector<int> order;
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    scope.spawn(note(event, order, 1));
    (co_await test::settle()).ignore();
    event.set();
    event.reset();
    EXPECT_FALSE(event.is_set());
    scope.spawn(note(event, order, 2));
    (co_await test::settle()).ignore();
    EXPECT_EQ(order, std::vector{1}) << "who was woken by set() stays woken";
    event.set();
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST_F(EventTest, AStopEndsTheWaitAndLeavesTheQueue) {
  Event event;
  EXPECT_EQ(loop_.run(test::stop_while_waiting(wait_for(event)))->error(), Error::stopped);
  event.set();  // finds nobody
}

TEST_F(EventTest, AWaitThatBeginsAfterAStopIsRefusedUnlessItNeedNotWait) {
  Event unset;
  Event set{true};
  auto body = [&]() -> Task<Result<bool>> {
    (co_await test::settle()).ignore();
    const bool refused = (co_await unset.wait()).failed_with(Error::stopped);
    co_return refused && (co_await set.wait()).has_value();
  };
  auto outer = [&]() -> Task<Result<bool>> {
    Scope scope;
    auto inner = body();
    scope.start(inner);
    scope.request_stop();
    (co_await scope.join()).ignore();
    co_return inner.take_result();
  };
  EXPECT_TRUE(**loop_.run(outer()));
}

TEST_F(EventTest, AStopAfterTheWakeComesTooLate) {
  Event event;
  auto body = [&]() -> Task<Result<void>> {
    Scope scope{OnError::keep_going};
    scope.spawn(wait_for(event));
    (co_await test::settle()).ignore();
    event.set();
    scope.request_stop();
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
}

}  // namespace
}  // namespace lichen::coro

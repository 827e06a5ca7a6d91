#include "lichen/coro/semaphore.hpp"

#include <vector>

#include "lichen/coro/coro_test.hpp"

namespace lichen::coro {
namespace {

using SemaphoreTest = test::CoroTest;
using MutexTest = test::CoroTest;

Task<Result<void>> take(Semaphore& semaphore) { co_return co_await semaphore.acquire(); }
Task<Result<void>> take_and_note(Semaphore& semaphore, std::vector<int>& order, int n) {
  CO_TRY(co_await semaphore.acquire());
  order.push_back(n);
  co_return Result<void>{};
}

TEST_F(SemaphoreTest, HandsOutWhatItHas) {
  Semaphore semaphore{2};
  EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_TRUE(loop_.run(take(semaphore))->has_value());
  EXPECT_FALSE(semaphore.try_acquire());
  semaphore.release(3);
  EXPECT_EQ(semaphore.available(), 3U);
}

TEST_F(SemaphoreTest, PermitsGoToThoseWhoWaitedLongestAndNobodyBarges) {
  Semaphore semaphore{0};
  std::vector<int> order;
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    for (int i = 0; i < 3; ++i) scope.spawn(take_and_note(semaphore, order, i));
    (co_await test::settle()).ignore();
    semaphore.release();
    // The permit belongs to the first waiter already, although that has not run.
    EXPECT_EQ(semaphore.available(), 0U);
    EXPECT_FALSE(semaphore.try_acquire());
    CO_TRY(co_await semaphore.acquire());  // behind the other two, who need two more permits
    order.push_back(3);
    co_return co_await scope.join();
  };
  auto releaser = [&]() -> Task<> {
    (co_await test::settle()).ignore();
    (co_await test::settle()).ignore();
    semaphore.release(3);
  };
  auto both = [&]() -> Task<Result<void>> {
    Scope scope;
    scope.spawn(body());
    scope.spawn(releaser());
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(both())->has_value());
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
}

TEST_F(SemaphoreTest, AStoppedWaiterTakesNoPermitAndDoesNotBlockTheNext) {
  Semaphore semaphore{0};
  std::vector<int> order;
  auto body = [&]() -> Task<Result<void>> {
    Scope first{OnError::keep_going};
    Scope second;
    first.spawn(take_and_note(semaphore, order, 1));
    (co_await test::settle()).ignore();
    second.spawn(take_and_note(semaphore, order, 2));
    (co_await test::settle()).ignore();
    first.request_stop();
    EXPECT_EQ((co_await first.join()).error(), Error::stopped);
    semaphore.release();
    co_return co_await second.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_EQ(order, std::vector{2});
  EXPECT_EQ(semaphore.available(), 0U);
}

TEST_F(SemaphoreTest, AStopAfterTheHandOverLosesNoPermit) {
  Semaphore semaphore{0};
  auto body = [&]() -> Task<Result<void>> {
    Scope scope{OnError::keep_going};
    scope.spawn(take(semaphore));
    (co_await test::settle()).ignore();
    semaphore.release();
    scope.request_stop();
    co_return co_await scope.join();  // it has the permit and says so
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_EQ(semaphore.available(), 0U);
}

TEST_F(MutexTest, ExcludesAcrossSuspensionsInOrder) {
  Mutex mutex;
  int inside = 0;
  std::vector<int> order;
  auto worker = [&](int n) -> Task<Result<void>> {
    auto guard = CO_TRY(co_await mutex.lock());
    EXPECT_EQ(++inside, 1);
    (co_await test::settle()).ignore();
    --inside;
    order.push_back(n);
    co_return Result<void>{};
  };
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    for (int i = 0; i < 5; ++i) scope.spawn(worker(i));
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

TEST_F(MutexTest, AStopEndsTheWaitAndTheMutexIsFreeAfterwards) {
  Mutex mutex;
  auto locks = [&]() -> Task<Result<void>> { co_return (co_await mutex.lock()).error(); };
  auto body = [&]() -> Task<Result<void>> {
    auto guard = CO_TRY(co_await mutex.lock());
    co_return co_await test::stop_while_waiting(locks());
  };
  EXPECT_EQ(loop_.run(body())->error(), Error::stopped);
  EXPECT_TRUE(loop_.run(locks())->has_value());
}

TEST_F(MutexTest, GuardsMove) {
  Mutex mutex;
  auto body = [&]() -> Task<Result<void>> {
    std::vector<Mutex::Guard> kept;
    kept.push_back(CO_TRY(co_await mutex.lock()));
    (co_await test::settle()).ignore();
    kept.clear();
    auto again = CO_TRY(co_await mutex.lock());
    co_return Result<void>{};
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
}

}  // namespace
}  // namespace lichen::coro

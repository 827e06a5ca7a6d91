#include "lichen/coro/latch.hpp"

#include "lichen/coro/coro_test.hpp"

namespace lichen::coro {
namespace {

using LatchTest = test::CoroTest;

Task<Result<void>> wait_for(Latch& latch) { co_return co_await latch.wait(); }

TEST_F(LatchTest, OpensAtZeroForAll) {
  Latch latch{3};
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    for (int i = 0; i < 4; ++i) scope.spawn(wait_for(latch));
    latch.count_down();
    (co_await test::settle()).ignore();
    EXPECT_EQ(scope.active(), 4U);
    EXPECT_EQ(latch.count(), 2U);
    latch.count_down(2);
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_TRUE(loop_.run(wait_for(latch))->has_value());
}

TEST_F(LatchTest, OfNothingIsOpen) {
  Latch latch{0};
  EXPECT_TRUE(loop_.run(wait_for(latch))->has_value());
}

TEST_F(LatchTest, AStopEndsTheWait) {
  Latch latch{1};
  EXPECT_EQ(loop_.run(test::stop_while_waiting(wait_for(latch)))->error(), Error::stopped);
  latch.count_down();
}

}  // namespace
}  // namespace lichen::coro

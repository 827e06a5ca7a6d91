// What the unit tests of coro share: a loop for each test, and the check that no frame is left.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "lichen/coro/test_loop.hpp"

namespace lichen::coro::test {

class CoroTest : public testing::Test {
 protected:
  void TearDown() override {
    frames_until_failure = ~std::size_t{0};
    EXPECT_EQ(frames_alive, 0U);
    EXPECT_EQ(loop_.timers().size(), 0U);
  }
  TestLoop loop_;
};

// Lets everybody who is ready come to rest.
inline Task<> settle() {
  for (int i = 0; i < 4; ++i) co_await yield();
}

// Starts `waits`, asks it to stop once it waits, and yields the error with which it ended.
inline Task<Result<void>> stop_while_waiting(Task<Result<void>> waits) {
  Scope scope{OnError::keep_going};
  scope.spawn(std::move(waits));
  (co_await settle()).ignore();
  EXPECT_EQ(scope.active(), 1U) << "it did not wait";
  scope.request_stop();
  co_return co_await scope.join();
}

}  // namespace lichen::coro::test

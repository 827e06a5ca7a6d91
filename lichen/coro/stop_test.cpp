#include "lichen/coro/stop.hpp"

#include <vector>

#include "lichen/coro/coro_test.hpp"

namespace lichen::coro {
namespace {

using StopTest = test::CoroTest;

Task<Result<void>> wait_for(StopSource& source) { co_return co_await source.requested(); }

class Counting : public StopCallback {
 public:
  explicit Counting(StopSource& source) : StopCallback{source} { follow(&count); }
  int calls = 0;

 private:
  static void count(StopCallback& self) noexcept { ++static_cast<Counting&>(self).calls; }
};

TEST_F(StopTest, WakesAllWaitersOnce) {
  StopSource source;
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    for (int i = 0; i < 3; ++i) scope.spawn(wait_for(source));
    (co_await test::settle()).ignore();
    EXPECT_EQ(scope.active(), 3U);
    source.request_stop();
    source.request_stop();
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_TRUE(loop_.run(wait_for(source))->has_value());
  EXPECT_TRUE(StopToken{source}.stop_requested());
}

TEST_F(StopTest, AStopOfTheWaitingTaskIsAnErrorOfItsWait) {
  StopSource source;
  EXPECT_EQ(loop_.run(test::stop_while_waiting(wait_for(source)))->error(), Error::stopped);
}

TEST_F(StopTest, CallbacksAreCalledOnceWhetherBeforeOrAfter) {
  StopSource source;
  Counting before{source};
  {
    Counting gone{source};
  }
  EXPECT_EQ(before.calls, 0);
  source.request_stop();
  source.request_stop();
  EXPECT_EQ(before.calls, 1);
  Counting after{source};
  EXPECT_EQ(after.calls, 1);
}

TEST_F(StopTest, ACallbackMayTakeAnotherOneAway) {
  StopSource source;
  struct Remover : StopCallback {
    explicit Remover(StopSource& s) : StopCallback{s} { follow(&remove); }
    static void remove(StopCallback& self) noexcept { static_cast<Remover&>(self).other.reset(); }
    std::optional<Counting> other;
  };
  Remover remover{source};
  remover.other.emplace(source);
  source.request_stop();
  EXPECT_FALSE(remover.other.has_value());
}

TEST_F(StopTest, AFollowerThatIsGoneStopsNothing) {
  StopSource source;
  auto body = [&]() -> Task<Result<bool>> {
    Scope scope;
    {
      StopFollower follower{source, scope};
    }
    source.request_stop();
    const bool untouched = !scope.stop_requested();
    StopFollower late{source, scope};
    co_return untouched&& scope.stop_requested();
  };
  EXPECT_TRUE(**loop_.run(body()));
}

TEST_F(StopTest, StopsReachTasksSpawnedAndScopesOpenedLater) {
  auto body = [&]() -> Task<Result<bool>> {
    bool child_stopped = false;
    bool inner_stopped = false;
    auto child = [&]() -> Task<> {
      child_stopped = stop_requested();
      Scope inner;
      inner_stopped = inner.stop_requested();
      co_return;
    };
    Scope scope;
    scope.request_stop();
    scope.spawn(child());
    CO_TRY(co_await scope.join());
    co_return child_stopped&& inner_stopped && !stop_requested();
  };
  EXPECT_TRUE(**loop_.run(body()));
}

}  // namespace
}  // namespace lichen::coro

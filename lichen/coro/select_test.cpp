#include "lichen/coro/select.hpp"

#include <vector>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/coro_test.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/stop.hpp"

namespace lichen::coro {
namespace {

using namespace std::chrono_literals;
using SelectTest = test::CoroTest;

TEST_F(SelectTest, TheEarlierArgumentGoesFirst) {
  Event one{true};
  Event two{true};
  auto body = [&]() -> Task<Result<std::size_t>> {
    co_return CO_TRY(co_await select(one.wait(), two.wait())).index();
  };
  EXPECT_EQ(**loop_.run(body()), 0U);
  one.reset();
  EXPECT_EQ(**loop_.run(body()), 1U);
}

TEST_F(SelectTest, OperationsThatAreNotFirstDoNotHappen) {
  Channel<int> full{1};
  Channel<int> filled{1};
  Semaphore semaphore{0};
  Mutex mutex;
  int message = 1;
  EXPECT_TRUE(full.try_send(message).has_value());
  Event event;
  auto body = [&]() -> Task<Result<std::size_t>> {
    auto held = CO_TRY(co_await mutex.lock());
    auto first = CO_TRY(co_await select(event.wait(), full.send(2), filled.receive(),
                                        semaphore.acquire(), mutex.lock(), sleep_for(1h)));
    co_return first.index();
  };
  auto outer = [&]() -> Task<Result<std::size_t>> {
    Scope scope;
    auto inner = body();
    scope.start(inner);
    (co_await test::settle()).ignore();
    event.set();
    semaphore.release();
    EXPECT_TRUE(full.try_receive().has_value());
    EXPECT_TRUE(filled.try_send(message).has_value());
    CO_TRY(co_await scope.join());
    co_return inner.take_result();
  };
  const std::uint64_t before = test::virtual_now_ns;
  EXPECT_EQ(**loop_.run(outer()), 0U);
  EXPECT_EQ(test::virtual_now_ns, before) << "the timer was left set";
  EXPECT_EQ(full.try_receive().error(), Error::would_block) << "the message was sent";
  EXPECT_TRUE(filled.try_receive().has_value()) << "the message was taken";
  EXPECT_EQ(semaphore.available(), 1U);
}

TEST_F(SelectTest, EveryArmCanBeFirst) {
  Channel<int> in{0};
  Channel<int> out{0};
  Semaphore semaphore{0};
  StopSource source;
  auto choose = [&]() -> Task<Result<std::size_t>> {
    auto first = CO_TRY(co_await select(in.receive(), out.send(5), semaphore.acquire(),
                                        source.requested(), sleep_for(1ms)));
    if (first.index() == 0) EXPECT_EQ(*std::get<0>(first), 3);
    co_return first.index();
  };
  auto with = [&](auto act) -> Task<Result<std::size_t>> {
    Scope scope;
    auto inner = choose();
    scope.start(inner);
    (co_await test::settle()).ignore();
    act();
    CO_TRY(co_await scope.join());
    co_return inner.take_result();
  };
  auto send = [&] {
    int message = 3;
    EXPECT_TRUE(in.try_send(message).has_value());
  };
  EXPECT_EQ(**loop_.run(with(send)), 0U);
  EXPECT_EQ(**loop_.run(with([&] { EXPECT_EQ(*out.try_receive(), 5); })), 1U);
  EXPECT_EQ(**loop_.run(with([&] { semaphore.release(); })), 2U);
  EXPECT_EQ(**loop_.run(with([] {})), 4U);
  EXPECT_EQ(**loop_.run(with([&] { source.request_stop(); })), 3U);
}

TEST_F(SelectTest, OnlyTheFirstOfTwoThatComeTogetherHappens) {
  Channel<int> a{4};
  Channel<int> b{4};
  auto body = [&]() -> Task<Result<void>> {
    auto first = CO_TRY(co_await select(a.receive(), b.receive()));
    EXPECT_EQ(first.index(), 1U);
    co_return Result<void>{};
  };
  auto outer = [&]() -> Task<Result<void>> {
    Scope scope;
    scope.spawn(body());
    (co_await test::settle()).ignore();
    int message = 1;
    EXPECT_TRUE(b.try_send(message).has_value());
    EXPECT_TRUE(a.try_send(message).has_value());
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(outer())->has_value());
  EXPECT_EQ(a.size(), 1U);
  EXPECT_EQ(b.size(), 0U);
}

TEST_F(SelectTest, ClosedChannelsAreReady) {
  Channel<int> channel{0};
  channel.close(Error::busy);
  auto body = [&]() -> Task<Result<void>> {
    auto first = CO_TRY(co_await select(sleep_for(1h), channel.receive()));
    EXPECT_EQ(std::get<1>(first).error(), Error::busy);
    co_return Result<void>{};
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
}

TEST_F(SelectTest, AStopOfTheCallerEndsIt) {
  Channel<int> channel{0};
  Event event;
  auto waits = [&]() -> Task<Result<void>> {
    co_return (co_await select(channel.receive(), event.wait(), sleep_for(1h), channel.send(1)))
        .error();
  };
  EXPECT_EQ(loop_.run(test::stop_while_waiting(waits()))->error(), Error::stopped);
}

Task<Result<int>> number_after(int n, Duration delay) {
  CO_TRY(co_await sleep_for(delay));
  co_return n;
}

TEST_F(SelectTest, TasksTakePartAndAreStoppedWhenNotFirst) {
  Event never;
  auto body = [&]() -> Task<Result<int>> {
    auto first = CO_TRY(co_await select(never.wait(), number_after(1, 1h), number_after(2, 1ms)));
    co_return CO_TRY(std::get<2>(std::move(first)));
  };
  const std::uint64_t before = test::virtual_now_ns;
  EXPECT_EQ(**loop_.run(body()), 2);
  EXPECT_LT(test::virtual_now_ns - before, 2'000'000U);
}

TEST_F(SelectTest, ATaskWithoutAFrameIsFirstWithNoMemory) {
  auto body = [&]() -> Task<Result<Duration>> {
    auto task = number_after(1, 1h);
    test::frames_until_failure = 1;  // the frame of select()
    auto first = co_await select(std::move(task), sleep_for(1h));
    test::frames_until_failure = ~std::size_t{0};
    EXPECT_EQ(std::get<0>(*first).error(), Error::no_memory);
    co_return Duration{};
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
}

// Two selects that meet on rendezvous channels, each with several arms.
TEST_F(SelectTest, TwoSelectsMeet) {
  Channel<int> there{0};
  Channel<int> back{0};
  int transfers = 0;
  auto side = [&](Channel<int>& out, Channel<int>& in) -> Task<Result<void>> {
    for (int i = 0; i < 100; ++i) {
      auto first = CO_TRY(co_await select(out.send(i), in.receive()));
      if (first.index() == 0) ++transfers;
    }
    co_return Result<void>{};
  };
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    scope.spawn(side(there, back));
    scope.spawn(side(back, there));
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
  EXPECT_EQ(transfers, 100);
}

TEST_F(SelectTest, ASelectIsNoPartnerForItself) {
  Channel<int> channel{0};
  auto both = [&](int n) -> Task<Result<std::size_t>> {
    auto first = CO_TRY(co_await select(channel.send(n), channel.receive()));
    if (first.index() == 1) EXPECT_NE(*std::get<1>(first), n);
    co_return first.index();
  };
  auto alone = [&]() -> Task<Result<void>> { co_return (co_await both(1)).error(); };
  EXPECT_EQ(loop_.run(test::stop_while_waiting(alone()))->error(), Error::stopped);
  auto two = [&]() -> Task<Result<std::size_t>> {
    Scope scope;
    auto one = both(1);
    auto other = both(2);
    scope.start(one);
    scope.start(other);
    CO_TRY(co_await scope.join());
    co_return CO_TRY(one.take_result()) + CO_TRY(other.take_result());
  };
  EXPECT_EQ(**loop_.run(two()), 1U) << "one sent, the other received";
}

}  // namespace
}  // namespace lichen::coro

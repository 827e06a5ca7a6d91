#include "lichen/coro/channel.hpp"

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "lichen/coro/coro_test.hpp"

namespace lichen::coro {
namespace {

using ChannelTest = test::CoroTest;

Task<Result<void>> send_range(Channel<int>& channel, int first, int last) {
  for (int i = first; i < last; ++i) CO_TRY(co_await channel.send(i));
  co_return Result<void>{};
}
Task<Result<void>> receive_into(Channel<int>& channel, std::vector<int>& got) {
  for (;;) got.push_back(CO_TRY(co_await channel.receive()));
}
Task<Result<void>> receive_one(Channel<int>& channel) {
  co_return (co_await channel.receive()).error();
}
Task<Result<void>> send_one(Channel<int>& channel, int message) {
  co_return co_await channel.send(message);
}

class ChannelOfEachKind : public test::CoroTest, public testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Channel, ChannelOfEachKind, testing::Values(0, 1, 2, 3, 64, unbounded));

TEST_P(ChannelOfEachKind, KeepsTheOrderAndEndsWithTheReason) {
  Channel<int> channel{GetParam()};
  std::vector<int> got;
  auto body = [&]() -> Task<Result<void>> {
    Scope receivers{OnError::keep_going};
    receivers.spawn(receive_into(channel, got));
    CO_TRY(co_await send_range(channel, 0, 500));
    channel.close(Error::end_of_stream);
    channel.close(Error::busy);  // the first reason stays
    co_return co_await receivers.join();
  };
  EXPECT_EQ(loop_.run(body())->error(), Error::end_of_stream);
  std::vector<int> all(500);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(got, all);
}

TEST_P(ChannelOfEachKind, ManySendersAndReceiversLoseNothing) {
  Channel<int> channel{GetParam()};
  std::vector<int> got[3];
  auto body = [&]() -> Task<Result<void>> {
    Scope receivers{OnError::keep_going};
    for (auto& each : got) receivers.spawn(receive_into(channel, each));
    Scope senders;
    for (int i = 0; i < 4; ++i) senders.spawn(send_range(channel, i * 1000, i * 1000 + 100));
    CO_TRY(co_await senders.join());
    channel.close();
    co_return co_await receivers.join();
  };
  EXPECT_EQ(loop_.run(body())->error(), Error::closed);
  std::vector<int> all;
  for (auto& each : got) {
    for (int i = 0; i < 4; ++i) {  // each sender's messages come in order
      int last = -1;
      for (int message : each)
        if (message / 1000 == i) {
          EXPECT_GT(message, last);
          last = message;
        }
    }
    all.insert(all.end(), each.begin(), each.end());
  }
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), 400U);
  for (std::size_t i = 0; i < 400; ++i)
    EXPECT_EQ(all[i], static_cast<int>(i / 100 * 1000 + i % 100));
}

TEST_P(ChannelOfEachKind, AStoppedReceiverTakesNoMessage) {
  Channel<int> channel{GetParam()};
  auto body = [&]() -> Task<Result<int>> {
    EXPECT_EQ((co_await test::stop_while_waiting(receive_one(channel))).error(), Error::stopped);
    Scope scope;
    scope.spawn(send_one(channel, 7));
    const int got = CO_TRY(co_await channel.receive());
    CO_TRY(co_await scope.join());
    co_return got;
  };
  EXPECT_EQ(**loop_.run(body()), 7);
}

TEST_F(ChannelTest, ABoundedChannelHoldsItsCapacityAndNoMore) {
  Channel<int> channel{3};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(channel.try_send(i).has_value());
  int fourth = 3;
  EXPECT_EQ(channel.try_send(fourth).error(), Error::would_block);
  EXPECT_EQ(channel.size(), 3U);
  EXPECT_EQ(*channel.try_receive(), 0);
  EXPECT_TRUE(channel.try_send(fourth).has_value());
  for (int i = 1; i < 4; ++i) EXPECT_EQ(*channel.try_receive(), i);
  EXPECT_EQ(channel.try_receive().error(), Error::would_block);
}

TEST_F(ChannelTest, ARendezvousHoldsNothing) {
  Channel<int> channel{0};
  int message = 1;
  EXPECT_EQ(channel.try_send(message).error(), Error::would_block);
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    scope.spawn(send_one(channel, 5));
    (co_await test::settle()).ignore();
    EXPECT_EQ(channel.size(), 0U);
    EXPECT_EQ(scope.active(), 1U);
    EXPECT_EQ(*channel.try_receive(), 5);
    CO_TRY(co_await scope.join());
    Scope other;
    other.spawn(receive_one(channel));
    (co_await test::settle()).ignore();
    EXPECT_TRUE(channel.try_send(message).has_value());
    co_return co_await other.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
}

TEST_F(ChannelTest, ASenderThatWaitsFillsTheRoomInOrder) {
  Channel<int> channel{2};
  std::vector<int> got;
  auto body = [&]() -> Task<Result<void>> {
    Scope scope;
    scope.spawn(send_range(channel, 0, 4));
    (co_await test::settle()).ignore();
    int barging = 99;
    EXPECT_EQ(*channel.try_receive(), 0);
    // The free place belongs to the sender that waited.
    EXPECT_EQ(channel.try_send(barging).error(), Error::would_block);
    for (int i = 1; i < 4; ++i) {
      (co_await test::settle()).ignore();
      EXPECT_EQ(*channel.try_receive(), i);
    }
    co_return co_await scope.join();
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
}

TEST_F(ChannelTest, CloseFailsWaitingAndLaterSendersAndLeavesWhatIsThere) {
  Channel<int> channel{1};
  auto body = [&]() -> Task<Result<void>> {
    CO_TRY(co_await channel.send(1));
    Scope scope{OnError::keep_going};
    scope.spawn(send_one(channel, 2));
    (co_await test::settle()).ignore();
    channel.close(Error::busy);
    EXPECT_EQ((co_await scope.join()).error(), Error::busy);
    EXPECT_EQ((co_await channel.send(3)).error(), Error::busy);
    EXPECT_EQ(*co_await channel.receive(), 1);
    EXPECT_EQ((co_await channel.receive()).error(), Error::busy);
    EXPECT_EQ(channel.try_receive().error(), Error::busy);
    int four = 4;
    EXPECT_EQ(channel.try_send(four).error(), Error::busy);
    co_return Result<void>{};
  };
  EXPECT_TRUE(loop_.run(body())->has_value());
}

TEST_F(ChannelTest, SendAllTellsHowManyWentBeforeTheStop) {
  Channel<int> channel{2};
  std::size_t sent = 0;
  auto sender = [&]() -> Task<Result<void>> {
    int messages[] = {1, 2, 3, 4, 5};
    sent = CO_TRY(co_await channel.send_all(messages));
    co_return Result<void>{};
  };
  EXPECT_TRUE(loop_.run(test::stop_while_waiting(sender()))->has_value());
  EXPECT_EQ(sent, 2U);
  EXPECT_EQ(loop_.run(test::stop_while_waiting(sender()))->error(), Error::stopped);
  EXPECT_EQ(channel.size(), 2U);
}

TEST_F(ChannelTest, SendAllAndReceiveSomeGoOnUntilAllIsThrough) {
  for (std::size_t capacity : {std::size_t{0}, std::size_t{3}, unbounded}) {
    Channel<int> channel{capacity};
    std::vector<int> got;
    auto sender = [&]() -> Task<Result<void>> {
      std::vector<int> messages(100);
      std::iota(messages.begin(), messages.end(), 0);
      EXPECT_EQ(CO_TRY(co_await channel.send_all(messages)), 100U);
      EXPECT_EQ(CO_TRY(co_await channel.send_all(std::span<int>{})), 0U);
      channel.close();
      co_return Result<void>{};
    };
    auto body = [&]() -> Task<Result<void>> {
      Scope scope;
      scope.spawn(sender());
      int into[7];
      for (;;) {
        auto n = co_await channel.receive_some(into);
        if (!n) break;
        EXPECT_GE(*n, 1U);
        got.insert(got.end(), into, into + *n);
      }
      co_return co_await scope.join();
    };
    EXPECT_TRUE(loop_.run(body())->has_value());
    ASSERT_EQ(got.size(), 100U) << capacity;
    for (int i = 0; i < 100; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
  }
}

TEST_F(ChannelTest, AMessageIsMovedAndNotLostByAFailure) {
  Channel<std::unique_ptr<int>> channel{1};
  auto message = std::make_unique<int>(1);
  EXPECT_TRUE(channel.try_send(message).has_value());
  EXPECT_EQ(message, nullptr);
  message = std::make_unique<int>(2);
  EXPECT_EQ(channel.try_send(message).error(), Error::would_block);
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(**channel.try_receive(), 1);
  channel.close();
  EXPECT_EQ(channel.try_send(message).error(), Error::closed);
  EXPECT_NE(message, nullptr);
}

TEST_F(ChannelTest, MessagesThatAreLeftAreDestroyed) {
  auto counted = std::make_shared<int>(0);
  {
    Channel<std::shared_ptr<int>> channel{unbounded};
    for (int i = 0; i < 100; ++i) {
      auto copy = counted;
      EXPECT_TRUE(channel.try_send(copy).has_value());
    }
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(channel.try_receive().has_value());
    EXPECT_EQ(counted.use_count(), 71);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST_F(ChannelTest, ABufferThatCannotBeHadIsAnErrorAndLosesNothing) {
  Channel<int> channel{unbounded};
  int sent = 0;
  for (; sent < 16; ++sent) {
    int message = sent;
    EXPECT_TRUE(channel.try_send(message).has_value());
  }
  test::frames_until_failure = 0;
  int message = 99;
  EXPECT_EQ(channel.try_send(message).error(), Error::no_memory);
  EXPECT_EQ(message, 99);
  test::frames_until_failure = ~std::size_t{0};
  EXPECT_TRUE(channel.try_send(message).has_value());
  for (int i = 0; i < 16; ++i) EXPECT_EQ(*channel.try_receive(), i);
  EXPECT_EQ(*channel.try_receive(), 99);
}

TEST_F(ChannelTest, ABufferTooLargeForTheMachineIsAnError) {
  for (std::size_t capacity : {unbounded - 1, unbounded / 2, unbounded / 4 + 2}) {
    Channel<std::uint64_t> channel{capacity};
    std::uint64_t message = 1;
    EXPECT_EQ(channel.try_send(message).error(), Error::no_memory);
  }
}

TEST_F(ChannelTest, AStoppedSenderKeepsItsMessageOutOfTheChannel) {
  Channel<int> channel{1};
  int first = 1;
  EXPECT_TRUE(channel.try_send(first).has_value());
  EXPECT_EQ(loop_.run(test::stop_while_waiting(send_one(channel, 2)))->error(), Error::stopped);
  EXPECT_EQ(*channel.try_receive(), 1);
  EXPECT_EQ(channel.try_receive().error(), Error::would_block);
}

TEST_F(ChannelTest, AStopAfterTheHandOverKeepsTheMessage) {
  Channel<int> channel{4};
  std::vector<int> got;
  auto body = [&]() -> Task<Result<void>> {
    Scope scope{OnError::keep_going};
    scope.spawn(receive_into(channel, got));
    (co_await test::settle()).ignore();
    int message = 7;
    EXPECT_TRUE(channel.try_send(message).has_value());
    scope.request_stop();
    co_return co_await scope.join();
  };
  EXPECT_EQ(loop_.run(body())->error(), Error::stopped);
  EXPECT_EQ(got, std::vector{7});
}

}  // namespace
}  // namespace lichen::coro

// Tasks on several cores that hand over messages and are stopped at the same moment. Meant to run
// under ThreadSanitizer as well; each test also checks that nothing is lost and nothing is left.

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/select.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/stop.hpp"
#include "tests/torture/torture.hpp"

namespace lichen::test {
namespace {

class MessageTorture : public Torture {};
INSTANTIATE_TEST_SUITE_P(Cores, MessageTorture, testing::Values(1U, 2U, 4U));

struct Numbered {
  int sender;
  int number;
};

TEST_P(MessageTorture, ChannelsKeepEverySendersOrder) {
  static constexpr int senders = 6;
  static constexpr int receivers = 5;
  static constexpr int count = 800;
  auto body = [](std::size_t capacity) -> Task<Result<void>> {
    Channel<Numbered> channel{capacity};
    std::array<std::vector<Numbered>, receivers> got;
    auto send = [&](int sender) -> Task<Result<void>> {
      Random random{static_cast<std::uint64_t>(sender)};
      for (int i = 0; i < count;) {
        if (random.below(4) == 0) {
          std::array<Numbered, 7> batch;
          const int n = std::min(7, count - i);
          for (int k = 0; k < n; ++k) batch[static_cast<unsigned>(k)] = {sender, i + k};
          const auto part = std::span{batch}.first(static_cast<unsigned>(n));
          EXPECT_EQ(CO_TRY(co_await channel.send_all(part)), part.size());
          i += n;
        } else {
          CO_TRY(co_await channel.send({sender, i++}));
        }
        if (random.below(16) == 0) CO_TRY(co_await yield_some(random, 3));
      }
      co_return Result<void>{};
    };
    auto receive = [&](std::vector<Numbered>& into, int number) -> Task<Result<void>> {
      Random random{static_cast<std::uint64_t>(number) + 100};
      for (;;) {
        std::array<Numbered, 5> batch;
        if (random.below(2)) {
          const auto n = co_await channel.receive_some(batch);
          if (!n) break;
          into.insert(into.end(), batch.begin(), batch.begin() + static_cast<long>(*n));
        } else {
          auto one = co_await channel.receive();
          if (!one) break;
          into.push_back(*one);
        }
        if (random.below(16) == 0) CO_TRY(co_await yield_some(random, 3));
      }
      co_return Result<void>{};
    };
    Scope receiving;
    for (int i = 0; i < receivers; ++i) receiving.spawn(receive(got[static_cast<unsigned>(i)], i));
    Scope sending;
    for (int i = 0; i < senders; ++i) sending.spawn(send(i));
    CO_TRY(co_await sending.join());
    channel.close();
    CO_TRY(co_await receiving.join());

    std::array<std::vector<int>, senders> all;
    for (auto& each : got) {
      std::array<int, senders> last;
      last.fill(-1);
      for (const Numbered& message : each) {
        int& previous = last[static_cast<unsigned>(message.sender)];
        EXPECT_GT(message.number, previous);
        previous = message.number;
        all[static_cast<unsigned>(message.sender)].push_back(message.number);
      }
    }
    for (auto& numbers : all) {
      std::sort(numbers.begin(), numbers.end());
      EXPECT_EQ(numbers.size(), static_cast<std::size_t>(count));
      EXPECT_EQ(std::adjacent_find(numbers.begin(), numbers.end()), numbers.end());
    }
    co_return Result<void>{};
  };
  for (std::size_t capacity : {std::size_t{0}, std::size_t{1}, std::size_t{64}, unbounded})
    run(body(capacity));
}

// Receivers and senders that are stopped all the time: what was sent is what was received.
TEST_P(MessageTorture, StopsLoseNoMessage) {
  auto body = [](std::size_t capacity) -> Task<Result<void>> {
    Channel<int> channel{capacity};
    std::atomic<int> sent{0};
    std::atomic<int> received{0};
    auto send = [&]() -> Task<Result<void>> {
      for (;;) {
        CO_TRY(co_await channel.send(1));
        ++sent;
      }
    };
    auto receive = [&]() -> Task<Result<void>> {
      for (;;) {
        CO_TRY(co_await channel.receive());
        ++received;
      }
    };
    Random random{capacity + 1};
    for (int round = 0; round < 150; ++round) {
      Scope scope{OnError::keep_going};
      for (int i = 0; i < 3; ++i) {
        scope.spawn(send());
        scope.spawn(receive());
      }
      CO_TRY(co_await yield_some(random, 8));
      scope.request_stop();
      EXPECT_EQ((co_await scope.join()).error(), Error::stopped);
    }
    EXPECT_EQ(sent.load(), received.load() + static_cast<int>(channel.size()));
    while (channel.try_receive()) {
    }
    co_return Result<void>{};
  };
  // A sender of a channel with room would run for ever on a single core.
  if (GetParam() == 1) return;
  for (std::size_t capacity : {std::size_t{0}, std::size_t{4}}) run(body(capacity));
}

TEST_P(MessageTorture, SelectsMeetSelects) {
  static constexpr int tasks = 8;
  static constexpr int rounds = 300;
  auto body = []() -> Task<Result<void>> {
    std::array<Channel<int>, 3> channels{Channel<int>{0}, Channel<int>{0}, Channel<int>{0}};
    std::atomic<long> sent{0};
    std::atomic<long> received{0};
    std::atomic<int> balance{0};
    auto mix = [&](int number) -> Task<Result<void>> {
      Random random{static_cast<std::uint64_t>(number)};
      for (int i = 1; i <= rounds; ++i) {
        auto& a = channels[random.below(3)];
        auto& b = channels[random.below(3)];
        const int message = number * rounds + i;
        auto first = co_await select(a.send(message), b.receive());
        if (!first) break;  // stopped: those who are left over have no partner
        if (first->index() == 0) {
          sent += message;
          ++balance;
        } else {
          const int got = CO_TRY(std::get<1>(std::move(*first)));
          EXPECT_NE((got - 1) / rounds, number) << "from itself";
          received += got;
          --balance;
        }
      }
      co_return Result<void>{};
    };
    Scope scope;
    std::atomic<int> ended{0};
    auto counted = [&](int number) -> Task<Result<void>> {
      CO_TRY(co_await mix(number));
      ++ended;
      co_return Result<void>{};
    };
    for (int i = 0; i < tasks; ++i) scope.spawn(counted(i));
    // All but one end by themselves, or two of them wait on channels that do not match.
    for (int quiet = 0, before = 0; quiet < 20 && scope.active() > 0;) {
      (co_await sleep_for(1ms)).ignore();
      const int now = static_cast<int>(sent.load() + received.load());
      quiet = now == before ? quiet + 1 : 0;
      before = now;
    }
    scope.request_stop();
    (co_await scope.join()).ignore();
    EXPECT_EQ(balance.load(), 0);
    EXPECT_EQ(sent.load(), received.load());
    EXPECT_GT(sent.load(), 0);
    co_return Result<void>{};
  };
  run(body());
}

TEST_P(MessageTorture, EveryArmOfASelectRaces) {
  auto body = []() -> Task<Result<void>> {
    Random random{3};
    for (int round = 0; round < 500; ++round) {
      Channel<int> channel{1};
      Event event;
      Semaphore semaphore{0};
      StopSource source;
      std::atomic<int> taken{-1};
      auto choose = [&]() -> Task<Result<void>> {
        auto first = co_await select(channel.receive(), event.wait(), semaphore.acquire(),
                                     source.requested(), sleep_for(20us));
        taken = first ? static_cast<int>(first->index()) : 5;
        co_return Result<void>{};
      };
      auto send = [&]() -> Task<> {
        int message = 1;
        channel.try_send(message).ignore();
        co_return;
      };
      auto set = [&]() -> Task<> {
        event.set();
        co_return;
      };
      auto release = [&]() -> Task<> {
        semaphore.release();
        co_return;
      };
      auto request = [&]() -> Task<> {
        source.request_stop();
        co_return;
      };
      Scope choosing;
      choosing.spawn(choose());
      CO_TRY(co_await yield_some(random, 2));
      Scope acting;
      acting.spawn(send());
      acting.spawn(set());
      acting.spawn(release());
      acting.spawn(request());
      if (random.below(2)) choosing.request_stop();
      CO_TRY(co_await acting.join());
      CO_TRY(co_await choosing.join());
      EXPECT_GE(taken.load(), 0);
      EXPECT_EQ(channel.size(), taken == 0 ? 0U : 1U);
      EXPECT_EQ(semaphore.available(), taken == 2 ? 0U : 1U);
    }
    co_return Result<void>{};
  };
  run(body());
}

}  // namespace
}  // namespace lichen::test

// Messages: order, sums, and nothing lost, whoever stops, closes or looks elsewhere meanwhile.
#include <array>
#include <atomic>
#include <optional>
#include <vector>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/select.hpp"
#include "lichen/coro/sleep.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

struct Message {
  unsigned sender;
  unsigned number;
};

struct Traffic {
  Channel<Message> channel;
  std::vector<unsigned> received;  // of each sender; by one receiver at a time, see `order`
  std::atomic<std::uint64_t> taken{0};
};

Task<Result<void>> send(Traffic& traffic, unsigned self, unsigned count, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < count;) {
    if (random.below(3) == 0) {
      std::array<Message, 4> batch;
      const auto n = std::min<unsigned>(4, count - i);
      for (unsigned k = 0; k < n; ++k) batch[k] = {self, i + k};
      check(CO_TRY(co_await traffic.channel.send_all(std::span{batch}.first(n))) == n,
            "an open channel takes all messages");
      i += n;
    } else {
      CO_TRY(co_await traffic.channel.send({self, i++}));
    }
    if (random.below(8) == 0) co_await yield();
    if (random.below(8) == 0) hal::sim::compute(random.below(3'000));
  }
  co_return Result<void>{};
}

// Each receiver sees each sender's messages in order.
Task<Result<void>> receive(Traffic& traffic, unsigned senders, std::uint64_t seed) {
  Random random{seed};
  std::vector<int> last(senders, -1);
  const auto take = [&](const Message& message) {
    check(static_cast<int>(message.number) > last[message.sender], "a sender's messages in order");
    last[message.sender] = static_cast<int>(message.number);
    traffic.taken.fetch_add(1 + (std::uint64_t{message.number} << 32));
  };
  for (;;) {
    if (random.below(2) == 0) {
      std::array<Message, 3> batch;
      const auto n = co_await traffic.channel.receive_some(batch);
      if (!n) break;
      for (std::size_t i = 0; i < *n; ++i) take(batch[i]);
    } else {
      const auto one = co_await traffic.channel.receive();
      if (!one) break;
      take(*one);
    }
    if (random.below(8) == 0) hal::sim::compute(random.below(3'000));
  }
  co_return Result<void>{};
}

struct Mail {
  explicit Mail(Random& random) noexcept : first{random.below(3)}, second{random.below(3)} {}

  Channel<unsigned> first;
  Channel<unsigned> second;
  Event end;
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> got{0};
};

Task<Result<void>> post_mail(Mail& mail, std::uint64_t seed) {
  Random random{seed};
  for (unsigned i = 0; i < 25; ++i) {
    auto& channel = random.below(2) ? mail.first : mail.second;
    auto outcome = CO_TRY(co_await select(
        channel.send(1), sleep_for(std::chrono::nanoseconds{random.below(20'000)})));
    if (outcome.index() == 0 && std::get<0>(outcome)) mail.sent.fetch_add(1);
  }
  co_return Result<void>{};
}

Task<Result<void>> collect_mail(Mail& mail, std::uint64_t seed) {
  Random random{seed};
  for (;;) {
    auto outcome =
        CO_TRY(co_await select(mail.first.receive(), mail.second.receive(), mail.end.wait(),
                               sleep_for(std::chrono::nanoseconds{1'000 + random.below(30'000)})));
    if (outcome.index() == 0) mail.got.fetch_add(CO_TRY(std::get<0>(outcome)));
    if (outcome.index() == 1) mail.got.fetch_add(CO_TRY(std::get<1>(outcome)));
    if (outcome.index() == 2) break;
    if (random.below(4) == 0) hal::sim::compute(random.below(5'000));
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> channels(World& world) {
  static constexpr std::array<std::size_t, 5> capacities{0, 1, 3, 64, unbounded};
  Traffic traffic{Channel<Message>{capacities[world.random.below(capacities.size())]}, {}};
  const auto senders = static_cast<unsigned>(1 + world.random.below(5));
  const auto receivers = static_cast<unsigned>(1 + world.random.below(4));
  const auto count = static_cast<unsigned>(20 + world.random.below(60));
  Scope receiving;
  for (unsigned i = 0; i < receivers; ++i)
    receiving.spawn(receive(traffic, senders, world.random()));
  Scope sending;
  for (unsigned i = 0; i < senders; ++i) sending.spawn(send(traffic, i, count, world.random()));
  CO_TRY(co_await sending.join());
  traffic.channel.close();
  CO_TRY(co_await receiving.join());
  const std::uint64_t sum = std::uint64_t{count} * (count - 1) / 2 * senders;
  check(traffic.taken == (sum << 32) + std::uint64_t{count} * senders,
        "every message arrived once");
  co_return Result<void>{};
}

Task<Result<void>> selects(World& world) {
  Mail mail{world.random};
  Scope collecting;
  for (unsigned i = 0; i < 3; ++i) collecting.spawn(collect_mail(mail, world.random()));
  Scope posting;
  for (unsigned i = 0; i < 4; ++i) posting.spawn(post_mail(mail, world.random()));
  CO_TRY(co_await posting.join());
  mail.end.set();
  CO_TRY(co_await collecting.join());
  check(mail.sent == mail.got + mail.first.size() + mail.second.size(),
        "what a select sent was received, or still lies there");
  co_return Result<void>{};
}

}  // namespace lichen::tests

// A network card with several pairs of queues, its control queue and its link (virtio 1.2, 5.1), in
// virtual time.
#include "lichen/driver/virtio/net.hpp"
#include "lichen/driver/virtio/test_card.hpp"

namespace lichen::driver::virtio::test {
namespace {

using namespace std::chrono_literals;

constexpr Features link = Features{1} << 16;
constexpr Features commands = Features{1} << 17;
constexpr Features announce = Features{1} << 21;
constexpr Features mq = Features{1} << 22;
constexpr Features several = usual | link | commands | mq;

using Command = NetModel::Command;

class NetPairsTest : public NetTest {};

// All on one core here: what cores do to each other is tried where there are some (tests/boot).
NetOptions with_pairs(std::size_t count) {
  static std::array<coro::Core*, 4> cores;
  cores.fill(coro::this_core());
  return {.cores = std::span{cores}.first(count), .receive_buffers = 128};
}

Task<Result<void>> receive_by(NetPair& pair, std::vector<io::ReceivedFrame>& into) {
  for (;;) {
    std::array<io::ReceivedFrame, 4> frames;
    const std::size_t count = CO_TRY(co_await pair.receive(frames));
    for (io::ReceivedFrame& frame : std::span{frames}.first(count))
      into.push_back(std::move(frame));
  }
}

Task<Result<void>> send_by(NetPair& pair, Content bytes) {
  const std::array<std::span<const std::byte>, 1> pieces{bytes};
  const std::array<io::OutgoingFrame, 1> frames{io::OutgoingFrame{pieces, {}}};
  EXPECT_EQ(CO_TRY(co_await pair.send(frames)), 1U);
  co_return Result<void>{};
}

// Receives by each pair as long as it lives.
struct Receivers {
  explicit Receivers(World& in) : world{in} {
    for (unsigned i = 0; i < world.card->pairs(); ++i)
      scope.spawn(receive_by(world.card->pair(i), got[i]));
  }
  Task<Result<void>> stop() {
    scope.request_stop();
    (co_await scope.join()).ignore();
    got = {};
    co_return Result<void>{};
  }
  World& world;
  std::array<std::vector<io::ReceivedFrame>, 4> got;
  Scope scope{OnError::keep_going};
};

// 5.1.6.5.6.1: each pair carries its own frames both ways.
Task<Result<void>> carries(World& world) {
  Receivers receivers{world};
  CO_TRY(co_await settle());
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_TRUE(world.device.receive({{}, frame_of(i, 100 + i)}, i));
    world.device.flush(i);
    world.interrupts();
    CO_TRY(co_await settle());
    EXPECT_EQ(receivers.got[i].size(), 1U);
    EXPECT_TRUE(same(receivers.got[i][0], frame_of(i, 100 + i)));
    CO_TRY(co_await send_by(world.card->pair(i), frame_of(i, 200)));
    EXPECT_EQ(world.device.transmit(9, i), 1U);
    EXPECT_EQ(world.device.sent.back().pair, i);
    EXPECT_EQ(world.device.sent.back().bytes, frame_of(i, 200));
    EXPECT_EQ(world.card->pair(i).counters().send.frames, 1U);
  }
  co_return co_await receivers.stop();
}
TEST_P(NetPairsTest, CarryTheirOwnFrames) {
  World world{several | GetParam(), 64, 3};
  ASSERT_TRUE(world.open(with_pairs(4)));  // more than it has
  EXPECT_EQ(world.card->pairs(), 3U);
  EXPECT_EQ(world.device.commands, (std::vector<Command>{{4, 0, {3, 0}}}));
  EXPECT_EQ(world.device.enabled_pairs, 3U);
  EXPECT_TRUE(world.loop.run(carries(world)).value());
  EXPECT_TRUE(world.loop.run(world.card->close()).value());
}

TEST_P(NetPairsTest, OnePairNeedsNoCommand) {
  World world{several | GetParam(), 64, 3};
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.card->pairs(), 1U);
  EXPECT_TRUE(world.device.commands.empty());
  EXPECT_EQ(world.device.accepted & mq, 0U);
}

// A device that offers what it does not do is used without.
TEST_P(NetPairsTest, DoesWithoutACommandThatIsRefused) {
  {
    World world{several | GetParam(), 64, 3};
    world.device.answer = 1;
    ASSERT_TRUE(world.open(with_pairs(2)));
    EXPECT_EQ(world.card->pairs(), 1U);
    EXPECT_EQ(world.device.accepted & (mq | commands), 0U);
  }
  {
    World world{several | GetParam(), 64, 3};
    world.device.answer = 77;  // neither yes nor no
    ASSERT_TRUE(world.open(with_pairs(2)));
    EXPECT_EQ(world.card->pairs(), 1U);
  }
  {
    World world{several | GetParam(), 64, 3};
    world.device.answers = false;
    const std::uint64_t began = coro::test::virtual_now_ns;
    ASSERT_TRUE(world.open(with_pairs(2)));
    EXPECT_EQ(world.card->pairs(), 1U);
    EXPECT_GE(coro::test::virtual_now_ns - began, 1'000'000'000U);
  }
  for (const unsigned pairs : {0U, 2U, 0xFFFFU}) {  // 5.1.4.1; and without a control queue there
    World world{several | GetParam(), 64, 3};
    world.device.config[8] = static_cast<std::byte>(pairs);
    world.device.config[9] = static_cast<std::byte>(pairs >> 8);
    ASSERT_TRUE(world.open(with_pairs(2)));
    EXPECT_EQ(world.card->pairs(), 1U);
  }
  for (std::size_t left = 0; left < 10; ++left) {
    World world{several | GetParam(), 64, 2};
    world.memory.allocations_left = left;
    EXPECT_TRUE(world.open(with_pairs(2)).failed_with(Error::no_memory)) << left;
  }
}

// ---- 5.1.6.5.6.4: receive-side scaling

constexpr Features steering = Features{1} << 60;
constexpr std::uint32_t every_hash = 0x1FF;

// 5.1.4.
void can_steer(World& world, unsigned key_size, unsigned entries, std::uint32_t hash_types) {
  world.device.config[17] = static_cast<std::byte>(key_size);
  for (std::size_t i = 0; i < 2; ++i)
    world.device.config[18 + i] = static_cast<std::byte>(entries >> 8 * i);
  for (std::size_t i = 0; i < 4; ++i)
    world.device.config[20 + i] = static_cast<std::byte>(hash_types >> 8 * i);
}

NetOptions that_steer(std::size_t pairs) {
  NetOptions options = with_pairs(pairs);
  for (std::size_t i = 0; i < options.steering_key.size(); ++i)
    options.steering_key[i] = static_cast<std::uint8_t>(200 + i);
  return options;
}

// TCP and UDP over both, to three pairs in turn; the rest to the first.
Command steer_to_three() {
  Command command{4, 1, {0x36, 0, 0, 0, 127, 0, 0, 0}};
  for (unsigned i = 0; i < 128; ++i) {
    command.data.push_back(i % 3);
    command.data.push_back(0);
  }
  command.data.insert(command.data.end(), {3, 0, 40});
  for (unsigned i = 0; i < 40; ++i) command.data.push_back(200 + i);
  return command;
}

Task<Result<void>> steers_again(World& world) {
  world.device.commands.clear();
  Receivers receivers{world};
  world.device.break_down();
  world.interrupts();
  CO_TRY(co_await sleep_for(1s));
  EXPECT_EQ(world.device.commands, std::vector{steer_to_three()});
  co_return co_await receivers.stop();
}
TEST_P(NetPairsTest, AreSteeredTo) {
  World world{several | steering | GetParam(), 64, 3};
  can_steer(world, 40, 128, every_hash);
  ASSERT_TRUE(world.open(that_steer(4)));
  EXPECT_EQ(world.device.commands, std::vector{steer_to_three()});
  const io::Steering* chosen = world.card->pair(1).steering();
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->queues, 3U);
  EXPECT_EQ(chosen->key[39], 239U);
  EXPECT_TRUE(world.loop.run(steers_again(world)).value());
  EXPECT_EQ(world.card->steering(), chosen);
}

// What a device cannot do, or does not do, is not asked of it; several pairs it has all the same.
TEST_P(NetPairsTest, AreNotSteeredToByADeviceThatCannot) {
  const auto expect_without = [](World& world, NetOptions options, const char* why) {
    ASSERT_TRUE(world.open(options)) << why;
    EXPECT_EQ(world.card->steering(), nullptr) << why;
    EXPECT_EQ(world.card->pairs(), 3U) << why;
    EXPECT_EQ(world.device.commands.back(), (Command{4, 0, {3, 0}})) << why;
  };
  {
    World world{several | steering | GetParam(), 64, 3};
    can_steer(world, 40, 128, every_hash);
    expect_without(world, with_pairs(3), "no key");
  }
  struct Limits {
    unsigned key_size;
    unsigned entries;
    std::uint32_t hash_types;
  };
  for (const Limits& limits : {Limits{39, 128, every_hash}, Limits{40, 127, every_hash},
                               Limits{40, 128, 0x2}, Limits{0, 0, 0}}) {
    World world{several | steering | GetParam(), 64, 3};
    can_steer(world, limits.key_size, limits.entries, limits.hash_types);
    expect_without(world, that_steer(3), "limits");
  }
  World world{several | steering | GetParam(), 64, 3};
  can_steer(world, 40, 128, every_hash);
  world.device.refuses_steering = true;
  expect_without(world, that_steer(3), "refused");
  EXPECT_EQ(world.device.accepted & steering, 0U);
}
TEST_P(NetPairsTest, OnePairIsNotSteeredTo) {
  World world{several | steering | GetParam(), 64, 1};
  can_steer(world, 40, 128, every_hash);
  ASSERT_TRUE(world.open(that_steer(1)));
  EXPECT_EQ(world.device.accepted & steering, 0U);
  ASSERT_TRUE(world.open(that_steer(2)));
  EXPECT_EQ(world.card->steering(), nullptr);
  EXPECT_TRUE(world.device.commands.empty());
}

// What one pair finds out concerns all.
Task<Result<void>> one_lies(World& world) {
  Receivers receivers{world};
  CO_TRY(co_await settle());
  const Content large = frame_of(2, 20'000);
  Scope sender{OnError::keep_going};
  sender.spawn(send_by(world.card->pair(0), large));  // waits for the device
  CO_TRY(co_await settle());
  EXPECT_EQ(sender.active(), 1U);
  for (std::uint64_t faults = 1; faults <= 3; ++faults) {
    world.device.queues[3].ring->forge(1, 0);  // sent what nobody gave it
    CO_TRY(co_await send_by(world.card->pair(1), frame_of(1, 100)));
    EXPECT_FALSE(world.device.works());
    CO_TRY(co_await settle());
    EXPECT_EQ(sender.active(), 0U);
    CO_TRY(co_await sleep_for(3s));
    EXPECT_TRUE(world.device.works());
    EXPECT_EQ(world.card->counters().faults, faults);
    EXPECT_EQ(world.card->counters().starts, faults + 1);
    EXPECT_EQ(world.device.enabled_pairs, 2U);
    for (unsigned i = 0; i < 2; ++i) {
      receivers.got[i].clear();
      EXPECT_TRUE(world.device.receive({{}, frame_of(i, 100 + i)}, i));
      world.device.flush(i);
      world.interrupts();
      CO_TRY(co_await settle());
      EXPECT_EQ(receivers.got[i].size(), 1U);
      CO_TRY(co_await send_by(world.card->pair(i), frame_of(i, 200)));
      EXPECT_EQ(world.device.transmit(9, i), 1U);
    }
  }
  CO_TRY(co_await sender.join());
  // It comes up again, but does not take the command: it is asked again and again, ever more
  // seldom.
  world.device.answer = 1;
  world.device.break_down();
  world.interrupts();
  CO_TRY(co_await sleep_for(10s));
  EXPECT_LT(world.card->counters().starts, 30U);
  world.device.answer = 0;
  CO_TRY(co_await sleep_for(3s));
  EXPECT_TRUE(world.device.works());
  EXPECT_EQ(world.device.enabled_pairs, 2U);
  co_return co_await receivers.stop();
}
TEST_P(NetPairsTest, StopAndStartTogether) {
  World world{several | GetParam(), 64, 2};
  ASSERT_TRUE(world.open(with_pairs(2)));
  EXPECT_TRUE(world.loop.run(one_lies(world)).value());
}

// A device that takes frames and sends none, without a word.
Task<Result<void>> falls_silent(World& world) {
  Receivers receivers{world};
  const Content large = frame_of(2, 20'000);
  Scope sender{OnError::keep_going};
  sender.spawn(send_by(world.card->pair(1), large));
  CO_TRY(co_await send_by(world.card->pair(0), frame_of(1, 100)));
  EXPECT_EQ(world.device.transmit(9, 0), 1U);
  CO_TRY(co_await sleep_for(2s));
  EXPECT_EQ(world.card->counters().faults, 0U);  // late
  CO_TRY(co_await sleep_for(4s));
  EXPECT_EQ(world.card->counters().faults, 1U);
  EXPECT_EQ(world.card->pair(1).counters().stalls, 1U);
  EXPECT_EQ(world.card->pair(0).counters().stalls, 0U);
  CO_TRY(co_await sender.join());
  EXPECT_TRUE(world.device.works());
  // Small frames, for which nobody waits; and one that is slow, but not silent.
  for (int i = 0; i < 20; ++i) {
    CO_TRY(co_await send_by(world.card->pair(0), frame_of(1, 100)));
    CO_TRY(co_await send_by(world.card->pair(0), frame_of(1, 100)));
    CO_TRY(co_await sleep_for(1s));
    EXPECT_EQ(world.device.transmit(2, 0), 2U);
  }
  EXPECT_EQ(world.card->counters().faults, 1U);
  CO_TRY(co_await send_by(world.card->pair(0), frame_of(1, 100)));
  CO_TRY(co_await sleep_for(6s));
  EXPECT_EQ(world.card->pair(0).counters().stalls, 1U);
  EXPECT_EQ(world.card->counters().faults, 2U);
  EXPECT_TRUE(world.device.works());
  CO_TRY(co_await sleep_for(60s));
  EXPECT_EQ(world.card->counters().faults, 2U);
  co_return co_await receivers.stop();
}
TEST_P(NetPairsTest, NoticeADeviceThatSendsNothingAnyMore) {
  World world{several | GetParam(), 64, 2};
  ASSERT_TRUE(world.open(with_pairs(2)));
  EXPECT_TRUE(world.loop.run(falls_silent(world)).value());
}

// 5.1.4.2: what is sent while there is no link is lost at once, not kept for later.
Task<Result<void>> unplugged(World& world) {
  Receivers receivers{world};
  NetCard& card = *world.card;
  world.device.set_link(false);
  world.interrupts();
  io::LinkState state = CO_TRY(co_await card.link_changed({}));
  EXPECT_FALSE(state.up);
  EXPECT_FALSE(card.link_is_up());
  CO_TRY(co_await send_by(card.pair(1), frame_of(1, 20'000)));
  EXPECT_EQ(card.pair(1).counters().send.lost, 1U);
  EXPECT_EQ(world.device.transmit(9, 1), 0U);
  const auto nothing = co_await with_timeout(1s, card.link_changed(state));
  EXPECT_TRUE(nothing.failed_with(Error::timed_out));
  world.device.set_link(true);
  world.interrupts();
  state = CO_TRY(co_await card.pair(0).link_changed(state));
  EXPECT_TRUE(state.up);
  EXPECT_EQ(state.announcements, 0U);
  CO_TRY(co_await send_by(card.pair(1), frame_of(1, 100)));
  EXPECT_EQ(world.device.transmit(9, 1), 1U);
  EXPECT_TRUE((co_await card.pair(1).link_changed({})).failed_with(Error::not_supported));
  // 5.1.6.5.4: it wants to be told that we have heard it.
  world.device.commands.clear();
  world.device.want_announcement();
  world.interrupts();
  state = CO_TRY(co_await card.link_changed(state));
  EXPECT_EQ(state.announcements, 1U);
  EXPECT_EQ(world.device.commands, (std::vector<Command>{{3, 0, {}}}));
  // Down in the middle of a reset.
  world.device.break_down();
  world.device.config[6] = std::byte{0};
  world.interrupts();
  state = CO_TRY(co_await card.link_changed(state));
  EXPECT_FALSE(state.up);
  EXPECT_EQ(card.counters().link_changes, 3U);
  co_return co_await receivers.stop();
}
TEST_P(NetPairsTest, KnowTheLink) {
  World world{several | announce | GetParam(), 64, 2};
  ASSERT_TRUE(world.open(with_pairs(2)));
  EXPECT_TRUE(world.loop.run(unplugged(world)).value());
}

// 5.1.6.5.1, 5.1.6.5.2, 5.1.6.5.7; once more after a reset.
Task<Result<void>> is_told(World& world) {
  Receivers receivers{world};
  NetCard& card = *world.card;
  constexpr std::array address{std::byte{2}, std::byte{3}, std::byte{4},
                               std::byte{5}, std::byte{6}, std::byte{7}};
  const Command received{6, 1, {16, 0, 0, 0, 50, 0, 0, 0}};
  const Command sent{6, 0, {0, 1, 0, 0, 0, 0, 0, 0}};
  EXPECT_EQ(world.device.commands, (std::vector<Command>{received, sent}));
  CO_TRY(co_await card.set_address(address));
  EXPECT_EQ(card.address(), address);
  CO_TRY(co_await card.set_promiscuous(false));
  const Command named{1, 1, {2, 3, 4, 5, 6, 7}};
  const Command strict{0, 0, {0}};
  EXPECT_EQ(world.device.commands, (std::vector<Command>{received, sent, named, strict}));
  world.device.commands.clear();
  world.device.break_down();
  world.interrupts();
  CO_TRY(co_await sleep_for(1s));
  EXPECT_EQ(world.device.commands, (std::vector<Command>{named, strict, received, sent}));
  world.device.answer = 1;
  EXPECT_TRUE((co_await card.set_promiscuous(true)).failed_with(Error::not_supported));
  // One that is given up is waited for by the next.
  world.device.answer = 0;
  world.device.answers = false;
  EXPECT_TRUE((co_await card.set_promiscuous(true)).failed_with(Error::timed_out));
  EXPECT_TRUE((co_await card.set_promiscuous(true)).failed_with(Error::timed_out));
  world.device.answers = true;
  world.device.notified(2);
  CO_TRY(co_await card.set_promiscuous(true));
  EXPECT_TRUE(world.device.works());
  co_return co_await receivers.stop();
}
TEST_P(NetPairsTest, TellTheDevice) {
  constexpr Features wanted = Features{1} << 18 | Features{1} << 23 | Features{1} << 53;
  World world{usual | commands | wanted | GetParam()};
  ASSERT_TRUE(
      world.open({.received = {.frames = 16, .microseconds = 50}, .sent = {.frames = 256}}));
  EXPECT_TRUE(world.loop.run(is_told(world)).value());
}

struct TestRouter final : InterruptRouter {
  explicit TestRouter(unsigned count) : count{count} {}
  Vector vectors() const noexcept override { return static_cast<Vector>(count); }
  Result<void> route(Vector vector, const coro::Core&) noexcept override {
    if (vector == refused) return Error::limit_reached;
    routed.push_back(vector);
    return {};
  }
  unsigned count;
  Vector refused = no_vector;
  std::vector<Vector> routed;
};

// Each pair by a vector of its own, or two, as many as there are.
Task<Result<void>> by_vector(World& world, NetCard& card, unsigned vectors) {
  std::vector<io::ReceivedFrame> got;
  Scope scope{OnError::keep_going};
  scope.spawn(receive_by(card.pair(1), got));
  CO_TRY(co_await settle());
  EXPECT_TRUE(world.device.receive({{}, frame_of(1, 100)}, 1));
  world.device.raised.clear();
  world.device.flush(1);
  EXPECT_EQ(world.device.raised.size(), 1U);
  const Vector expected = vectors == 5 ? 3 : vectors == 3 ? 2 : 0;
  EXPECT_EQ(world.device.raised[0], expected);
  EXPECT_EQ(card.plan().receive(1), expected);
  card.interrupted(world.device.raised[0]);
  EXPECT_TRUE(card.pair(1).has_news());
  EXPECT_EQ(card.pair(0).has_news(), vectors == 1);
  card.interrupted(77);  // nobody's
  EXPECT_TRUE(card.deliver());
  CO_TRY(co_await settle());
  EXPECT_EQ(got.size(), 1U);
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}
TEST_P(NetPairsTest, HaveVectorsOfTheirOwn) {
  for (const unsigned vectors : {1U, 3U, 5U}) {
    TestRouter router{vectors};
    World world{several | GetParam(), 64, 2};
    PciModel function{world.device, 8};
    PciTransport transport = *PciTransport::create(function);
    NetOptions options = with_pairs(2);
    options.router = &router;
    auto card = world.loop.run(NetCard::open(transport, world.memory, options)).value();
    ASSERT_TRUE(card);
    EXPECT_EQ(router.routed, vectors == 5   ? (std::vector<Vector>{1, 2, 3, 4})
                             : vectors == 3 ? (std::vector<Vector>{1, 1, 2, 2})
                                            : std::vector<Vector>{});
    EXPECT_TRUE(world.loop.run(by_vector(world, **card, vectors)).value());
    EXPECT_EQ(world.device.queues[4].vector, no_vector);  // the answers of commands are looked for
    router.refused = 2;
    card->reset();
    auto again = world.loop.run(NetCard::open(transport, world.memory, options)).value();
    ASSERT_TRUE(again);
    EXPECT_EQ((*again)->plan().per_pair(), 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Rings, NetPairsTest, testing::Values(Features{0}, feature::packed_ring),
                         [](const auto& info) { return info.param == 0 ? "split" : "packed"; });

}  // namespace
}  // namespace lichen::driver::virtio::test

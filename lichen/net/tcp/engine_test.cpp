#include "lichen/net/tcp/engine.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/net/tcp/test_world.hpp"

namespace lichen::net::tcp {
namespace {

namespace flag = wire::tcp_flag;

struct Packet {
  Path path;  // as its receiver sees it
  wire::TcpHeader header;
  std::vector<std::byte> payload;
};

EngineConfig small() {
  EngineConfig config;
  config.connections = 1'000;
  config.connection.receive_buffer = 65'535;
  config.connection.time_wait = 10 * second;
  return config;
}

class Host final : public Output, public Observer {
 public:
  explicit Host(const EngineConfig& config = small())
      : engine{std::make_unique<Engine>(config, memory, *this, *this,
                                        base::HashKey{0x0123456789abcdef, 0xfedcba9876543210})} {}

  bool transmit(const Outgoing& segment) noexcept override {
    ++tries;
    if (room == 0) return false;
    --room;
    Packet packet{{segment.path.remote, segment.path.local}, segment.header, {}};
    for (const auto piece : segment.payload)
      packet.payload.insert(packet.payload.end(), piece.begin(), piece.end());
    sent.push_back(std::move(packet));
    return true;
  }
  [[nodiscard]] bool has_room() noexcept override { return room > 0; }
  [[nodiscard]] std::uint32_t mtu(const Path& /*path*/) const noexcept override { return link_mtu; }
  void changed(Connection& /*connection*/, std::uint8_t changes) noexcept override {
    all_changes |= changes;
  }
  void acceptable(Listener& /*listener*/) noexcept override { ++acceptables; }

  void input(std::uint64_t now, const Packet& packet) {
    io::Buffer payload;
    if (!packet.payload.empty()) payload = buffers.make(packet.payload);
    wire::TcpSegment segment;
    static_cast<wire::TcpHeader&>(segment) = packet.header;
    segment.payload = payload.bytes();
    engine->input(now, packet.path, segment, std::move(payload));
    EXPECT_EQ(engine->broken(), nullptr);
  }

  TestMemory memory;
  TestBuffers buffers;
  std::deque<Packet> sent;
  std::uint8_t all_changes = 0;
  int acceptables = 0;
  std::uint32_t link_mtu = 0;
  std::size_t room = SIZE_MAX;  // for how many more segments
  std::size_t tries = 0;
  std::unique_ptr<Engine> engine;
};

class EngineTest : public testing::Test {
 public:
  ~EngineTest() override {
    client.engine.reset();
    server.engine.reset();
    EXPECT_EQ(client.buffers.lent + server.buffers.lent, 0u);
    EXPECT_EQ(client.memory.used + server.memory.used, 0u);
  }

 protected:
  EngineTest() {
    listener.local = {wire::IpAddress{wire::Ipv4Address{}}, 80};
    listener.local.address = {};
    listener.backlog = 4;
    EXPECT_TRUE(server.engine->listen(listener));
  }

  // Until nobody has anything to say.
  void pump() {
    for (int rounds = 0; rounds < 1'000; ++rounds) {
      client.engine->flush(now);
      server.engine->flush(now);
      if (client.sent.empty() && server.sent.empty()) return;
      for (auto [from, to] : {std::pair{&client, &server}, std::pair{&server, &client}}) {
        while (!from->sent.empty()) {
          const Packet packet = std::move(from->sent.front());
          from->sent.pop_front();
          to->input(now, packet);
        }
      }
    }
    ADD_FAILURE() << "they talk for ever";
  }
  void pass(std::uint64_t ns) {
    const std::uint64_t until = now + ns;
    for (;;) {
      pump();
      const std::uint64_t next = std::min(client.engine->deadline(), server.engine->deadline());
      if (next > until) break;
      now = std::max(now, next);
      client.engine->advance(now);
      server.engine->advance(now);
    }
    now = until;
  }
  Connection* connect(std::uint16_t port = 0) {
    const auto connection = client.engine->connect(now, Path{{here, port}, {there, 80}}, this);
    return connection ? *connection : nullptr;
  }
  static Packet syn(std::uint32_t from, std::uint32_t sequence) {
    Packet packet;
    packet.path = {{there, 80}, {wire::Ipv4Address::of(from), 1'000}};
    packet.header.flags = flag::syn;
    packet.header.sequence = sequence;
    packet.header.window = 1'000;
    packet.header.options.mss = 1'400;
    return packet;
  }

  static constexpr wire::IpAddress here = wire::Ipv4Address::of(0xc0000201);
  static constexpr wire::IpAddress there = wire::Ipv4Address::of(0xc0000202);
  std::uint64_t now = second;
  Host client;
  Host server;
  Listener listener;
};

// RFC 9293 section 3.7.1: what is offered and sent follows from it, also by cookies.
TEST_F(EngineTest, ThePathMayTakeLess) {
  client.link_mtu = server.link_mtu = 1'300;
  listener.backlog = 1;
  Connection* connection = connect();
  client.engine->flush(now);
  EXPECT_EQ(client.sent.front().header.options.mss, 1'260u);
  pump();
  EXPECT_EQ(connection->info(now).path_mtu, 1'300u);
  server.engine->take(listener, this);
  for (const std::uint32_t from : {1u, 2u}) {
    server.input(now, syn(from, 1));
    EXPECT_EQ(server.sent.back().header.options.mss, 1'260u);
  }
  EXPECT_EQ(server.engine->statistics().cookies_sent, 1u);
  connection->abort(now);
  client.engine->release(now, *connection);
  pump();
}

// They cost a batch nothing, and go in the order in which they came.
TEST_F(EngineTest, WhoWaitsForRoomDoesNotTryEachTime) {
  constexpr std::uint16_t count = 100;
  listener.backlog = count;
  std::vector<Connection*> connections;
  for (std::uint16_t port = 1; port <= count; ++port) connections.push_back(connect(port));
  pump();
  client.room = client.tries = 0;
  for (Connection* connection : connections) {
    ASSERT_TRUE(connection->write(now, std::vector<std::byte>(10)));
    client.engine->touched(now, *connection);
  }
  EXPECT_EQ(client.tries, count);
  for (int batch = 0; batch < 10; ++batch) client.engine->flush(now);
  EXPECT_EQ(client.tries, count);
  for (std::uint16_t sent = 0; sent < count; sent += 5) {
    client.room = 5;
    client.engine->flush(now);
    ASSERT_EQ(client.sent.size(), sent + 5u);
  }
  EXPECT_EQ(client.tries, 2u * count);
  for (std::uint16_t i = 0; i < count; ++i) EXPECT_EQ(client.sent[i].header.from_port, i + 1);
}

TEST_F(EngineTest, ListenersOfAFamily) {
  Listener ipv4, ipv6, both;
  ipv4.families = Families::ipv4;
  ipv6.families = Families::ipv6;
  for (Listener* each : {&ipv4, &ipv6, &both}) {
    each->local = {{}, 81};
    each->backlog = 4;
  }
  EXPECT_TRUE(server.engine->listen(ipv4));
  EXPECT_TRUE(server.engine->listen(ipv6));
  EXPECT_EQ(server.engine->listen(both).error(), Error::address_in_use);
  Packet packet = syn(1, 1);
  packet.path.local.port = 81;
  server.input(now, packet);
  EXPECT_EQ(ipv4.opening, 1u);
  const auto ip6 = *wire::IpAddress::parse("2001:db8::1");
  packet.path = {{ip6, 81}, {ip6, 1'000}};
  server.input(now, packet);
  EXPECT_EQ(ipv6.opening, 1u);
  server.engine->close(now, ipv4);
  server.engine->close(now, ipv6);
}

TEST_F(EngineTest, ListenersHaveSettings) {
  Config config = small().connection;
  config.largest_mss = 700;
  listener.config = &config;
  EXPECT_FALSE(server.engine->has_connections({{}, 80}));
  server.input(now, syn(1, 1));
  EXPECT_EQ(server.sent.front().header.options.mss, 700u);
  EXPECT_TRUE(server.engine->has_connections({{}, 80}));
  EXPECT_TRUE(server.engine->has_connections({there, 80}));
  EXPECT_FALSE(server.engine->has_connections({here, 80}));
  EXPECT_FALSE(server.engine->has_connections({{}, 81}));
}

TEST_F(EngineTest, ConnectsAcceptsAndEnds) {
  Connection* ours = connect();
  ASSERT_NE(ours, nullptr);
  pump();
  EXPECT_EQ(ours->state(), State::established);
  EXPECT_EQ(server.acceptables, 1);
  Connection* theirs = server.engine->take(listener, this);
  ASSERT_NE(theirs, nullptr);
  EXPECT_EQ(theirs->path().remote, ours->path().local);

  const std::vector<std::byte> hello(100'000, std::byte{7});
  EXPECT_EQ(*ours->write(now, hello), hello.size());
  client.engine->touched(now, *ours);
  std::size_t read = 0;
  for (int i = 0; i < 100 && read < hello.size(); ++i) {
    pass(10 * millisecond);
    while (auto buffer = theirs->receive()) {
      if (buffer->empty()) break;
      read += buffer->size();
    }
    server.engine->touched(now, *theirs);
  }
  EXPECT_EQ(read, hello.size());
  client.engine->release(now, *ours);
  pump();
  EXPECT_TRUE(theirs->receive()->empty());
  server.engine->release(now, *theirs);
  pump();
  EXPECT_EQ(server.engine->connections(), 0u);
  EXPECT_EQ(client.engine->connections(), 1u) << "in TIME-WAIT";
  pass(10 * second);
  EXPECT_EQ(client.engine->connections(), 0u);
  EXPECT_EQ(client.engine->deadline(), never);
}

// RFC 9293 section 3.10.7.1.
TEST_F(EngineTest, ResetsWhatBelongsToNobody) {
  Packet packet = syn(1, 100);
  packet.path.local.port = 81;
  server.input(now, packet);
  ASSERT_EQ(server.sent.size(), 1u);
  EXPECT_EQ(server.sent[0].header.flags, flag::rst | flag::ack);
  EXPECT_EQ(server.sent[0].header.acknowledgment, 101u);
  packet.header.flags = flag::ack;
  packet.header.acknowledgment = 7;
  server.input(now, packet);
  EXPECT_EQ(server.sent[1].header.flags, flag::rst);
  EXPECT_EQ(server.sent[1].header.sequence, 7u);
  packet.header.flags = flag::rst;
  server.input(now, packet);
  EXPECT_EQ(server.sent.size(), 2u);
  // And to a listener: what was never asked.
  packet.path.local.port = 80;
  packet.header.flags = flag::ack;
  server.input(now, packet);
  EXPECT_EQ(server.sent.back().header.flags, flag::rst);
  server.sent.clear();
  for (int i = 0; i < 5'000; ++i) server.input(now, packet);
  EXPECT_LE(server.sent.size(), 1'000u) << "resets are limited";
  server.sent.clear();
  EXPECT_EQ(connect(0)->state(), State::syn_sent);
  client.sent.front().path.local.port = 81;
  client.sent.clear();
}

TEST_F(EngineTest, ARefusalIsTold) {
  Connection* ours = *client.engine->connect(now, Path{{here, 0}, {there, 81}}, this);
  pump();
  EXPECT_EQ(ours->state(), State::closed);
  EXPECT_EQ(ours->error(), Error::connection_refused);
  EXPECT_TRUE(client.all_changes & change::closed);
  client.engine->release(now, *ours);
  EXPECT_EQ(client.engine->connections(), 0u);
}

TEST_F(EngineTest, AFloodOfSynsKeepsNothing) {
  for (std::uint32_t i = 0; i < 10'000; ++i) server.input(now, syn(0x0a000000 + i, i));
  EXPECT_EQ(server.engine->connections(), listener.backlog);
  EXPECT_EQ(server.engine->statistics().cookies_sent, 10'000u - listener.backlog);
  EXPECT_EQ(server.sent.size(), 10'000u);
  server.sent.clear();
  // One who is honest still gets in.
  Connection* ours = connect();
  pump();
  EXPECT_EQ(ours->state(), State::established);
  EXPECT_EQ(server.engine->statistics().cookies_taken, 1u);
  Connection* theirs = server.engine->take(listener, this);
  ASSERT_NE(theirs, nullptr);
  EXPECT_TRUE(theirs->info(now).sack && theirs->info(now).timestamps) << "kept in the timestamp";
  EXPECT_EQ(theirs->info(now).send_scale, ours->info(now).receive_scale);
  EXPECT_EQ(theirs->info(now).send_mss, 1'448u);
  const std::vector<std::byte> hello(1'000, std::byte{7});
  EXPECT_TRUE(ours->write(now, hello));
  client.engine->touched(now, *ours);
  pump();
  std::vector<std::byte> into(2'000);
  EXPECT_EQ(*theirs->read(into), hello.size());
  pass(300 * second);
  EXPECT_EQ(server.engine->connections(), 1u) << "the half-open ones are gone";
}

TEST_F(EngineTest, CookiesAreNotGuessed) {
  for (std::uint32_t i = 0; i < 5; ++i) server.input(now, syn(0x0a000000 + i, i));
  server.sent.clear();
  Random random{1};
  Packet ack = syn(0x0b000000, 0);
  ack.header.flags = flag::ack;
  for (int i = 0; i < 10'000; ++i) {
    ack.header.acknowledgment = static_cast<std::uint32_t>(random());
    server.input(now, ack);
  }
  EXPECT_EQ(server.engine->statistics().cookies_taken, 0u);
  EXPECT_EQ(server.engine->connections(), 4u);
  server.sent.clear();
}

TEST_F(EngineTest, CookiesGrowOld) {
  Secrets secrets{{1, 2}};
  const Path path{{there, 80}, {here, 1'000}};
  const Seq cookie = secrets.make_cookie(path, Seq{5}, 1'460, 1'000 * second);
  EXPECT_EQ(secrets.check_cookie(path, cookie, Seq{5}, 1'000 * second), 1'460);
  EXPECT_EQ(secrets.check_cookie(path, cookie, Seq{5}, 1'060 * second), 1'460);
  EXPECT_EQ(secrets.check_cookie(path, cookie, Seq{5}, 1'130 * second), std::nullopt);
  EXPECT_EQ(secrets.check_cookie(path, cookie, Seq{6}, 1'000 * second), std::nullopt);
  EXPECT_EQ(secrets.check_cookie({path.remote, path.local}, cookie, Seq{5}, 1'000 * second),
            std::nullopt);
  EXPECT_EQ(
      secrets.check_cookie(path, secrets.make_cookie(path, Seq{5}, 1'300, second), Seq{5}, second),
      1'220);
}

TEST_F(EngineTest, StampsHoldWhatWasAgreed) {
  Random random{3};
  for (int i = 0; i < 1'000; ++i) {
    Agreed agreed;
    agreed.scaling = random.chance(0.5);
    agreed.send_scale = agreed.scaling ? static_cast<std::uint8_t>(random.below(15)) : 0;
    agreed.sack = random.chance(0.5);
    agreed.ecn = random.chance(0.5);
    const auto clock = static_cast<std::uint32_t>(random());
    const std::uint32_t stamp = Secrets::stamp(clock, agreed);
    EXPECT_LE(Seq{stamp}, Seq{clock});
    const Agreed read = Secrets::read_stamp(stamp);
    EXPECT_EQ(read.scaling, agreed.scaling);
    EXPECT_EQ(read.send_scale, agreed.send_scale);
    EXPECT_EQ(read.sack, agreed.sack);
    EXPECT_EQ(read.ecn, agreed.ecn);
  }
}

TEST_F(EngineTest, ABacklogIsKept) {
  for (int i = 0; i < 20; ++i) {
    connect();
    pump();
  }
  EXPECT_EQ(listener.waiting, listener.backlog);
  int taken = 0;
  while (Connection* theirs = server.engine->take(listener, this)) {
    ++taken;
    server.engine->release(now, *theirs);
  }
  EXPECT_EQ(taken, 4);
  pass(20 * second);  // the others have tried again
  EXPECT_GT(listener.waiting, 0u);
}

TEST_F(EngineTest, ClosingAListenerCutsWhatNobodyTook) {
  Connection* ours = connect();
  pump();
  server.engine->close(now, listener);
  pump();
  EXPECT_EQ(server.engine->connections(), 0u);
  EXPECT_EQ(ours->error(), Error::connection_reset);
  Connection* again = connect();
  pump();
  EXPECT_EQ(again->error(), Error::connection_refused);
  EXPECT_TRUE(server.engine->listen(listener));
}

TEST_F(EngineTest, ListenersAreFoundByAddress) {
  Listener same;
  same.local = listener.local;
  EXPECT_TRUE(server.engine->listen(same).failed_with(Error::address_in_use));
  Listener one;
  one.local = {there, 80};
  one.backlog = 1;
  EXPECT_TRUE(server.engine->listen(one));
  connect();
  pump();
  EXPECT_EQ(one.waiting, 1u);
  EXPECT_EQ(listener.waiting, 0u);
  server.engine->close(now, one);
}

// RFC 6191: a client that comes back from the same port.
TEST_F(EngineTest, TimeWaitGivesWayToANewConnection) {
  for (int round = 0; round < 5; ++round) {
    Connection* ours = connect(5'555);
    ASSERT_NE(ours, nullptr) << round;
    pump();
    ASSERT_EQ(ours->state(), State::established) << round;
    Connection* theirs = server.engine->take(listener, this);
    ASSERT_NE(theirs, nullptr) << round;
    // The server closes first, so that the wait is its.
    server.engine->release(now, *theirs);
    pump();
    client.engine->release(now, *ours);
    pump();
    EXPECT_EQ(server.engine->connections(), 1u);
    EXPECT_EQ(client.engine->connections(), 0u);
    now += 100 * millisecond;
  }
}

TEST_F(EngineTest, WhoWaitsMakesRoom) {
  EngineConfig config = small();
  config.connections = 8;
  Host tiny{config};
  Listener local;
  local.local = {{}, 80};
  local.backlog = 100;
  ASSERT_TRUE(tiny.engine->listen(local));
  for (std::uint32_t i = 0; i < 50; ++i) {
    Packet packet = syn(0x0a000000 + i, 0);
    tiny.input(now, packet);
    packet.header.flags = flag::ack;
    packet.header.sequence = 1;
    packet.header.acknowledgment = tiny.sent.back().header.sequence + 1;
    tiny.input(now, packet);
    Connection* connection = tiny.engine->take(local, this);
    ASSERT_NE(connection, nullptr) << i;
    tiny.engine->release(now, *connection);
    packet.header.flags = flag::ack | flag::fin;
    ++packet.header.acknowledgment;
    tiny.input(now, packet);
  }
  EXPECT_EQ(tiny.engine->connections(), 8u);
  EXPECT_EQ(tiny.engine->statistics().time_waits_cut, 42u);
  tiny.engine.reset();
}

TEST_F(EngineTest, PortsAreDifferent) {
  std::vector<std::uint16_t> ports;
  ports.reserve(100);
  for (int i = 0; i < 100; ++i) ports.push_back(connect()->path().local.port);
  std::ranges::sort(ports);
  EXPECT_EQ(std::ranges::adjacent_find(ports), ports.end());
  EXPECT_GE(ports.front(), 32'768);
  EXPECT_LT(ports.back(), 61'000);
  client.sent.clear();
}

TEST_F(EngineTest, SpeaksIpv6) {
  const wire::IpAddress a = *wire::IpAddress::parse("2001:db8::1");
  const wire::IpAddress b = *wire::IpAddress::parse("2001:db8::2");
  Connection* ours = *client.engine->connect(now, Path{{a, 0}, {b, 80}}, this);
  EXPECT_EQ(client.sent.front().header.options.mss, 1'440);
  pump();
  ASSERT_EQ(ours->state(), State::established);
  EXPECT_EQ(ours->info(now).send_mss, 1'428u);
  EXPECT_NE(server.engine->take(listener, this), nullptr);
}

// RFC 6528: a clock for each path, from places that cannot be guessed.
TEST_F(EngineTest, InitialNumbersAreOfThePath) {
  const Secrets secrets{{1, 2}};
  const Path path{{here, 1'000}, {there, 80}};
  const Path other{{here, 1'001}, {there, 80}};
  const Seq first = secrets.initial_sequence(path, now);
  EXPECT_EQ(secrets.initial_sequence(path, now + second) - first, 250'000u);
  EXPECT_NE(secrets.initial_sequence(other, now), first);
  EXPECT_NE((Secrets{{1, 3}}.initial_sequence(path, now)), first);
}

// Nothing is allocated once the pools have grown.
TEST_F(EngineTest, AllocatesNothingInSteadyState) {
  const auto exchange = [&] {
    Connection* ours = connect();
    pump();
    Connection* theirs = server.engine->take(listener, this);
    const std::vector<std::byte> hello(50'000, std::byte{7});
    std::vector<std::byte> into(100'000);
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(ours->write(now, hello));
      client.engine->touched(now, *ours);
      for (std::size_t read = 0; read < hello.size();) {
        pass(millisecond);
        if (const auto size = theirs->read(into)) read += *size;
        server.engine->touched(now, *theirs);
      }
    }
    client.engine->release(now, *ours);
    pump();
    server.engine->release(now, *theirs);
    pass(20 * second);
  };
  exchange();
  exchange();
  const std::size_t before = client.memory.calls + server.memory.calls;
  for (int i = 0; i < 20; ++i) exchange();
  EXPECT_EQ(client.memory.calls + server.memory.calls, before);
}

TEST_F(EngineTest, RoutersAreHeard) {
  Connection* ours = connect();
  pump();
  const std::vector<std::byte> much(5'000, std::byte{7});
  EXPECT_TRUE(ours->write(now, much));
  client.engine->touched(now, *ours);
  ASSERT_FALSE(client.sent.empty());
  wire::Quote quote{.from = here, .to = there, .protocol = wire::protocol::tcp};
  quote.from_port = ours->path().local.port;
  quote.to_port = 80;
  quote.sequence = client.sent.front().header.sequence;
  client.sent.clear();
  EXPECT_TRUE(client.engine->too_big(now, quote, 1'000));
  EXPECT_TRUE(client.engine->unreachable(now, quote));
  client.engine->flush(now);
  ASSERT_FALSE(client.sent.empty());
  EXPECT_EQ(client.sent.front().payload.size(), 948u);
  client.sent.clear();
  quote.sequence -= 1;
  EXPECT_FALSE(client.engine->too_big(now, quote, 600));  // acknowledged long ago
  EXPECT_FALSE(client.engine->unreachable(now, quote));
  quote.sequence += 1;
  quote.from_port ^= 1;
  EXPECT_FALSE(client.engine->too_big(now, quote, 600));  // of no connection
  EXPECT_EQ(ours->info(now).send_mss, 948u);
}

// Segments of all kinds, near what is expected and far from it, to an engine with connections in
// all states: nothing breaks, memory stays bounded.
TEST_F(EngineTest, SurvivesRandomSegments) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random{seed};
    EngineConfig config = small();
    config.connections = 32;
    config.pieces = 64;
    config.connection.sack = random.chance(0.8);
    config.connection.timestamps = random.chance(0.3);
    Host host{config};
    Listener local;
    local.local = {{}, 80};
    local.backlog = 8;
    ASSERT_TRUE(host.engine->listen(local));
    std::vector<Connection*> held;
    const auto drop = [&](std::size_t at) {
      host.engine->release(now, *held[at]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    };
    struct Last {
      std::uint32_t sequence = 0, acknowledgment = 0, timestamp = 0;
    };
    std::array<Last, 8> last{};  // what each peer was told
    for (int step = 0; step < 3'000; ++step) {
      const auto who = static_cast<std::uint32_t>(random.below(8));
      Packet packet = syn(0x0a000000 + who, static_cast<std::uint32_t>(random.below(4)));
      packet.header.flags = static_cast<std::uint8_t>(
          random.chance(0.6) ? flag::ack : (random.chance(0.5) ? flag::syn : random.below(256)));
      if (random.chance(0.1)) packet.header.flags |= flag::fin;
      const auto near = [&](std::uint32_t value) {
        if (random.chance(0.05)) return static_cast<std::uint32_t>(random());
        if (random.chance(0.3))
          return value + static_cast<std::uint32_t>(random.between(-3'000, 3'000));
        return value;
      };
      packet.header.sequence = near(last[who].acknowledgment);
      packet.header.acknowledgment = near(last[who].sequence);
      packet.header.window = static_cast<std::uint16_t>(random());
      if (random.chance(0.2)) packet.header.window = 0;
      if (random.chance(0.7)) {
        packet.header.options.has_timestamps = true;
        packet.header.options.timestamp = near(static_cast<std::uint32_t>(step));
        packet.header.options.timestamp_echo = near(last[who].timestamp);
      }
      packet.header.options.sack_permitted = random.chance(0.8);
      packet.header.options.window_scale =
          random.chance(0.5) ? static_cast<std::uint8_t>(random.below(15)) : 0xff;
      packet.header.options.mss = static_cast<std::uint16_t>(random.below(2'000));
      packet.header.options.sack_count = static_cast<std::uint8_t>(random.below(5));
      for (auto& block : packet.header.options.sack) {
        block.begin = near(last[who].sequence);
        block.end = near(block.begin + 1'000);
      }
      packet.payload.resize(random.chance(0.5) ? 0 : random.below(1'500));
      host.input(now, packet);
      if (random.chance(0.5)) host.engine->flush(now);
      for (; !host.sent.empty(); host.sent.pop_front()) {
        const Packet& answer = host.sent.front();
        const auto peer = answer.path.local.address.octets[15];
        last[peer] = {
            answer.header.sequence + static_cast<std::uint32_t>(answer.payload.size()) +
                (answer.header.has(flag::syn) ? 1 : 0),
            answer.header.has(flag::ack) ? answer.header.acknowledgment : last[peer].acknowledgment,
            answer.header.options.timestamp};
      }
      while (Connection* connection = host.engine->take(local, this)) held.push_back(connection);
      for (std::size_t i = 0; i < held.size();) {
        if (held[i]->state() == State::closed || random.chance(0.002)) {
          drop(i);
          continue;
        }
        if (random.chance(0.05)) {
          const std::vector<std::byte> bytes(random.below(20'000));
          held[i]->write(now, bytes).ignore();
        }
        if (random.chance(0.05)) held[i]->shutdown(now);
        if (random.chance(0.5)) held[i]->receive().ignore();
        host.engine->touched(now, *held[i]);
        ++i;
      }
      if (random.chance(0.3)) {
        now += random.below(100) * millisecond;
        host.engine->advance(now);
      }
      ASSERT_EQ(host.engine->broken(), nullptr) << "seed " << seed << " step " << step;
      ASSERT_LE(host.engine->connections(), 32u);
      ASSERT_LE(host.buffers.lent, 64u);
    }
    while (!held.empty()) drop(0);
    now += 3'600 * second;
    for (int i = 0; i < 1'000 && host.engine->deadline() != never; ++i) {
      now = std::max(now, host.engine->deadline());
      host.engine->advance(now);
    }
    EXPECT_EQ(host.engine->connections(), 0u) << "seed " << seed;
    host.engine.reset();
  }
}

}  // namespace
}  // namespace lichen::net::tcp

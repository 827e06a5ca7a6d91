#include "lichen/net/tcp/engine.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/net/tcp/test_engines.hpp"

namespace lichen::net::tcp {
namespace {

namespace flag = wire::tcp_flag;

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

// A SYN, or the answer to one, for which there was no room goes when there is.
TEST_F(EngineTest, OpeningWaitsForRoomToo) {
  client.room = 0;
  Connection* connection = connect(1'000);
  ASSERT_NE(connection, nullptr);
  client.engine->flush(now);
  EXPECT_TRUE(client.sent.empty());
  now += 50 * millisecond;
  client.room = SIZE_MAX;
  client.engine->flush(now);
  ASSERT_EQ(client.sent.size(), 1u);
  EXPECT_EQ(client.sent.front().header.flags, flag::syn);
  client.engine->flush(now);
  EXPECT_EQ(client.sent.size(), 1u);
  server.room = 0;
  server.input(now, client.sent.front());
  client.sent.clear();
  EXPECT_TRUE(server.sent.empty());
  server.room = SIZE_MAX;
  server.engine->flush(now);
  ASSERT_EQ(server.sent.size(), 1u);
  EXPECT_EQ(server.sent.front().header.flags, flag::syn | flag::ack);
  pump();
  EXPECT_EQ(connection->state(), State::established);
  // What it waited for room is no part of the round trip.
  EXPECT_LT(connection->info(now).rtt_ns, millisecond);
  client.engine->release(now, *connection);
}

// A way that is there again is tried at once, by those who have tried in vain.
TEST_F(EngineTest, TriesAgainWhenThereIsAWay) {
  Connection* cut = connect(1'000);
  Connection* elsewhere = connect(1'001);
  Connection* idle = connect(1'002);
  pump();
  Connection* opening = connect(1'003);
  for (Connection* each : {cut, elsewhere}) {
    ASSERT_TRUE(each->write(now, std::vector<std::byte>(10)));
    client.engine->touched(now, *each);
  }
  const auto lose_for = [&](std::uint64_t time) {
    for (const std::uint64_t until = now + time; client.engine->deadline() <= until;) {
      now = std::max(now, client.engine->deadline());
      client.engine->advance(now);
      client.engine->flush(now);
    }
    client.sent.clear();
  };
  client.sent.clear();
  lose_for(20 * second);
  const std::uint64_t later = client.engine->deadline();
  EXPECT_GT(later, now + second);
  client.without_way = 1'001;
  EXPECT_FALSE(client.engine->try_again(now));
  EXPECT_LE(client.engine->deadline(), now);
  client.engine->advance(now);
  ASSERT_EQ(client.sent.size(), 2u);
  for (const Packet& packet : client.sent)
    EXPECT_TRUE(packet.header.from_port == 1'000 || packet.header.from_port == 1'003);
  // As long as nobody answers, with times as at the beginning.
  client.sent.clear();
  EXPECT_LE(client.engine->deadline(), now + 3 * second);
  client.without_way = 0;
  EXPECT_TRUE(client.engine->try_again(now));
  client.engine->advance(now);
  EXPECT_EQ(client.sent.size(), 3u);
  pump();
  EXPECT_EQ(opening->state(), State::established);
  for (Connection* each : {cut, elsewhere}) EXPECT_EQ(each->info(now).unacked, 0u);
  EXPECT_TRUE(client.engine->try_again(now));
  EXPECT_GT(client.engine->deadline(), now);
  for (Connection* each : {cut, elsewhere, idle, opening}) {
    each->abort(now);
    client.engine->release(now, *each);
  }
  pump();
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
  EngineConfig config = small_engine();
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
    EngineConfig config = small_engine();
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

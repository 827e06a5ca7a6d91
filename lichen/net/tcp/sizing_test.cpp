// Buffers that grow, and what bounds them.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

constexpr std::uint64_t round_trip = Script::slow_round_trip;
constexpr std::string_view peer = "win=65535 mss=1460 ws=7 sackok";

Config growing() {
  Config config = modern();
  config.quick_acks = 0;
  return config;
}

// The peer sends `size` bytes from `at` on, a round trip after it could; the app takes them.
void receive(Script& s, std::uint32_t& at, std::uint32_t size) {
  s.pass(round_trip);
  for (const std::uint32_t end = at + size; at < end;) {
    const std::uint32_t next = std::min(at + 1'460, end);
    s.in_data(at, next);
    at = next;
  }
  s.read();
  s.forget();
}

EXCHANGE(TheReceiveBufferGrows, "Linux tcp_rmem",
         "to twice what the app takes in a round trip, as far as it may") {
  Config config = growing();
  config.receive_buffer_most = 1024 * 1024;
  Script s{config};
  s.open_slowly(peer);
  std::uint32_t at = 1;
  std::uint32_t before = 64 * 1024;
  for (int round = 0; round < 12; ++round) {
    const std::uint32_t window = s.info().receive_window;
    receive(s, at, window);
    EXPECT_GE(s.info().receive_buffer, before);
    EXPECT_TRUE(s.info().receive_buffer >= 2 * window || before == 1024 * 1024) << round;
    before = s.info().receive_buffer;
  }
  EXPECT_EQ(before, 1024u * 1024);
  EXPECT_GT(s.info().receive_window, 900'000u);
  EXPECT_EQ(s.info().receive_rtt_ns, round_trip * millisecond);
}

EXCHANGE(ASlowSenderNeedsNoLargeBuffer, "Linux tcp_rmem",
         "the buffer stays while less arrives in a round trip") {
  Script s{growing()};
  s.open_slowly(peer);
  std::uint32_t at = 1;
  for (int round = 0; round < 50; ++round) receive(s, at, 10 * 1'460);
  EXPECT_EQ(s.info().receive_buffer, 64u * 1024);
}

EXCHANGE(ASlowReaderGetsNoLargeBuffer, "Linux tcp_rmem", "nor for what the app leaves lying") {
  Script s{growing()};
  s.open_slowly(peer);
  std::uint32_t at = 1;
  std::vector<std::byte> little(1'000);
  for (int round = 0; round < 50; ++round) {
    s.pass(round_trip);
    while (s.info().receive_window >= 1'460) {
      s.in_data(at, at + 1'460);
      at += 1'460;
    }
    ASSERT_TRUE(s.connection->read(little));
    s.flush();
    s.forget();
  }
  EXPECT_EQ(s.info().receive_buffer, 64u * 1024);
}

EXCHANGE(ABufferThatIsChosenStays, "Linux SO_RCVBUF", "a Config without growth is kept to") {
  Config config = growing();
  config.receive_buffer_most = 0;
  Script s{config};
  s.open_slowly(peer);
  std::uint32_t at = 1;
  for (int round = 0; round < 10; ++round) receive(s, at, s.info().receive_window);
  EXPECT_EQ(s.info().receive_buffer, 64u * 1024);
}

// How far it grows with round trips of this length, the one of the opening being `round_trip`.
std::uint32_t grown_send_buffer(std::uint64_t later_round_trips) {
  Config config = growing();
  config.send_buffer = 32 * 1024;
  config.send_buffer_most = 200'000;
  config.min_rto = 10 * second;
  config.tail_loss_probes = false;
  Script s{config};
  s.open_slowly(peer);
  std::vector<std::byte> much(300'000);
  std::uint32_t written = 0;
  std::uint32_t before = config.send_buffer;
  for (int round = 0; round < 10; ++round) {
    for (;;) {
      for (std::uint32_t i = 0; i < much.size(); ++i) much[i] = Script::pattern(written + i);
      const auto size = s.connection->write(s.now, much);
      if (!size) {
        // The app waits only after this: word of room that is there already would be lost.
        s.changes = 0;
        s.flush();
        EXPECT_EQ(s.changes & change::writable, 0);
        break;
      }
      written += static_cast<std::uint32_t>(*size);
      s.flush();
    }
    s.pass(later_round_trips);
    s.forget();
    s.in("A 1 win=65535 ack=" + std::to_string(1 + s.info().statistics.bytes_sent));
    EXPECT_GE(s.info().send_buffer, before);
    before = s.info().send_buffer;
  }
  return before;
}

EXCHANGE(TheSendBufferGrows, "Linux tcp_wmem",
         "to two congestion windows, when the app has met no room") {
  EXPECT_EQ(grown_send_buffer(round_trip), 200'000u);
}

EXCHANGE(NothingIsBufferedForAQueue, "memory",
         "no more than four times what the shortest round trip needs: the rest would only wait") {
  EXPECT_EQ(grown_send_buffer(40 * round_trip), 2u * 32 * 1024);
}

// ---- many connections

class Crowd final : public Output {
 public:
  explicit Crowd(std::size_t bytes_most) : pools{memory, 100'000, nullptr, bytes_most} {}
  bool transmit(const Outgoing& segment) noexcept override {
    edge = Seq{segment.header.acknowledgment} + (std::uint32_t{segment.header.window} << scale);
    return true;
  }

  Connection& add(const Config& config) {
    const wire::IpAddress here = *wire::IpAddress::parse("192.0.2.1");
    const wire::IpAddress there = *wire::IpAddress::parse("192.0.2.2");
    all.push_back(
        std::make_unique<Connection>(config, resources, Path{{here, 80}, {there, 1'024}}, 0));
    Connection& connection = *all.back();
    wire::TcpSegment syn;
    syn.flags = wire::tcp_flag::syn;
    syn.window = 65'535;
    syn.options.mss = 1'460;
    syn.options.window_scale = 7;
    connection.accept(now, syn, Seq{0});
    scale = scale_for(config);
    now += millisecond;
    send(connection, 1, 0);
    return connection;
  }

  void send(Connection& connection, std::uint32_t at, std::uint32_t size) {
    const std::vector<std::byte> bytes(size);
    io::Buffer buffer;
    if (size > 0) buffer = buffers.make(bytes);
    wire::TcpSegment segment;
    segment.flags = wire::tcp_flag::ack;
    segment.sequence = at;
    segment.acknowledgment = 1;
    segment.window = 512;
    segment.payload = buffer.bytes();
    connection.input(now, segment, std::move(buffer));
    connection.flush(now);
    ASSERT_EQ(connection.broken(), nullptr);
  }

  TestMemory memory;
  TestBuffers buffers;
  TestPools pools;
  Resources resources{pools.chunks, pools.flights, pools.pieces, pools.blocks, *this};
  std::vector<std::unique_ptr<Connection>> all;
  std::uint64_t now = second;
  Seq edge;  // of the window that was announced last
  std::uint8_t scale = 0;
};

// Each has grown its buffer; then nobody reads any more, and all that may come does.
TEST(Sizing, MemoryIsBoundedWithManyConnections) {
  constexpr std::size_t most = 4 * 1024 * 1024;
  constexpr std::size_t count = 100;
  Crowd crowd{most};
  Config config = growing();
  config.sack = true;
  std::vector<std::uint32_t> next(count, 1);
  for (std::size_t i = 0; i < count; ++i) {
    Connection& connection = crowd.add(config);
    for (int round = 0; round < 8; ++round) {
      crowd.now += 10 * millisecond;
      for (int left = 1'000; left > 0 && Seq{next[i]} + 1'460 <= crowd.edge; --left) {
        crowd.send(connection, next[i], 1'460);
        next[i] += 1'460;
      }
      while (connection.receive()) {
      }
      connection.flush(crowd.now);
    }
    EXPECT_GT(connection.receive_buffer(), 500'000u) << "there is enough as long as they read";
  }
  for (int segment = 0; segment < 300; ++segment)
    for (std::size_t i = 0; i < count; ++i) {
      crowd.send(*crowd.all[i], next[i], 1'460);
      next[i] += 1'460;
    }
  EXPECT_GE(crowd.pools.pieces.bytes(), most) << "more was promised than there is";
  EXPECT_LE(crowd.pools.pieces.bytes(),
            most + count * ReceiveQueue::memory_for(config.receive_buffer));
  crowd.all.clear();
  EXPECT_EQ(crowd.pools.pieces.bytes(), 0u);
}

TEST(Sizing, BuffersDoNotGrowWhileMemoryIsScarce) {
  Crowd crowd{1024 * 1024};
  Connection& hog = crowd.add(growing());
  for (std::uint32_t at = 1; at < 60'000; at += 1'460) crowd.send(hog, at, 1'460);
  const std::size_t kept = crowd.pools.pieces.bytes();
  crowd.pools.pieces.charge(512 * 1024);
  Connection& other = crowd.add(growing());
  std::uint32_t at = 1;
  for (int round = 0; round < 20; ++round) {
    crowd.now += 10 * millisecond;
    for (; Seq{at} + 1'460 <= crowd.edge; at += 1'460) crowd.send(other, at, 1'460);
    while (other.receive()) {
    }
    other.flush(crowd.now);
  }
  EXPECT_GT(at, 500'000u);
  EXPECT_EQ(other.receive_buffer(), 64u * 1024);
  EXPECT_EQ(crowd.pools.pieces.bytes(), kept + 512 * 1024);
  crowd.pools.pieces.discharge(512 * 1024);
}

// A connection without data keeps no buffers, whatever it may grow to.
TEST(Sizing, IdleConnectionsKeepNothing) {
  Crowd crowd{1024 * 1024};
  const std::size_t before = crowd.memory.used;
  for (int i = 0; i < 1'000; ++i) crowd.add(Config{});
  EXPECT_LE(crowd.memory.used - before, 64u * 1024) << "the pools have hardly begun";
  EXPECT_LE(sizeof(Connection), 1'600u);
}

}  // namespace
}  // namespace lichen::net::tcp

// What is sent without a copy, and numbers that go round: streams longer than the circle of
// sequence numbers.
#include <array>

#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

// Buffers of the app with the bytes of the stream from `at` on.
io::Buffer lend(Script& s, std::uint32_t at, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = Script::pattern(at + static_cast<std::uint32_t>(i));
  return s.buffers.make(bytes);
}

EXCHANGE(BuffersAreBorrowedUntilAcknowledged, "memory",
         "send(): no copy, given back with the ACK") {
  Script s;
  s.open();
  io::Buffer first = lend(s, 0, 1'000);
  io::Buffer second = lend(s, 1'000, 500);
  ASSERT_TRUE(s.connection->send(s.now, first));
  ASSERT_TRUE(s.connection->send(s.now, second));
  s.written = 1'500;
  s.write(100);
  s.out("A 1:1461");
  s.out("PA 1461:1601");
  EXPECT_EQ(s.buffers.lent, 2u);
  s.in("A 1 ack=1001");
  EXPECT_EQ(s.buffers.lent, 1u);
  s.in("A 1 ack=1400");
  EXPECT_EQ(s.buffers.lent, 1u);
  s.in("A 1 ack=1601");
  EXPECT_EQ(s.buffers.lent, 0u);
}

EXCHANGE(BuffersComeBackAtTheEnd, "memory", "also when the connection is cut") {
  Script s;
  s.open();
  io::Buffer buffer = lend(s, 0, 1'000);
  ASSERT_TRUE(s.connection->send(s.now, buffer));
  s.abort();
  EXPECT_EQ(s.buffers.lent, 0u);
  io::Buffer late = lend(s, 0, 10);
  EXPECT_TRUE(s.connection->send(s.now, late).failed_with(Error::connection_reset));
  EXPECT_EQ(late.size(), 10u) << "it stays with the caller";
}

EXCHANGE(ManySmallBuffersMakeOneSegment, "memory", "gathered, as many as one call can name") {
  Config config = plain();
  config.largest_burst = 14'600;
  Script s{config};
  s.open();
  for (std::uint32_t i = 0; i < 100; ++i) {
    io::Buffer buffer = lend(s, i * 100, 100);
    ASSERT_TRUE(s.connection->send(s.now, buffer));
  }
  s.connection->flush(s.now);
  std::uint32_t sent = 0;
  for (const auto& segment : s.sent) sent += static_cast<std::uint32_t>(segment.payload.size());
  EXPECT_EQ(sent, 10'000u);
  EXPECT_LE(s.count(), 8u);
  s.pass(200);
  s.in("A 1 ack=10001");
  EXPECT_EQ(s.buffers.lent, 0u);
}

EXCHANGE(RoomIsTold, "flow", "no room for write(), and word of it when there is some again") {
  Config config = plain();
  config.send_buffer = 10'000;
  Script s{config};
  s.open("win=65535 mss=1000");
  s.write(10'000);
  const std::array<std::byte, 1> byte{};
  EXPECT_TRUE(s.connection->write(s.now, byte).failed_with(Error::would_block));
  s.changes = 0;
  s.in("A 1 ack=1001");
  EXPECT_FALSE(s.changes & change::writable);
  s.in("A 1 ack=5001");
  EXPECT_TRUE(s.changes & change::writable);
  s.forget();
}

EXCHANGE(ReadsInParts, "flow", "read() into small memory, and its ends") {
  Script s;
  s.open();
  std::array<std::byte, 30> into;
  EXPECT_TRUE(s.connection->read(into).failed_with(Error::would_block));
  s.in("FPA 1:101 ack=1");
  std::uint32_t at = 0;
  for (const std::size_t expected : {30u, 30u, 30u, 10u, 0u}) {
    const auto size = s.connection->read(into);
    ASSERT_TRUE(size);
    EXPECT_EQ(*size, expected);
    for (std::size_t i = 0; i < *size; ++i) EXPECT_EQ(into[i], Script::pattern(at++));
  }
}

EXCHANGE(ClosingWhileOpening, "RFC 9293 3.10.4",
         "CLOSE in SYN-SENT: gone; in SYN-RECEIVED: FIN once open") {
  Script s;
  s.connect();
  s.shutdown();
  s.state(State::closed);
  Script t;
  t.accept("S 0");
  t.forget();
  t.shutdown();
  t.quiet();
  t.in("A 1 ack=1");
  t.out("FA 1 ack=1");
  t.state(State::fin_wait_1);
}

EXCHANGE(KeepAliveWaitsForOtherTimers, "RFC 1122 4.2.3.6", "no probes while data is on its way") {
  Script s;
  s.open();
  s.connection->set_keep_alive(s.now, 1 * second);
  s.pass(900);
  s.write(100);
  s.out("PA 1:101");
  s.in("PA 1:11 ack=1");
  s.forget();
  s.pass(150);
  s.quiet();
  s.in("A 11 ack=101");
  s.read();
  s.forget();
  s.pass(950);
  s.quiet();
  s.pass(1'000);
  s.out("A 100 ack=11");
}

// Goes through the handshake and yields what the peer sends from then on: acknowledgments without
// data, as of now.
wire::TcpSegment opened_by_peer(Connection& connection, std::uint64_t now, Seq ours) {
  wire::TcpSegment peer;
  peer.flags = wire::tcp_flag::syn;
  peer.sequence = 7;
  peer.window = 0xffff;
  peer.options.mss = 1'460;
  peer.options.window_scale = 10;
  peer.options.sack_permitted = true;
  connection.accept(now, peer, ours);
  peer.flags = wire::tcp_flag::ack;
  peer.acknowledgment = (ours + 1).value;
  peer.sequence = 8;
  peer.options = {};
  connection.input(now, peer, {});
  return peer;
}

// Reads payload later than it was told of it, as a device does.
class Borrowing final : public Output {
 public:
  bool transmit(const Outgoing& segment) noexcept override {
    next = segment.header.sequence + segment.payload_size;
    if (segment.payload_size > 0) ++so_far.lent;
    return true;
  }
  [[nodiscard]] Loans loans() const noexcept override { return so_far; }
  std::uint32_t next = 0;
  Loans so_far;
};

EXCHANGE(PayloadStaysWhileTheDeviceReadsIt, "RFC 9293 3.10.7.4",
         "acknowledged too early, or cut by a reset: freed when the device has read it") {
  for (const bool reset : {false, true}) {
    TestMemory memory;
    TestBuffers buffers;
    Borrowing output;
    TestPools pools{memory, 1'000, &output};
    Resources resources{pools.chunks, pools.flights, pools.pieces, pools.blocks, output};
    const Config config;
    {
      Connection connection{config,
                            resources,
                            {{wire::Ipv4Address::of(1), 80}, {wire::Ipv4Address::of(2), 1'024}},
                            0};
      std::uint64_t now = second;
      wire::TcpSegment peer = opened_by_peer(connection, now, Seq{100});
      ASSERT_EQ(connection.state(), State::established);
      const std::vector<std::byte> bytes(1'000);
      io::Buffer buffer = buffers.make(bytes);
      ASSERT_TRUE(connection.send(now, buffer));
      connection.flush(now);
      ASSERT_EQ(output.so_far.lent, 1u);
      peer.flags = reset ? wire::tcp_flag::rst : wire::tcp_flag::ack;
      peer.acknowledgment = output.next;
      connection.input(++now, peer, {});
      EXPECT_EQ(buffers.lent, 1u);
    }
    pools.chunks.sweep();
    EXPECT_EQ(buffers.lent, 1u);
    output.so_far.returned = 1;
    pools.chunks.sweep();
    EXPECT_EQ(buffers.lent, 0u);
  }
}

// Lends the same bytes again and again.
class Lender final : public io::BufferOwner {
 public:
  explicit Lender(std::size_t size) : bytes_(size) {}
  io::Buffer lend() { return io::Buffer{*this, bytes_, bytes_.size()}; }
  void give_back(std::span<std::byte>) noexcept override {}

 private:
  std::vector<std::byte> bytes_;
};

// Both directions without looking at the bytes.
class Counting final : public Output {
 public:
  bool transmit(const Outgoing& segment) noexcept override {
    if (segment.header.has(wire::tcp_flag::syn)) return true;
    next = segment.header.sequence + segment.payload_size;
    acknowledged = segment.header.acknowledgment;
    return true;
  }
  std::uint32_t next = 0;
  std::uint32_t acknowledged = 0;
};

EXCHANGE(StreamsAreLongerThanTheCircle, "RFC 9293 3.4, RFC 7323 5",
         "five times 2^30 bytes each way, without loss and then with some") {
  Config config;
  config.timestamps = false;
  config.largest_burst = 65'160;
  config.receive_buffer = 4 * 1024 * 1024;
  config.send_buffer = 4 * 1024 * 1024;
  config.no_delay = false;
  for (const auto algorithm : {CongestionAlgorithm::cubic, CongestionAlgorithm::new_reno}) {
    config.congestion = algorithm;
    config.sack = algorithm == CongestionAlgorithm::cubic;
    constexpr std::uint32_t written_size = 1024 * 1024;
    constexpr std::uint32_t segment_size = 60'000;
    Lender ours{written_size};
    Lender theirs{segment_size};
    TestMemory memory;
    TestPools pools{memory};
    Counting output;
    Resources resources{pools.chunks, pools.flights, pools.pieces, pools.blocks, output};
    Connection connection{
        config, resources, {{wire::Ipv4Address::of(1), 80}, {wire::Ipv4Address::of(2), 1'024}}, 0};
    std::uint64_t now = second;
    wire::TcpSegment peer = opened_by_peer(connection, now, Seq{0xfff0'0000});
    ASSERT_EQ(connection.state(), State::established);

    const std::uint64_t all = 5ull << 30;
    std::uint64_t written = 0;
    std::uint64_t received = 0;
    for (int round = 0; written < all || received < all; ++round) {
      ASSERT_LT(round, 200'000) << "it stands still at " << written << " and " << received;
      io::Buffer much = ours.lend();
      if (connection.send(now, much)) written += written_size;
      connection.flush(now);
      now += 100'000;
      // What is sent arrives; now and then a timeout is needed.
      const bool lose = round % 10'000 == 9'999;
      if (lose) {
        now += 300 * millisecond;
        connection.advance(now);
      }
      peer.acknowledgment = output.next;
      io::Buffer buffer = theirs.lend();
      peer.payload = buffer.bytes();
      connection.input(now, peer, std::move(buffer));
      peer.sequence += segment_size;
      while (auto piece = connection.receive()) received += piece->size();
      connection.flush(now);
      if (round % 256 == 0) ASSERT_EQ(connection.broken(), nullptr);
    }
    EXPECT_EQ(output.acknowledged, peer.sequence);
    EXPECT_GT(connection.statistics().bytes_acked, all - 8 * 1024 * 1024);
  }
}

}  // namespace
}  // namespace lichen::net::tcp

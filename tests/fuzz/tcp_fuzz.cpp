// An engine with a listener and a connection of its own under segments, calls and time that the
// input chooses. The peer knows what it was told, so that most segments are near the mark. Nothing
// breaks, and at the end everything is given back.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "lichen/net/tcp/engine.hpp"
#include "lichen/net/tcp/test_world.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen;
using namespace lichen::net;
using namespace lichen::net::tcp;

namespace {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_{data}, size_{size} {}
  [[nodiscard]] bool empty() const { return size_ == 0; }
  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::uint16_t word() { return static_cast<std::uint16_t>(byte() << 8 | byte()); }
  // Mostly the value itself.
  std::uint32_t near(std::uint32_t value) {
    const std::uint8_t how = byte();
    if (how < 128) return value;
    if (how < 192) return value + static_cast<std::uint32_t>(static_cast<std::int8_t>(byte()));
    if (how < 240) return value + static_cast<std::uint32_t>(static_cast<std::int16_t>(word()));
    return std::uint32_t{word()} << 16 | word();
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

class World final : public Output, public Observer {
 public:
  explicit World(Bytes bytes) : bytes_{bytes} {}

  bool transmit(const Outgoing& segment) noexcept override {
    CHECK(wire::size_of(segment.header) <= wire::TcpHeader::max_size);
    std::size_t size = 0;
    for (const auto piece : segment.payload) size += piece.size();
    CHECK(size == segment.payload_size);
    Peer& peer = peers_[segment.path.remote.port % peers_.size()];
    peer.sequence = segment.header.sequence;
    peer.acknowledgment = segment.header.acknowledgment;
    peer.timestamp = segment.header.options.timestamp;
    peer.next = segment.header.sequence + static_cast<std::uint32_t>(size) +
                (segment.header.has(wire::tcp_flag::syn) ? 1 : 0) +
                (segment.header.has(wire::tcp_flag::fin) ? 1 : 0);
    peer.port = segment.path.local.port;
    return !full_;
  }
  void changed(Connection&, std::uint8_t) noexcept override {}
  void acceptable(Listener&) noexcept override {}

  void run() {
    EngineConfig config;
    const std::uint8_t choice = bytes_.byte();
    config.connections = 6;
    config.pieces = 16;
    config.flights = 24;
    config.chunks = config.blocks = 16;
    config.connection.receive_buffer = 8'000;
    config.connection.send_buffer = 20'000;
    config.connection.sack = (choice & 1) != 0;
    config.connection.timestamps = (choice & 2) != 0;
    config.connection.largest_burst = (choice & 4) != 0 ? 20'000 : 0;
    config.connection.pacing = (choice & 8) != 0;
    config.connection.ecn = EcnMode::request;
    config.connection.keep_alive_idle = (choice & 16) != 0 ? 100 * second : 0;
    config.connection.user_timeout = (choice & 32) != 0 ? 10 * second : 0;
    if ((choice & 64) != 0) config.connection.congestion = CongestionAlgorithm::new_reno;
    Engine engine{config, memory_, *this, *this, base::HashKey{1, 2}};
    Listener listener;
    listener.local = {{}, 80};
    listener.backlog = 3;
    CHECK(engine.listen(listener));
    while (!bytes_.empty()) {
      step(engine, listener);
      CHECK(engine.broken() == nullptr);
      CHECK(engine.connections() <= 6);
      CHECK(buffers_.lent <= 16);
    }
    full_ = false;
    for (Connection* connection : held_) engine.release(now_, *connection);
    engine.close(now_, listener);
    for (int i = 0; i < 10'000 && engine.deadline() != never; ++i) {
      now_ = std::max(now_, engine.deadline());
      engine.advance(now_);
    }
    CHECK(engine.connections() == 0);
  }
  void check_end() const { CHECK(buffers_.lent == 0 && memory_.used == 0); }

 private:
  struct Peer {
    std::uint32_t sequence = 0, next = 0, acknowledgment = 0, timestamp = 0;
    std::uint16_t port = 80;
  };

  void step(Engine& engine, Listener& listener) {
    const std::uint8_t what = bytes_.byte();
    Connection* some = held_.empty() ? nullptr : held_[what / 16 % held_.size()];
    switch (what % 16) {
      case 0:
        now_ += std::uint64_t{bytes_.word()} * millisecond;
        engine.advance(now_);
        break;
      case 1: engine.flush(now_); break;
      case 2:
        if (Connection* connection = engine.take(listener, this)) held_.push_back(connection);
        break;
      case 3:
        if (held_.size() < 3)
          if (auto made = engine.connect(now_, path(bytes_.byte(), 0), this))
            held_.push_back(*made);
        break;
      case 4:
        if (some == nullptr) break;
        some->write(now_, std::vector<std::byte>(bytes_.word() % 10'000)).ignore();
        engine.touched(now_, *some);
        break;
      case 5:
        if (some == nullptr) break;
        some->receive().ignore();
        engine.touched(now_, *some);
        break;
      case 6:
        if (some == nullptr) break;
        some->shutdown(now_);
        engine.touched(now_, *some);
        break;
      case 7:
        if (some == nullptr) break;
        std::erase(held_, some);
        engine.release(now_, *some);
        break;
      case 8: full_ = !full_; break;
      case 9: {
        wire::Quote quote{.from = ours, .to = theirs, .protocol = wire::protocol::tcp};
        const Peer& peer = peers_[bytes_.byte() % peers_.size()];
        quote.from_port = peer.port;
        quote.to_port = static_cast<std::uint16_t>(8 + (&peer - peers_.data()));
        quote.sequence = bytes_.near(peer.sequence);
        engine.too_big(now_, quote, bytes_.word());
        break;
      }
      default: segment(engine); break;
    }
  }

  void segment(Engine& engine) {
    const std::uint8_t who = bytes_.byte();
    Peer& peer = peers_[who % peers_.size()];
    wire::TcpSegment segment;
    const std::uint8_t flags = bytes_.byte();
    segment.flags = flags < 160 ? wire::tcp_flag::ack
                                : static_cast<std::uint8_t>(flags < 192 ? bytes_.byte() : flags);
    segment.sequence = bytes_.near(peer.acknowledgment);
    segment.acknowledgment = bytes_.near(peer.next);
    segment.window = bytes_.word();
    const std::uint8_t options = bytes_.byte();
    if ((options & 1) != 0) {
      segment.options.has_timestamps = true;
      segment.options.timestamp = bytes_.near(static_cast<std::uint32_t>(now_ / millisecond));
      segment.options.timestamp_echo = bytes_.near(peer.timestamp);
    }
    if ((options & 2) != 0) {
      segment.options.sack_count = static_cast<std::uint8_t>(1 + bytes_.byte() % 4);
      for (std::size_t i = 0; i < segment.options.sack_count; ++i) {
        segment.options.sack[i].begin = bytes_.near(peer.sequence);
        segment.options.sack[i].end = segment.options.sack[i].begin + bytes_.word() % 5'000;
      }
    }
    segment.options.sack_permitted = (options & 4) != 0;
    if ((options & 8) != 0) segment.options.window_scale = bytes_.byte() % 15;
    if ((options & 16) != 0) segment.options.mss = bytes_.word();
    const std::vector<std::byte> payload((options & 32) != 0 ? bytes_.word() % 3'000 : 0);
    io::Buffer buffer;
    if (!payload.empty()) buffer = buffers_.make(payload, (options & 64) != 0 ? 500 : 0);
    segment.payload = buffer.bytes();
    engine.input(now_, path(who, peer.port), segment, std::move(buffer),
                 static_cast<wire::Ecn>(options >> 7 & 1));
  }

  [[nodiscard]] Path path(std::uint8_t who, std::uint16_t port) const {
    const auto remote = static_cast<std::uint16_t>(8 + who % peers_.size());
    return {{ours, port}, {theirs, remote}};
  }

  static constexpr wire::IpAddress ours = wire::Ipv4Address::of(0xc0000201);
  static constexpr wire::IpAddress theirs = wire::Ipv4Address::of(0xc0000202);
  Bytes bytes_;
  TestMemory memory_;
  TestBuffers buffers_;
  std::array<Peer, 8> peers_{};
  std::vector<Connection*> held_;
  std::uint64_t now_ = second;
  bool full_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World world{Bytes{data, size}};
  world.run();
  world.check_end();
  return 0;
}

// Two engines that talk to each other in virtual time, and segments made by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "lichen/net/tcp/engine.hpp"
#include "lichen/net/tcp/test_world.hpp"

namespace lichen::net::tcp {

struct Packet {
  Path path;  // as its receiver sees it
  wire::TcpHeader header;
  std::vector<std::byte> payload;
};

inline EngineConfig small_engine() {
  EngineConfig config;
  config.connections = 1'000;
  config.connection.receive_buffer = 65'535;
  config.connection.time_wait = 10 * second;
  return config;
}

class Host final : public Output, public Observer {
 public:
  explicit Host(const EngineConfig& config = small_engine())
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
  [[nodiscard]] bool has_way(const Path& path) const noexcept override {
    return path.local.port != without_way;
  }
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
  std::size_t room = SIZE_MAX;    // for how many more segments
  std::uint16_t without_way = 0;  // the port
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
    listener.local = {{}, 80};
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
    packet.header.flags = wire::tcp_flag::syn;
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

}  // namespace lichen::net::tcp

// Scripted exchanges with one connection, in virtual time.
//
//   Script s;
//   s.connect();
//   s.out("S 0 win=64240 mss=1460");       // what the connection must send next
//   s.in("SA 0 ack=1 win=65535 mss=1460"); // what the peer sends
//   s.out("A 1 ack=1");
//   s.write(100);
//   s.out("PA 1:101 ack=1");
//   s.pass(200);                           // ms
//   s.quiet();                             // nothing was sent
//
// Numbers count from the initial one of whoever they belong to: those of `seq` from the sender's,
// those of `ack` and `sack` from the receiver's. The first word is the flags (S A F R P U, E for
// ECE, W for CWR, '.' for none); in what is expected P is looked at only where it is written. Then
// the number of the first byte, or a range. Then, where wanted:
//
//   ack=N  win=N  mss=N  ws=N  sackok  ts=VALUE,ECHO  sack=B-E,B-E  urg=N
//   ect, ce: the mark of the IP packet       nots: no timestamps       nosack: no blocks
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/net/tcp/connection.hpp"
#include "lichen/net/tcp/test_world.hpp"

namespace lichen::net::tcp {

// What an exchange proves, and where that is demanded. tests/net lists them in docs/tcp.md.
#define EXCHANGE(name, source, text) TEST(Exchange, name)

// Without options, so that segments are easy to read.
inline Config plain() {
  Config config;
  config.timestamps = config.sack = config.window_scaling = false;
  config.receive_buffer = 65'535;
  config.receive_buffer_most = config.send_buffer_most = 0;
  config.no_delay = true;
  return config;
}

inline Config with_timestamps() {
  Config config = plain();
  config.timestamps = true;
  return config;
}
inline Config with_reno() {
  Config config = plain();
  config.congestion = CongestionAlgorithm::new_reno;
  return config;
}

// The options of Linux but for timestamps, whose payload would be of odd sizes.
inline Config modern() {
  Config config;
  config.timestamps = false;
  config.no_delay = true;
  return config;
}

class Script final : public Output {
 public:
  using Where = std::source_location;

  explicit Script(Config config = plain(), std::uint32_t iss = 0x1000'0000,
                  std::uint32_t peer_iss = 0x2000'0000);
  ~Script();

  // ---- the connection
  void connect();
  // The peer's SYN is answered by a passive opening.
  void accept(std::string_view syn, Where where = Where::current());
  // Open, with nothing on its way. `peer`: options of the peer.
  void open(std::string_view peer = "win=65535 mss=1460", Where where = Where::current());
  // The same in a longer round trip.
  static constexpr std::uint64_t slow_round_trip = 100;  // ms
  void open_slowly(std::string_view peer, Where where = Where::current());
  void write(std::size_t size, Where where = Where::current());
  // Takes everything that can be read and checks that it is what the peer sent.
  std::size_t read(Where where = Where::current());
  void shutdown() {
    act([&] { connection->shutdown(now); });
  }
  void release() {
    act([&] { connection->release(now); });
  }
  // After calls of the connection itself.
  void flush() {
    act([] {});
  }
  void abort() {
    act([&] { connection->abort(); });
  }

  // ---- the wire
  void in(std::string_view segment, Where where = Where::current());
  // An acknowledgment, and data with one of nothing.
  void in_ack(std::uint32_t ack, Where where = Where::current()) {
    in("A 1 ack=" + std::to_string(ack), where);
  }
  void in_data(std::uint32_t begin, std::uint32_t end, Where where = Where::current()) {
    in("A " + std::to_string(begin) + ":" + std::to_string(end) + " ack=1", where);
  }
  void out(std::string_view segment, Where where = Where::current());
  // The same for one of several that were sent, in any order.
  void quiet(Where where = Where::current());
  void forget() { sent.clear(); }
  // Everything that was sent and not looked at yet: how many segments.
  [[nodiscard]] std::size_t count() const { return sent.size(); }
  // Output has no room from now on, or has again.
  void set_blocked(bool on) { blocked = on; }

  // ---- time
  void pass(std::uint64_t ms) { pass_ns(ms * millisecond); }
  void pass_ns(std::uint64_t ns);

  void state(State expected, Where where = Where::current());
  [[nodiscard]] Info info() { return connection->info(now); }
  void check(Where where = Where::current());

  struct Sent {
    wire::TcpHeader header;
    std::vector<std::byte> payload;
    std::uint32_t segment_size;
    wire::Ecn ecn;
    IpOptions ip;
  };
  std::string text(const Sent& segment) const;

  bool transmit(const Outgoing& segment) noexcept override;
  // The byte at a place of a stream.
  static std::byte pattern(std::uint32_t at) { return static_cast<std::byte>(at * 7 + at / 251); }

  Config config;
  std::uint64_t now = second;
  TestMemory memory;
  TestBuffers buffers;
  std::unique_ptr<TestPools> pools;
  std::unique_ptr<Resources> resources;
  std::unique_ptr<Connection> connection;
  std::deque<Sent> sent;
  std::uint8_t changes = 0;
  bool blocked = false;
  std::uint32_t iss;
  std::uint32_t peer_iss;
  std::uint32_t written = 0;
  std::uint32_t taken = 0;

 private:
  template <class Act>
  void act(Act&& act) {
    act();
    connection->flush(now);
    changes |= connection->take_changes();
  }
};

}  // namespace lichen::net::tcp

// Two TCP connections and the two directions of a simulated link between them, in virtual time. The
// segments really become packets: written, summed, cut where the device would cut, checked, parsed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lichen/base/hash.hpp"
#include "lichen/base/random.hpp"
#include "lichen/hal/sim/link.hpp"
#include "lichen/net/tcp/connection.hpp"
#include "lichen/net/tcp/test_world.hpp"
#include "lichen/net/wire/wire.hpp"

namespace lichen::net::tcp {

// The byte at a place of the stream of one end.
inline std::byte stream_byte(std::uint64_t stream, std::uint64_t at) {
  return static_cast<std::byte>((at * 0x9E3779B97F4A7C15 + stream) >> 56);
}

// One end: a connection, and an app that writes `total` bytes and reads what the other one writes.
class PairEnd final : public Output {
 public:
  PairEnd(const Config& chosen, const Path& path, hal::sim::Link& out, std::uint64_t& now,
          std::uint64_t stream, std::size_t most = 100'000)
      : config{chosen},
        out_{out},
        now_{now},
        path_{path},
        stream_{stream},
        pools_{memory, most},
        resources_{pools_.chunks, pools_.flights, pools_.pieces, pools_.blocks, *this} {}
  ~PairEnd() { connection.reset(); }

  void make(std::uint32_t timestamp_offset) {
    connection = std::make_unique<Connection>(config, resources_, path_, timestamp_offset);
  }

  bool transmit(const Outgoing& segment) noexcept override;
  // A packet from the link.
  void arrive(std::span<const std::byte> packet, Seq iss);
  // What an attacker may send at most: nothing that is exactly what is expected.
  void forge(Random& random);
  // What the app does when it gets a chance. `chunk`: how much at most.
  void run_app(std::size_t chunk, bool read);

  Config config;
  Seq peer_iss;
  TestMemory memory;
  TestBuffers buffers;
  std::unique_ptr<Connection> connection;
  std::uint64_t total = 0;
  std::uint64_t written = 0;
  std::uint64_t received = 0;
  bool shut = false;
  bool ended = false;  // saw the end of the other's stream
  std::string wrong;
  std::array<std::uint64_t, wire::drop_count> drops{};
  std::uint64_t frame_errors = 0;
  std::uint64_t packets = 0;
  std::vector<std::vector<std::byte>> heard;  // some of what has arrived

 private:
  void refuse(const wire::TcpSegment& segment);

  hal::sim::Link& out_;
  std::uint64_t& now_;
  Path path_;
  std::uint64_t stream_;
  std::uint32_t sent_ = 0;  // behind the last number that was
  TestPools pools_;
  Resources resources_;
};

struct PairResult {
  bool whole = false;  // both streams arrived, and both ends know that it is over
  std::string reason;  // why not
  std::uint64_t took = 0;
};

struct PairOptions {
  std::uint64_t seed = 1;
  hal::sim::LinkModel link;
  Config first_config, second_config;
  std::uint64_t first_bytes = 0, second_bytes = 0;
  bool slow_reader = false;
  std::size_t app_chunk = 20'000;  // what an app writes at a time, at most
  std::uint64_t limit = 3'600 * second;
  // How many objects each end's pools may hold.
  std::size_t pool_most = 100'000;
  // Of a million turns, in how many somebody else sends a segment: one that was on its way before,
  // or one that is forged by who knows addresses and ports, and guesses near the numbers.
  std::uint32_t meddled = 0;
};

class Pair {
 public:
  explicit Pair(const PairOptions& options);
  PairResult run();

  PairOptions options;
  std::uint64_t forged = 0;

  std::uint64_t now = second;
  hal::sim::Link there, back;
  PairEnd first, second_end;
  Random random;

 private:
  void meddle(PairEnd& end);
};

}  // namespace lichen::net::tcp

#pragma once

#include <cstdint>

#include "lichen/net/tcp/connection.hpp"

namespace lichen::net::tcp {

// What one segment acknowledged.
struct Connection::AckSummary {
  bool advanced = false;  // snd_una
  bool new_loss = false;  // some were found lost
  bool original = false;  // something that was sent once arrived, of what a timeout found lost
  bool has_echo = false;  // of a timestamp
  std::uint32_t echo = 0;
  bool has_blocks = false;  // of SACK
  bool duplicate = false;   // the peer received something twice ...
  std::uint32_t begin = 0;  // ... this
  std::uint32_t end = 0;
  std::uint32_t acked = 0;      // bytes that were not known to have arrived, in order
  std::uint32_t sacked = 0;     // and out of order
  std::uint64_t rtt = 0;        // of a segment sent once; 0: none
  std::uint32_t grows_by = 0;   // bytes that the window may grow by
  std::uint32_t window = 0;     // of the peer, before
  std::uint32_t in_flight = 0;  // before

  [[nodiscard]] std::uint32_t delivered() const noexcept { return acked + sacked; }
};

}  // namespace lichen::net::tcp

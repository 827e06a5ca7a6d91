// What can be chosen for a connection. The defaults are those of Linux where it has one.
#pragma once

#include <cstdint>

namespace lichen::net::tcp {

inline constexpr std::uint64_t millisecond = 1'000'000;  // times are in ns
inline constexpr std::uint64_t second = 1'000 * millisecond;

enum class CongestionAlgorithm : std::uint8_t { new_reno, cubic };

// RFC 3168: never; when the peer asks for it; asking for it.
enum class EcnMode : std::uint8_t { off, accept, request };

// What the network layer is told of a connection's packets.
struct IpOptions {
  std::uint8_t hop_limit = 0;      // 0: as is usual
  std::uint8_t traffic_class = 0;  // without the bits of ECN
  bool dont_fragment = true;       // IPv4

  friend constexpr bool operator==(const IpOptions&, const IpOptions&) noexcept = default;
};

struct Config {
  // Unread bytes at first, and what that may grow to as the app takes more in a round trip; 0: it
  // stays. The window scale follows from the greater one.
  std::uint32_t receive_buffer = 64 * 1024;
  std::uint32_t receive_buffer_most = 6 * 1024 * 1024;
  // Bytes not acknowledged or not yet sent: at first, and what that may grow to with the congestion
  // window; 0: it stays.
  std::uint32_t send_buffer = 128 * 1024;
  std::uint32_t send_buffer_most = 4 * 1024 * 1024;
  std::uint32_t unsent_most = 0;  // of them not yet sent; 0: as many as there is room for
  std::uint16_t mtu = 1'500;      // of the interface
  std::uint16_t largest_mss = 0;  // offered and sent; 0: what the MTU allows
  // The most payload of one call to Output::transmit() where the device cuts segments; 0: it
  // does not.
  std::uint32_t largest_burst = 0;

  // Segments that go in one go at least, if there are so many and the window has room for two such.
  std::uint32_t least_burst = 2;

  bool timestamps = true;  // RFC 7323
  // Segments without them are dropped once they were agreed (section 3.2); Linux takes them.
  bool timestamps_required = false;
  bool window_scaling = true;  // RFC 7323
  bool sack = true;            // RFC 2018
  EcnMode ecn = EcnMode::accept;
  CongestionAlgorithm congestion = CongestionAlgorithm::cubic;
  std::uint32_t initial_window = 10;  // segments (RFC 6928)
  bool restart_after_idle = true;     // RFC 5681 section 4.1
  bool tail_loss_probes = true;       // RFC 8985 section 7
  bool forward_recovery = true;       // F-RTO (RFC 5682)
  bool pacing = false;
  bool no_delay = false;  // without Nagle's algorithm

  std::uint64_t initial_rto = 1 * second;     // RFC 6298
  std::uint64_t min_rto = 200 * millisecond;  // more than the round trip
  std::uint64_t max_rto = 120 * second;
  std::uint64_t delayed_ack = 40 * millisecond;
  // Segments acknowledged at once when a connection is young, after silence and after duplicates,
  // unless answers carry acknowledgments.
  std::uint32_t quick_acks = 16;
  std::uint32_t syn_retries = 6;
  std::uint32_t syn_ack_retries = 5;
  std::uint32_t retries = 15;      // of data; with the default timeouts 924 s at least
  std::uint64_t user_timeout = 0;  // without progress, whatever `retries` says; 0: none (RFC 5482)

  // A passive opening is told of when data has come with it, or this long after the handshake; 0:
  // at once.
  std::uint64_t defer_accept = 0;

  std::uint64_t keep_alive_idle = 0;  // 0: off (RFC 1122 section 4.2.3.6)
  std::uint64_t keep_alive_interval = 75 * second;
  std::uint32_t keep_alive_probes = 9;
  std::uint64_t time_wait = 60 * second;   // twice the maximum segment lifetime
  std::uint64_t fin_wait_2 = 60 * second;  // when the app has let go of the connection

  std::uint32_t challenge_acks = 10;      // a second (RFC 5961 section 7)
  std::uint32_t out_of_order_most = 512;  // ranges kept that arrived too early, with gaps between

  IpOptions ip;
};

}  // namespace lichen::net::tcp

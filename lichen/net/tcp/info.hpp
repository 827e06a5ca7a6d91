// What a connection tells of itself: what Linux has in TCP_INFO, in plain units.
#pragma once

#include <cstdint>
#include <string_view>

namespace lichen::net::tcp {

// RFC 9293 section 3.3.2. LISTEN is not a state of a connection here, but a Listener.
enum class State : std::uint8_t {
  closed,
  syn_sent,
  syn_received,
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
  time_wait,
};

std::string_view name(State state) noexcept;

// What the sender does about loss.
enum class Recovery : std::uint8_t {
  none,
  fast,     // RFC 6675, RFC 8985, RFC 6937: some segments were found lost
  timeout,  // RFC 5681 section 3.1: the retransmission timer ran out
};

struct Statistics {
  std::uint64_t segments_received = 0;
  std::uint64_t bytes_received = 0;  // in order
  std::uint64_t data_segments_received = 0;
  std::uint64_t segments_sent = 0;  // calls of Output::transmit()
  std::uint64_t data_segments_sent = 0;
  std::uint64_t bytes_sent = 0;  // payload, sent again included
  std::uint64_t bytes_acked = 0;
  std::uint64_t bytes_retransmitted = 0;
  std::uint64_t retransmissions = 0;
  std::uint64_t timeouts = 0;         // of the retransmission timer
  std::uint64_t fast_recoveries = 0;  // times that recovery began without a timeout
  std::uint64_t undone = 0;           // reductions of the window that had no reason
  std::uint64_t probes = 0;           // tail loss probes
  std::uint64_t window_probes = 0;
  std::uint64_t keep_alive_probes = 0;
  std::uint64_t early_segments = 0;       // arrived before what precedes them
  std::uint64_t duplicate_segments = 0;   // all of it was there already
  std::uint64_t duplicates_reported = 0;  // by the peer (RFC 2883)
  std::uint64_t congestion_marks = 0;     // ECN-Echo that was heeded
  std::uint64_t paws_drops = 0;
  std::uint64_t out_of_window_drops = 0;
  std::uint64_t challenge_acks = 0;
  std::uint64_t memory_drops = 0;  // segments for which there was no room
  // How long the sender was, in ns: with anything unacknowledged or unsent; of that held up by the
  // peer's window; and with everything sent and an app that waits for room.
  std::uint64_t busy_ns = 0;
  std::uint64_t peer_window_ns = 0;
  std::uint64_t send_buffer_ns = 0;
};

struct Info {
  State state = State::closed;
  Recovery recovery = Recovery::none;
  bool timestamps = false;
  bool sack = false;
  bool scaling = false;
  bool ecn = false;
  std::uint8_t send_scale = 0;
  std::uint8_t receive_scale = 0;
  std::uint32_t send_mss = 0;
  std::uint32_t received_mss = 0;  // as far as the peer's segments show it
  std::uint32_t offered_mss = 0;
  std::uint32_t path_mtu = 0;
  std::uint32_t congestion_window = 0;     // bytes, as all below
  std::uint32_t slow_start_threshold = 0;  // 2^31 - 1: none yet
  std::uint32_t send_window = 0;
  std::uint32_t receive_window = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t unacked = 0;
  std::uint32_t unsent = 0;
  std::uint32_t sacked = 0;
  std::uint32_t lost = 0;
  std::uint32_t sent_again = 0;  // and on its way
  std::uint32_t unread = 0;
  std::uint32_t receive_buffer = 0;  // as large as it is now
  std::uint32_t send_buffer = 0;
  std::uint32_t retries = 0;  // timeouts in a row
  std::uint32_t backoff = 0;  // doublings of the timeout
  std::uint32_t probes = 0;   // of a closed window or an idle peer, in a row
  bool reordering_seen = false;
  std::uint32_t reordering = 3;  // segments by which something was overtaken, at most
  bool reduced = false;          // in this round trip, for a mark of congestion
  std::uint64_t rtt_ns = 0;
  std::uint64_t rtt_variation_ns = 0;
  std::uint64_t least_rtt_ns = 0;
  std::uint64_t receive_rtt_ns = 0;  // the least, as the receiver sees it; 0: not known
  std::uint64_t rto_ns = 0;
  std::uint64_t delayed_ack_ns = 0;
  // Times on the clock of the connection; 0: never.
  std::uint64_t data_sent_at = 0;
  std::uint64_t data_received_at = 0;
  std::uint64_t received_at = 0;
  Statistics statistics;
};

}  // namespace lichen::net::tcp

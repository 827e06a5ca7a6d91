// The numbers and layouts of Linux that foreign programs bring along: levels and names of socket
// options, and what they carry (asm-generic/socket.h, linux/in.h, in6.h, tcp.h; the same on x86-64
// and riscv64). Constants of our own, since there are no system headers on bare rock;
// options_test.cpp compares them with those.
#pragma once

#include <cstdint>

namespace lichen::net::socket {

namespace level {
inline constexpr int socket = 1;
inline constexpr int ip = 0;
inline constexpr int tcp = 6;
inline constexpr int ipv6 = 41;
}  // namespace level

namespace so {
inline constexpr int reuse_address = 2;
inline constexpr int type = 3;
inline constexpr int error = 4;
inline constexpr int broadcast = 6;
inline constexpr int send_buffer = 7;
inline constexpr int receive_buffer = 8;
inline constexpr int keep_alive = 9;
inline constexpr int oob_inline = 10;
inline constexpr int linger = 13;
inline constexpr int receive_low_water = 18;
inline constexpr int send_low_water = 19;
inline constexpr int receive_timeout = 20;
inline constexpr int send_timeout = 21;
inline constexpr int accept_conn = 30;
inline constexpr int protocol = 38;
inline constexpr int domain = 39;
inline constexpr int memory_info = 55;
inline constexpr int receive_timeout_new = 66;
inline constexpr int send_timeout_new = 67;
}  // namespace so

namespace tcp_option {
inline constexpr int no_delay = 1;
inline constexpr int max_segment = 2;
inline constexpr int cork = 3;
inline constexpr int keep_idle = 4;
inline constexpr int keep_interval = 5;
inline constexpr int keep_count = 6;
inline constexpr int syn_count = 7;
inline constexpr int linger2 = 8;
inline constexpr int defer_accept = 9;
inline constexpr int window_clamp = 10;
inline constexpr int info = 11;
inline constexpr int quick_ack = 12;
inline constexpr int congestion = 13;
inline constexpr int user_timeout = 18;
inline constexpr int unsent_low_water = 25;  // TCP_NOTSENT_LOWAT
inline constexpr int congestion_info = 26;   // TCP_CC_INFO
inline constexpr int inq = 36;
}  // namespace tcp_option

namespace ip_option {
inline constexpr int tos = 1;
inline constexpr int ttl = 2;
inline constexpr int mtu_discover = 10;
inline constexpr int mtu = 14;
inline constexpr int multicast_ttl = 33;
inline constexpr int multicast_loop = 34;
inline constexpr int add_membership = 35;
inline constexpr int drop_membership = 36;
}  // namespace ip_option

namespace ipv6_option {
inline constexpr int unicast_hops = 16;
inline constexpr int multicast_hops = 18;
inline constexpr int multicast_loop = 19;
inline constexpr int join_group = 20;
inline constexpr int leave_group = 21;
inline constexpr int mtu_discover = 23;
inline constexpr int mtu = 24;
inline constexpr int v6_only = 26;
inline constexpr int traffic_class = 67;
}  // namespace ipv6_option

struct Linger {
  std::int32_t on;
  std::int32_t seconds;
};

// What SO_MEMINFO fills in. Bytes; what of both directions is in use counts payload only.
struct MemoryInfo {
  std::uint32_t receive_used;
  std::uint32_t receive_most;
  std::uint32_t send_used;
  std::uint32_t send_most;
  std::uint32_t forward;  // not filled in
  std::uint32_t queued;
  std::uint32_t options;  // not filled in
  std::uint32_t backlog;  // not filled in
  std::uint32_t drops;
};

struct TimeValue {
  std::int64_t seconds;
  std::int64_t microseconds;
};

// struct tcp_info, up to what Linux 6.18 has. Times in us, but those since something in ms; the
// congestion window, its threshold and what is on its way in segments.
struct TcpInfo {
  std::uint8_t state;
  std::uint8_t ca_state;
  std::uint8_t retransmits;
  std::uint8_t probes;
  std::uint8_t backoff;
  std::uint8_t options;
  std::uint8_t
      scales;  // of what is sent in the low four bits, of what is received in the high ones
  std::uint8_t limits;  // not filled in
  std::uint32_t rto;
  std::uint32_t ato;
  std::uint32_t snd_mss;
  std::uint32_t rcv_mss;
  std::uint32_t unacked;
  std::uint32_t sacked;
  std::uint32_t lost;
  std::uint32_t retrans;
  std::uint32_t fackets;  // not filled in, nor by Linux
  std::uint32_t last_data_sent;
  std::uint32_t last_ack_sent;  // not filled in, nor by Linux
  std::uint32_t last_data_recv;
  std::uint32_t last_ack_recv;
  std::uint32_t pmtu;
  std::uint32_t rcv_ssthresh;
  std::uint32_t rtt;
  std::uint32_t rttvar;
  std::uint32_t snd_ssthresh;
  std::uint32_t snd_cwnd;
  std::uint32_t advmss;
  std::uint32_t reordering;
  std::uint32_t rcv_rtt;  // the least
  std::uint32_t rcv_space;
  std::uint32_t total_retrans;
  std::uint64_t pacing_rate;
  std::uint64_t max_pacing_rate;
  std::uint64_t bytes_acked;
  std::uint64_t bytes_received;
  std::uint32_t segs_out;
  std::uint32_t segs_in;
  std::uint32_t notsent_bytes;
  std::uint32_t min_rtt;
  std::uint32_t data_segs_in;
  std::uint32_t data_segs_out;
  std::uint64_t delivery_rate;  // not filled in
  std::uint64_t busy_time;
  std::uint64_t rwnd_limited;
  std::uint64_t sndbuf_limited;
  std::uint32_t delivered;     // not filled in
  std::uint32_t delivered_ce;  // not filled in
  std::uint64_t bytes_sent;
  std::uint64_t bytes_retrans;
  std::uint32_t dsack_dups;
  std::uint32_t reord_seen;
  std::uint32_t rcv_ooopack;
  std::uint32_t snd_wnd;
  std::uint32_t rcv_wnd;
  std::uint32_t rehash;                // not filled in
  std::uint16_t total_rto;             // timeouts
  std::uint16_t total_rto_recoveries;  // not filled in
  std::uint32_t total_rto_time;        // not filled in
  std::uint32_t received_ce;           // nor anything of Accurate ECN
  std::uint32_t delivered_e1_bytes;
  std::uint32_t delivered_e0_bytes;
  std::uint32_t delivered_ce_bytes;
  std::uint32_t received_e1_bytes;
  std::uint32_t received_e0_bytes;
  std::uint32_t received_ce_bytes;
  std::uint32_t accurate_ecn;
};
static_assert(sizeof(TcpInfo) == 280);

}  // namespace lichen::net::socket

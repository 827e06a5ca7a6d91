#include <algorithm>
#include <limits>

#include "lichen/net/socket/options.hpp"

namespace lichen::net::socket {

namespace {

// The numbers of tcp_states.h.
std::uint8_t number_of(tcp::State state) noexcept {
  switch (state) {
    case tcp::State::established: return 1;
    case tcp::State::syn_sent: return 2;
    case tcp::State::syn_received: return 3;
    case tcp::State::fin_wait_1: return 4;
    case tcp::State::fin_wait_2: return 5;
    case tcp::State::time_wait: return 6;
    case tcp::State::closed: return 7;
    case tcp::State::close_wait: return 8;
    case tcp::State::last_ack: return 9;
    case tcp::State::closing: return 11;
  }
  return 0;
}

// TCP_CA_Open, Disorder, CWR, Recovery, Loss.
std::uint8_t number_of(const tcp::Info& info) noexcept {
  switch (info.recovery) {
    case tcp::Recovery::none: return info.reduced ? 2 : info.sacked > 0 ? 1 : 0;
    case tcp::Recovery::fast: return 3;
    case tcp::Recovery::timeout: return 4;
  }
  return 0;
}

template <class T>
T limited(std::uint64_t value) noexcept {
  return static_cast<T>(std::min<std::uint64_t>(value, std::numeric_limits<T>::max()));
}

std::uint32_t microseconds(std::uint64_t ns) noexcept { return limited<std::uint32_t>(ns / 1'000); }

}  // namespace

TcpInfo tcp_info(tcp::Connection& connection, std::uint64_t now) noexcept {
  const tcp::Info info = connection.info(now);
  const tcp::Statistics& counts = info.statistics;
  const std::uint32_t mss = std::max(info.send_mss, 1u);
  const auto segments = [&](std::uint32_t bytes) { return (bytes + mss - 1) / mss; };
  const auto since = [&](std::uint64_t at) {
    return at == 0 ? 0 : limited<std::uint32_t>((now - at) / tcp::millisecond);
  };

  TcpInfo out{};
  out.state = number_of(info.state);
  out.ca_state = number_of(info);
  out.retransmits = limited<std::uint8_t>(info.retries);
  out.probes = limited<std::uint8_t>(info.probes);
  out.backoff = limited<std::uint8_t>(info.backoff);
  out.options = static_cast<std::uint8_t>((info.timestamps ? 1 : 0) | (info.sack ? 2 : 0) |
                                          (info.scaling ? 4 : 0) | (info.ecn ? 8 : 0));
  out.scales = static_cast<std::uint8_t>(info.send_scale | info.receive_scale << 4);
  out.rto = microseconds(info.rto_ns);
  out.ato = microseconds(info.delayed_ack_ns);
  out.snd_mss = info.send_mss;
  out.rcv_mss = info.received_mss;
  out.unacked = segments(info.unacked);
  out.sacked = segments(info.sacked);
  // Linux goes on counting what was lost when it has been sent again.
  const bool repairs = info.recovery != tcp::Recovery::none;
  out.lost = segments(info.lost + (repairs ? info.sent_again : 0));
  out.retrans = segments(info.sent_again);
  out.last_data_sent = since(info.data_sent_at);
  out.last_data_recv = since(info.data_received_at);
  out.last_ack_recv = since(info.received_at);
  out.pmtu = info.path_mtu;
  out.rcv_ssthresh = info.receive_window;
  out.rtt = microseconds(info.rtt_ns);
  out.rttvar = microseconds(info.rtt_variation_ns);
  out.snd_ssthresh = info.slow_start_threshold == tcp::CongestionWindow::unlimited
                         ? tcp::CongestionWindow::unlimited
                         : info.slow_start_threshold / mss;
  // Less than a segment is none that may be sent, but a window of none does not exist.
  out.snd_cwnd = std::max(info.congestion_window / mss, 1u);
  out.advmss = info.offered_mss;
  out.reordering = info.reordering;
  out.rcv_rtt = microseconds(info.receive_rtt_ns);
  out.rcv_space = info.receive_buffer;
  out.total_retrans = limited<std::uint32_t>(counts.retransmissions);
  out.pacing_rate = out.max_pacing_rate = std::numeric_limits<std::uint64_t>::max();
  out.bytes_acked = counts.bytes_acked;
  out.bytes_received = counts.bytes_received;
  out.segs_out = static_cast<std::uint32_t>(counts.segments_sent);
  out.segs_in = static_cast<std::uint32_t>(counts.segments_received);
  out.notsent_bytes = info.unsent;
  out.min_rtt = info.least_rtt_ns == 0 ? std::numeric_limits<std::uint32_t>::max()
                                       : microseconds(info.least_rtt_ns);
  out.data_segs_in = static_cast<std::uint32_t>(counts.data_segments_received);
  out.data_segs_out = static_cast<std::uint32_t>(counts.data_segments_sent);
  out.busy_time = counts.busy_ns / 1'000;
  out.rwnd_limited = counts.peer_window_ns / 1'000;
  out.sndbuf_limited = counts.send_buffer_ns / 1'000;
  out.bytes_sent = counts.bytes_sent;
  out.bytes_retrans = counts.bytes_retransmitted;
  out.dsack_dups = limited<std::uint32_t>(counts.duplicates_reported);
  out.reord_seen = info.reordering_seen ? 1 : 0;
  out.rcv_ooopack = limited<std::uint32_t>(counts.early_segments);
  out.snd_wnd = info.send_window;
  out.rcv_wnd = info.receive_window;
  out.total_rto = limited<std::uint16_t>(counts.timeouts);
  return out;
}

}  // namespace lichen::net::socket

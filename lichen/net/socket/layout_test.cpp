// Numbers and layouts, as Linux has them.
#include <asm/socket.h>
#include <gtest/gtest.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>

#include <cstddef>

#include "lichen/net/socket/options.hpp"

namespace lichen::net::socket {
namespace {

static_assert(level::socket == SOL_SOCKET && level::ip == IPPROTO_IP && level::tcp == IPPROTO_TCP &&
              level::ipv6 == IPPROTO_IPV6);
static_assert(so::reuse_address == SO_REUSEADDR && so::type == SO_TYPE && so::error == SO_ERROR &&
              so::broadcast == SO_BROADCAST && so::send_buffer == SO_SNDBUF &&
              so::receive_buffer == SO_RCVBUF && so::keep_alive == SO_KEEPALIVE &&
              so::oob_inline == SO_OOBINLINE && so::linger == SO_LINGER &&
              so::receive_low_water == SO_RCVLOWAT && so::send_low_water == SO_SNDLOWAT &&
              so::receive_timeout == SO_RCVTIMEO_OLD && so::send_timeout == SO_SNDTIMEO_OLD &&
              so::accept_conn == SO_ACCEPTCONN && so::protocol == SO_PROTOCOL &&
              so::domain == SO_DOMAIN && so::receive_timeout_new == SO_RCVTIMEO_NEW &&
              so::send_timeout_new == SO_SNDTIMEO_NEW);
static_assert(tcp_option::no_delay == TCP_NODELAY && tcp_option::max_segment == TCP_MAXSEG &&
              tcp_option::cork == TCP_CORK && tcp_option::keep_idle == TCP_KEEPIDLE &&
              tcp_option::keep_interval == TCP_KEEPINTVL && tcp_option::keep_count == TCP_KEEPCNT &&
              tcp_option::syn_count == TCP_SYNCNT && tcp_option::linger2 == TCP_LINGER2 &&
              tcp_option::defer_accept == TCP_DEFER_ACCEPT &&
              tcp_option::window_clamp == TCP_WINDOW_CLAMP && tcp_option::info == TCP_INFO &&
              tcp_option::quick_ack == TCP_QUICKACK && tcp_option::congestion == TCP_CONGESTION &&
              tcp_option::user_timeout == TCP_USER_TIMEOUT &&
              tcp_option::unsent_low_water == TCP_NOTSENT_LOWAT &&
              tcp_option::congestion_info == TCP_CC_INFO && tcp_option::inq == TCP_INQ &&
              so::memory_info == SO_MEMINFO);
static_assert(ip_option::tos == IP_TOS && ip_option::ttl == IP_TTL &&
              ip_option::mtu_discover == IP_MTU_DISCOVER && ip_option::mtu == IP_MTU);
static_assert(ipv6_option::unicast_hops == IPV6_UNICAST_HOPS &&
              ipv6_option::mtu_discover == IPV6_MTU_DISCOVER && ipv6_option::mtu == IPV6_MTU &&
              ipv6_option::v6_only == IPV6_V6ONLY && ipv6_option::traffic_class == IPV6_TCLASS);

#define SAME(field)                                                               \
  static_assert(offsetof(TcpInfo, field) == offsetof(::tcp_info, tcpi_##field) && \
                sizeof(TcpInfo::field) == sizeof(::tcp_info::tcpi_##field))
SAME(state);
SAME(ca_state);
SAME(retransmits);
SAME(probes);
SAME(backoff);
SAME(options);
SAME(rto);
SAME(ato);
SAME(snd_mss);
SAME(rcv_mss);
SAME(unacked);
SAME(sacked);
SAME(lost);
SAME(retrans);
SAME(fackets);
SAME(last_data_sent);
SAME(last_ack_sent);
SAME(last_data_recv);
SAME(last_ack_recv);
SAME(pmtu);
SAME(rcv_ssthresh);
SAME(rtt);
SAME(rttvar);
SAME(snd_ssthresh);
SAME(snd_cwnd);
SAME(advmss);
SAME(reordering);
SAME(rcv_rtt);
SAME(rcv_space);
SAME(total_retrans);
SAME(pacing_rate);
SAME(max_pacing_rate);
SAME(bytes_acked);
SAME(bytes_received);
SAME(segs_out);
SAME(segs_in);
SAME(notsent_bytes);
SAME(min_rtt);
SAME(data_segs_in);
SAME(data_segs_out);
SAME(delivery_rate);
SAME(busy_time);
SAME(rwnd_limited);
SAME(sndbuf_limited);
SAME(delivered);
SAME(delivered_ce);
SAME(bytes_sent);
SAME(bytes_retrans);
SAME(dsack_dups);
SAME(reord_seen);
SAME(rcv_ooopack);
SAME(snd_wnd);
#undef SAME

TEST(TcpInfoLayout, TheScalesShareAByte) {
  struct ::tcp_info theirs{};
  theirs.tcpi_snd_wscale = 7;
  theirs.tcpi_rcv_wscale = 9;
  EXPECT_EQ(reinterpret_cast<const unsigned char*>(&theirs)[offsetof(TcpInfo, scales)], 7 | 9 << 4);
}

}  // namespace
}  // namespace lichen::net::socket

#include "lichen/net/socket/options.hpp"

#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>

#include <cerrno>
#include <limits>
#include <string>

#include "lichen/base/random.hpp"
#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::socket {
namespace {

using tcp::Config;
using tcp::millisecond;
using tcp::Script;
using tcp::second;
using tcp::State;

// ---- a socket with a connection in a script

struct World {
  explicit World(Config config = tcp::plain()) : settings{Family::ipv4, Kind::stream, config} {}

  // The connection of what was set so far.
  void open(std::string_view peer = "win=65535 mss=1460") {
    make();
    script->open(peer);
  }
  void make() {
    script = std::make_unique<Script>(settings.tcp);
    opened(target());
  }
  Target target() {
    return {.settings = settings,
            .now = script ? script->now : second,
            .connection = script ? script->connection.get() : nullptr};
  }
  int set(int level, int name, int value) {
    const int failed = socket::set(target(), level, name, std::as_bytes(std::span{&value, 1}));
    if (script) script->flush();
    return failed;
  }
  int get(int level, int name) {
    int value = -1;
    std::size_t size = sizeof value;
    const int failed =
        socket::get(target(), level, name, std::as_writable_bytes(std::span{&value, 1}), size);
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(size, sizeof value);
    return value;
  }
  TcpInfo info() { return tcp_info(*script->connection, script->now); }

  Settings settings;
  std::unique_ptr<Script> script;
};

EXCHANGE(NoDelayIsAnOption, "Linux TCP_NODELAY", "set: what Nagle's rule holds back goes at once") {
  Config config = tcp::plain();
  config.no_delay = false;
  World w{config};
  w.open();
  Script& s = *w.script;
  s.write(10);
  s.out("PA 1:11");
  s.write(10);
  s.quiet();
  EXPECT_EQ(w.get(level::tcp, tcp_option::no_delay), 0);
  EXPECT_EQ(w.set(level::tcp, tcp_option::no_delay, 1), 0);
  s.out("PA 11:21");
  EXPECT_EQ(w.get(level::tcp, tcp_option::no_delay), 1);
}

EXCHANGE(CorkIsAnOption, "Linux TCP_CORK", "set: full segments only; cleared: the rest at once") {
  World w;
  EXPECT_EQ(w.set(level::tcp, tcp_option::cork, 1), 0);
  w.open();
  Script& s = *w.script;
  s.write(2'000);
  s.out("A 1:1461");
  s.quiet();
  EXPECT_EQ(w.set(level::tcp, tcp_option::cork, 0), 0);
  s.out("PA 1461:2001");
}

EXCHANGE(MaxSegmentIsAnOption, "Linux TCP_MAXSEG", "what is offered and sent is no larger") {
  World w;
  EXPECT_EQ(w.get(level::tcp, tcp_option::max_segment), 536);
  EXPECT_EQ(w.set(level::tcp, tcp_option::max_segment, 87), EINVAL);
  EXPECT_EQ(w.set(level::tcp, tcp_option::max_segment, 32'768), EINVAL);
  EXPECT_EQ(w.set(level::tcp, tcp_option::max_segment, 500), 0);
  EXPECT_EQ(w.get(level::tcp, tcp_option::max_segment), 500);
  w.make();
  Script& s = *w.script;
  s.connect();
  s.out("S 0 mss=500");
  s.in("SA 0 ack=1 win=65535 mss=1460");
  s.out("A 1 ack=1");
  s.write(1'000);
  s.out("A 1:501");
  s.out("PA 501:1001");
  EXPECT_EQ(w.get(level::tcp, tcp_option::max_segment), 500);
}

EXCHANGE(KeepAliveIsAnOption, "Linux SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT",
         "probes as chosen, on an open connection, then the end with ETIMEDOUT") {
  World w;
  w.open();
  Script& s = *w.script;
  EXPECT_EQ(w.get(level::tcp, tcp_option::keep_idle), 7'200);
  EXPECT_EQ(w.get(level::tcp, tcp_option::keep_interval), 75);
  EXPECT_EQ(w.get(level::tcp, tcp_option::keep_count), 9);
  EXPECT_EQ(w.set(level::tcp, tcp_option::keep_idle, 10), 0);
  EXPECT_EQ(w.set(level::tcp, tcp_option::keep_interval, 2), 0);
  EXPECT_EQ(w.set(level::tcp, tcp_option::keep_count, 2), 0);
  s.pass(30'000);
  s.quiet();
  EXPECT_EQ(w.set(level::socket, so::keep_alive, 1), 0);
  s.pass(1);
  s.out("A 0");
  s.in("A 1 ack=1");
  s.pass(10'000);
  s.out("A 0");
  s.pass(2'000);
  s.out("A 0");
  s.pass(2'000);
  s.out("RA 1");
  s.state(State::closed);
  EXPECT_EQ(w.get(level::socket, so::error), ETIMEDOUT);
  EXPECT_EQ(w.get(level::socket, so::error), 0) << "told once";
  for (const int bad : {0, -1, 32'768}) {
    EXPECT_EQ(w.set(level::tcp, tcp_option::keep_idle, bad), EINVAL);
    EXPECT_EQ(w.set(level::tcp, tcp_option::keep_interval, bad), EINVAL);
  }
  EXPECT_EQ(w.set(level::tcp, tcp_option::keep_count, 128), EINVAL);
}

EXCHANGE(SynCountIsAnOption, "Linux TCP_SYNCNT", "so many SYNs again, then ETIMEDOUT") {
  World w;
  EXPECT_EQ(w.get(level::tcp, tcp_option::syn_count), 6);
  EXPECT_EQ(w.set(level::tcp, tcp_option::syn_count, 0), EINVAL);
  EXPECT_EQ(w.set(level::tcp, tcp_option::syn_count, 1), 0);
  w.make();
  Script& s = *w.script;
  s.connect();
  s.pass(2'999);
  EXPECT_EQ(s.count(), 2u);
  s.pass(1);
  s.forget();
  s.state(State::closed);
  EXPECT_EQ(w.get(level::socket, so::error), ETIMEDOUT);
}

EXCHANGE(UserTimeoutIsAnOption, "Linux TCP_USER_TIMEOUT, RFC 5482",
         "without progress for so long: ETIMEDOUT") {
  World w;
  w.open();
  Script& s = *w.script;
  EXPECT_EQ(w.set(level::tcp, tcp_option::user_timeout, -1), EINVAL);
  s.write(10);
  EXPECT_EQ(w.set(level::tcp, tcp_option::user_timeout, 3'000), 0);
  EXPECT_EQ(w.get(level::tcp, tcp_option::user_timeout), 3'000);
  s.pass(2'999);
  s.state(State::established);
  s.pass(1);
  s.state(State::closed);
  s.forget();
  EXPECT_EQ(w.get(level::socket, so::error), ETIMEDOUT);
}

EXCHANGE(LingerTwoIsAnOption, "Linux TCP_LINGER2", "how long FIN-WAIT-2 lasts without an app") {
  World w;
  EXPECT_EQ(w.get(level::tcp, tcp_option::linger2), 60);
  EXPECT_EQ(w.set(level::tcp, tcp_option::linger2, 7), 0);
  EXPECT_EQ(w.set(level::tcp, tcp_option::linger2, 0), 0);
  EXPECT_EQ(w.get(level::tcp, tcp_option::linger2), 60) << "0 is no time, but what is usual";
  w.open();
  Script& s = *w.script;
  EXPECT_EQ(w.set(level::tcp, tcp_option::linger2, 5), 0);
  s.release();
  s.out("FA 1 ack=1");
  s.in("A 1 ack=2");
  s.pass(4'999);
  s.state(State::fin_wait_2);
  s.pass(1);
  s.state(State::closed);
}

EXCHANGE(DeferAcceptWaitsForData, "Linux TCP_DEFER_ACCEPT",
         "a passive opening is told of with its first data") {
  World w;
  EXPECT_EQ(w.set(level::tcp, tcp_option::defer_accept, 5), 0);
  EXPECT_EQ(w.get(level::tcp, tcp_option::defer_accept), 5);
  w.make();
  Script& s = *w.script;
  s.accept("S 0 win=65535 mss=1460");
  s.out("SA 0 ack=1");
  s.in("A 1 ack=1");
  EXPECT_EQ(s.changes & tcp::change::connected, 0);
  s.pass(4'000);
  s.in("PA 1:11 ack=1");
  EXPECT_NE(s.changes & tcp::change::connected, 0);
  EXPECT_EQ(s.read(), 10u);
  s.forget();
}

EXCHANGE(DeferAcceptEnds, "Linux TCP_DEFER_ACCEPT", "or without any when the time is over") {
  World w;
  EXPECT_EQ(w.set(level::tcp, tcp_option::defer_accept, 5), 0);
  w.make();
  Script& s = *w.script;
  s.accept("S 0 win=65535 mss=1460");
  s.out("SA 0 ack=1");
  s.in("A 1 ack=1");
  s.pass(4'999);
  EXPECT_EQ(s.changes & tcp::change::connected, 0);
  s.pass(1);
  EXPECT_NE(s.changes & tcp::change::connected, 0);
}

EXCHANGE(BuffersAreOptions, "Linux SO_RCVBUF, TCP_WINDOW_CLAMP",
         "the window is half of the buffer, and no more than the clamp") {
  World w;
  EXPECT_EQ(w.set(level::socket, so::receive_buffer, 10'000), 0);
  EXPECT_EQ(w.get(level::socket, so::receive_buffer), 20'000) << "twice, as Linux";
  w.make();
  w.script->connect();
  w.script->out("S 0 win=8760");

  World clamped;
  EXPECT_EQ(clamped.set(level::tcp, tcp_option::window_clamp, 4'000), 0);
  clamped.make();
  Script& s = *clamped.script;
  s.connect();
  s.out("S 0 win=2920");
  s.in("SA 0 ack=1 win=65535 mss=1460");
  s.out("A 1 ack=1 win=2920");
  EXPECT_EQ(clamped.set(level::tcp, tcp_option::window_clamp, 0), EINVAL) << "it is open";
  EXPECT_EQ(clamped.set(level::tcp, tcp_option::window_clamp, 60'000), 0);
  s.out("A 1 ack=1 win=60000");
  EXPECT_EQ(clamped.get(level::tcp, tcp_option::window_clamp), 60'000);
}

EXCHANGE(TheSendBufferIsAnOption, "Linux SO_SNDBUF", "write() takes twice what was asked for") {
  World w;
  EXPECT_EQ(w.set(level::socket, so::send_buffer, 1), 0);
  EXPECT_EQ(w.get(level::socket, so::send_buffer), 4'608) << "no less than this";
  EXPECT_EQ(w.set(level::socket, so::send_buffer, 1 << 30), 0);
  EXPECT_EQ(w.get(level::socket, so::send_buffer), 425'984) << "no more than that";
  w.open("win=0 mss=1460");
  EXPECT_EQ(w.set(level::socket, so::send_buffer, 3'000), 0);
  EXPECT_EQ(w.script->connection->writable(), 6'000u);
  w.script->write(6'000);
  EXPECT_EQ(w.script->connection->writable(), 0u);
}

EXCHANGE(QuickAckIsAnOption, "Linux TCP_QUICKACK",
         "set: at once; cleared: delayed; an answer clears it") {
  World w;
  EXPECT_EQ(w.set(level::tcp, tcp_option::quick_ack, 0), 0);
  w.open();
  Script& s = *w.script;
  EXPECT_EQ(w.set(level::tcp, tcp_option::quick_ack, 0), 0);
  s.in("PA 1:11 ack=1");
  s.quiet();
  EXPECT_EQ(w.set(level::tcp, tcp_option::quick_ack, 1), 0);
  s.out("A 1 ack=11");
  s.in("PA 11:21 ack=1");
  s.out("A 1 ack=21");
  EXPECT_EQ(s.read(), 20u);
  EXPECT_EQ(w.get(level::tcp, tcp_option::quick_ack), 1);
  s.write(10);
  EXPECT_EQ(w.get(level::tcp, tcp_option::quick_ack), 0);
}

EXCHANGE(TheCongestionControlIsAnOption, "Linux TCP_CONGESTION",
         "reno halves the window where cubic keeps seven tenths") {
  for (const std::string name : {"reno", "cubic"}) {
    World w{tcp::modern()};
    w.open("win=65535 mss=1460 sackok");
    std::array<char, 16> text{};
    std::size_t size = text.size();
    EXPECT_EQ(set(w.target(), level::tcp, tcp_option::congestion, std::as_bytes(std::span{name})),
              0);
    EXPECT_EQ(get(w.target(), level::tcp, tcp_option::congestion,
                  std::as_writable_bytes(std::span{text}), size),
              0);
    EXPECT_EQ(text.data(), name);
    Script& s = *w.script;
    s.write(14'600);
    s.forget();
    s.in("A 1 ack=1 sack=1461-5841");
    EXPECT_EQ(w.info().snd_ssthresh, name == "reno" ? 5u : 7u);
    s.forget();
  }
  World w;
  EXPECT_EQ(set(w.target(), level::tcp, tcp_option::congestion,
                std::as_bytes(std::span{std::string_view{"bbr"}})),
            ENOENT);
}

EXCHANGE(PacketsAreMarkedAsChosen, "Linux IP_TTL, IP_TOS, IP_MTU_DISCOVER",
         "hop limit, traffic class and don't-fragment of each packet; ECN's bits stay TCP's") {
  World w;
  EXPECT_EQ(w.get(level::ip, ip_option::ttl), 64);
  w.open();
  Script& s = *w.script;
  EXPECT_EQ(w.set(level::ip, ip_option::ttl, 5), 0);
  EXPECT_EQ(w.set(level::ip, ip_option::tos, 0x13), 0);
  EXPECT_EQ(w.set(level::ip, ip_option::mtu_discover, IP_PMTUDISC_DONT), 0);
  s.write(10);
  ASSERT_EQ(s.count(), 1u);
  EXPECT_EQ(s.sent.front().ip,
            (tcp::IpOptions{.hop_limit = 5, .traffic_class = 0x10, .dont_fragment = false}));
  s.forget();
  EXPECT_EQ(w.get(level::ip, ip_option::ttl), 5);
  EXPECT_EQ(w.get(level::ip, ip_option::tos), 0x10);
  EXPECT_EQ(w.set(level::ip, ip_option::ttl, -1), 0);
  EXPECT_EQ(w.get(level::ip, ip_option::ttl), 64);
  EXPECT_EQ(w.set(level::ip, ip_option::ttl, 0), EINVAL);
  EXPECT_EQ(w.set(level::ip, ip_option::ttl, 256), EINVAL);
  EXPECT_EQ(w.set(level::ip, ip_option::mtu_discover, 6), EINVAL);
  EXPECT_EQ(w.set(level::ip, ip_option::mtu_discover, IP_PMTUDISC_PROBE), ENOPROTOOPT);
  EXPECT_EQ(w.get(level::ip, ip_option::mtu), 1'500);
  const auto byte = std::byte{7};
  EXPECT_EQ(set(w.target(), level::ip, ip_option::ttl, {&byte, 1}), 0) << "a byte will do";
  EXPECT_EQ(w.get(level::ip, ip_option::ttl), 7);
}

EXCHANGE(LowWaterMakesReadable, "Linux SO_RCVLOWAT", "fewer bytes do not, the end does") {
  World w;
  w.open();
  Script& s = *w.script;
  EXPECT_EQ(w.set(level::socket, so::receive_low_water, 20), 0);
  s.in("PA 1:11 ack=1");
  EXPECT_FALSE(is_readable(w.target()));
  s.in("PA 11:21 ack=1");
  EXPECT_TRUE(is_readable(w.target()));
  EXPECT_EQ(s.read(), 20u);
  EXPECT_FALSE(is_readable(w.target()));
  s.in("FA 21 ack=1");
  EXPECT_TRUE(is_readable(w.target()));
  s.forget();
}

EXCHANGE(InfoTells, "Linux TCP_INFO",
         "state, scales, what is on its way, round trip, what was held up") {
  Config config = tcp::modern();
  World w{config};
  w.open("win=1460 mss=1460 sackok ws=7");
  Script& s = *w.script;
  TcpInfo info = w.info();
  EXPECT_EQ(info.state, 1) << "TCP_ESTABLISHED";
  EXPECT_EQ(info.options, TCPI_OPT_SACK | TCPI_OPT_WSCALE);
  EXPECT_EQ(info.scales & 15, 7);
  EXPECT_EQ(info.snd_cwnd, 10u);
  EXPECT_EQ(info.snd_mss, 1'460u);
  EXPECT_EQ(info.advmss, 1'460u);
  EXPECT_EQ(info.pmtu, 1'500u);
  EXPECT_EQ(info.rto, 200'000u);
  EXPECT_EQ(info.snd_wnd, 1'460u);
  EXPECT_EQ(info.busy_time, 0u);
  s.write(2'920);
  s.out("A 1:1461");
  s.pass(50);
  info = w.info();
  EXPECT_EQ(info.unacked, 1u);
  EXPECT_EQ(info.notsent_bytes, 1'460u);
  EXPECT_EQ(info.busy_time, 50'000u);
  EXPECT_EQ(info.rwnd_limited, 50'000u);
  s.in("A 1 ack=1461 win=1000");
  s.out("PA 1461:2921");
  s.pass(20);
  s.in("A 1 ack=2921 win=1000");
  s.pass(30);
  info = w.info();
  EXPECT_EQ(info.unacked, 0u);
  EXPECT_EQ(info.busy_time, 70'000u);
  EXPECT_EQ(info.rwnd_limited, 50'000u);
  EXPECT_EQ(info.bytes_acked, 2'920u);
  EXPECT_EQ(info.data_segs_out, 2u);
  EXPECT_EQ(info.last_data_sent, 50u);
  EXPECT_EQ(info.last_ack_recv, 30u);
  EXPECT_GT(info.rtt, 0u);
}

EXCHANGE(ErrorsAreTold, "Linux SO_ERROR", "a refusal and a reset, each once") {
  World refused;
  refused.make();
  refused.script->connect();
  refused.script->forget();
  refused.script->in("RA 0 ack=1");
  EXPECT_EQ(refused.get(level::socket, so::error), ECONNREFUSED);
  EXPECT_EQ(refused.get(level::socket, so::error), 0);
  World reset;
  reset.open();
  EXPECT_EQ(reset.get(level::socket, so::error), 0);
  reset.script->in("R 1");
  EXPECT_EQ(reset.get(level::socket, so::error), ECONNRESET);
}

// ---- what needs no connection

TEST(SocketOptions, TellWhatItIs) {
  World w;
  EXPECT_EQ(w.get(level::socket, so::type), 1);
  EXPECT_EQ(w.get(level::socket, so::protocol), IPPROTO_TCP);
  EXPECT_EQ(w.get(level::socket, so::domain), 2);
  EXPECT_EQ(w.get(level::socket, so::accept_conn), 0);
  EXPECT_EQ(w.get(level::socket, so::send_low_water), 1);
  EXPECT_EQ(w.get(level::socket, so::oob_inline), 1);
  for (const int name : {so::type, so::protocol, so::domain, so::accept_conn, so::error})
    EXPECT_EQ(w.set(level::socket, name, 1), ENOPROTOOPT);
  tcp::Listener listener;
  listener.backlog = 7;
  Target target = w.target();
  target.listener = &listener;
  TcpInfo info{};
  std::size_t size = sizeof info;
  EXPECT_EQ(
      get(target, level::tcp, tcp_option::info, std::as_writable_bytes(std::span{&info, 1}), size),
      0);
  EXPECT_EQ(info.state, 10) << "TCP_LISTEN";
  EXPECT_EQ(info.sacked, 7u);
  size = 8;
  EXPECT_EQ(
      get(target, level::tcp, tcp_option::info, std::as_writable_bytes(std::span{&info, 1}), size),
      0);
  EXPECT_EQ(size, 8u) << "as much as there is room for";
}

TEST(SocketOptions, WhatIsNotHonouredSaysSo) {
  World w;
  for (const int name : {SO_REUSEPORT, SO_PRIORITY, SO_DONTROUTE, SO_SNDLOWAT, SO_MARK})
    EXPECT_EQ(w.set(level::socket, name, 1), ENOPROTOOPT);
  EXPECT_EQ(w.set(level::socket, so::oob_inline, 0), ENOPROTOOPT);
  for (const int name : {TCP_FASTOPEN, TCP_MD5SIG, TCP_ULP, TCP_SAVE_SYN, 1'000, -1})
    EXPECT_EQ(w.set(level::tcp, name, 1), ENOPROTOOPT);
  EXPECT_EQ(w.set(level::ip, IP_RECVERR, 1), ENOPROTOOPT);
  EXPECT_EQ(w.set(level::ipv6, ipv6_option::v6_only, 1), ENOPROTOOPT) << "a socket of IPv4";
  EXPECT_EQ(w.set(12'345, 1, 1), ENOPROTOOPT);
  Settings udp{Family::ipv4, Kind::datagram, {}};
  const int on = 1;
  EXPECT_EQ(
      set({.settings = udp}, level::tcp, tcp_option::no_delay, std::as_bytes(std::span{&on, 1})),
      ENOPROTOOPT);
  std::size_t size = 4;
  std::array<std::byte, 4> room;
  EXPECT_EQ(get(w.target(), level::ip, ip_option::mtu, room, size), ENOTCONN);
}

TEST(SocketOptions, ValuesThatAreTooShortAreInvalid) {
  World w;
  const std::array<std::byte, 3> value{};
  for (const int name : {so::reuse_address, so::linger, so::receive_timeout, so::send_buffer})
    EXPECT_EQ(set(w.target(), level::socket, name, value), EINVAL);
  EXPECT_EQ(set(w.target(), level::tcp, tcp_option::no_delay, value), EINVAL);
  EXPECT_EQ(set(w.target(), level::tcp, tcp_option::congestion, {}), EINVAL);
  EXPECT_EQ(set(w.target(), level::ip, ip_option::ttl, {}), EINVAL);
  EXPECT_EQ(w.set(level::socket, so::linger, 1), EINVAL);
  EXPECT_EQ(w.set(level::socket, so::receive_timeout, 1), EINVAL);
}

TEST(SocketOptions, LingerAndTimeouts) {
  World w;
  const Linger linger{1, 3};
  EXPECT_EQ(set(w.target(), level::socket, so::linger, std::as_bytes(std::span{&linger, 1})), 0);
  EXPECT_TRUE(w.settings.linger);
  EXPECT_EQ(w.settings.linger_seconds, 3u);
  TimeValue time{2, 500'000};
  EXPECT_EQ(set(w.target(), level::socket, so::receive_timeout, std::as_bytes(std::span{&time, 1})),
            0);
  EXPECT_EQ(w.settings.receive_timeout, 2'500 * millisecond);
  TimeValue told{};
  std::size_t size = sizeof told;
  EXPECT_EQ(get(w.target(), level::socket, so::receive_timeout,
                std::as_writable_bytes(std::span{&told, 1}), size),
            0);
  EXPECT_EQ(told.seconds, 2);
  EXPECT_EQ(told.microseconds, 500'000);
  time.microseconds = 1'000'000;
  EXPECT_EQ(set(w.target(), level::socket, so::send_timeout, std::as_bytes(std::span{&time, 1})),
            EDOM);
}

TEST(SocketOptions, FamiliesOfAListener) {
  Settings settings{Family::ipv6, Kind::stream, {}};
  EXPECT_EQ(settings.families(), tcp::Families::both);
  const int on = 1;
  EXPECT_EQ(set({.settings = settings}, level::ipv6, ipv6_option::v6_only,
                std::as_bytes(std::span{&on, 1})),
            0);
  EXPECT_EQ(settings.families(), tcp::Families::ipv6);
  settings.bound = true;
  EXPECT_EQ(set({.settings = settings}, level::ipv6, ipv6_option::v6_only,
                std::as_bytes(std::span{&on, 1})),
            EINVAL);
  EXPECT_EQ((Settings{Family::ipv4, Kind::stream, {}}.families()), tcp::Families::ipv4);
}

// Any bytes for any option, before and while there is a connection: never more than an error.
TEST(SocketOptions, AnythingMayBeSet) {
  base::Random random{7};
  for (int round = 0; round < 200; ++round) {
    World w{tcp::modern()};
    const auto poke = [&] {
      std::array<std::byte, 24> value;
      for (std::byte& byte : value)
        byte = random.below(3) == 0 ? static_cast<std::byte>(random.below(256)) : std::byte{};
      static constexpr int levels[] = {0, 1, 6, 41};
      const int level = levels[random.below(4)];
      const int name = static_cast<int>(random.below(80));
      const int failed =
          set(w.target(), level, name, std::span{value}.first(random.below(value.size() + 1)));
      EXPECT_GE(failed, 0);
      std::size_t size = random.below(value.size() + 1);
      const std::size_t room = size;
      EXPECT_GE(get(w.target(), level, name, std::span{value}.first(size), size), 0);
      EXPECT_LE(size, room);
    };
    for (int i = 0; i < 20; ++i) poke();
    w.make();
    Script& s = *w.script;
    s.connect();
    s.in("SA 0 ack=1 win=65535 mss=1460 ws=3 sackok");
    for (int i = 0; i < 20 && s.info().state != State::closed; ++i) {
      poke();
      s.flush();
      s.check();
      if (s.connection->writable() >= 3'000 && s.info().state == State::established) s.write(3'000);
      s.pass(random.below(500));
    }
    s.forget();
  }
}

}  // namespace
}  // namespace lichen::net::socket

#include "lichen/net/socket/groups.hpp"

#include <linux/in.h>
#include <linux/in6.h>

#include <cerrno>
#include <cstring>

#include "lichen/net/ip/test_host.hpp"
#include "lichen/net/socket/options.hpp"

namespace lichen::net::socket {
namespace {

using ip::ip;

static_assert(ip_option::add_membership == IP_ADD_MEMBERSHIP &&
              ip_option::drop_membership == IP_DROP_MEMBERSHIP &&
              ip_option::multicast_ttl == IP_MULTICAST_TTL &&
              ip_option::multicast_loop == IP_MULTICAST_LOOP);
static_assert(ipv6_option::join_group == IPV6_ADD_MEMBERSHIP &&
              ipv6_option::leave_group == IPV6_DROP_MEMBERSHIP &&
              ipv6_option::multicast_hops == IPV6_MULTICAST_HOPS &&
              ipv6_option::multicast_loop == IPV6_MULTICAST_LOOP);

struct GroupOptions : ip::StackTest {
  ~GroupOptions() override {
    closing(target());
    udp.close(socket);
  }

  Target target() {
    return {.settings = settings, .now = now, .datagrams = &socket, .stack = stack.get()};
  }
  template <class T>
  int set(int level, int name, const T& value) {
    return socket::set(target(), level, name, std::as_bytes(std::span{&value, 1}));
  }
  static ::ip_mreqn ipv4(std::string_view group, std::string_view address, int number) {
    ::ip_mreqn request{};
    std::memcpy(&request.imr_multiaddr, ip(group).ipv4().octets.data(), 4);
    std::memcpy(&request.imr_address, ip(address).ipv4().octets.data(), 4);
    request.imr_ifindex = number;
    return request;
  }
  static ::ipv6_mreq ipv6(std::string_view group, int number) {
    ::ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, ip(group).octets.data(), 16);
    request.ipv6mr_ifindex = number;
    return request;
  }
  bool joined(std::string_view group) { return interface->has_joined(ip(group)); }

  Settings settings{Family::ipv6, Kind::datagram, {}};
  ip::Udp udp{*stack};
  alignas(8) std::array<std::byte, 4'096> queue;
  ip::UdpSocket socket{queue};
};

TEST_F(GroupOptions, OfIpv4) {
  constexpr int add = ip_option::add_membership;
  constexpr int drop = ip_option::drop_membership;
  const auto any = ipv4("224.1.2.3", "0.0.0.0", 0);
  EXPECT_EQ(set(level::ip, add, any), 0);
  EXPECT_TRUE(joined("224.1.2.3"));
  EXPECT_EQ(set(level::ip, add, any), EADDRINUSE);
  EXPECT_EQ(set(level::ip, add, ipv4("224.1.2.4", "10.0.0.1", 0)), 0) << "by an address";
  EXPECT_EQ(set(level::ip, add, ipv4("224.1.2.5", "0.0.0.0", 2)), 0) << "by its number";
  EXPECT_EQ(set(level::ip, add, ipv4("224.1.2.6", "10.0.0.9", 0)), ENODEV);
  EXPECT_EQ(set(level::ip, add, ipv4("224.1.2.6", "0.0.0.0", 3)), ENODEV);
  EXPECT_EQ(set(level::ip, add, ipv4("10.0.0.7", "0.0.0.0", 0)), EINVAL);
  EXPECT_EQ(set(level::ip, add, 7), EINVAL) << "too short";
  // The older form, without a number.
  ::ip_mreq old{};
  std::memcpy(&old, &any, sizeof old);
  EXPECT_EQ(set(level::ip, add, old), EADDRINUSE);
  EXPECT_EQ(set(level::ip, drop, old), 0);
  EXPECT_FALSE(joined("224.1.2.3"));
  EXPECT_EQ(set(level::ip, drop, old), EADDRNOTAVAIL);
  EXPECT_EQ(set(level::ip, drop, ipv4("224.1.2.5", "0.0.0.0", 9)), ENODEV);
  EXPECT_EQ(settings.groups.count(), 2u);
  closing(target());
  EXPECT_FALSE(joined("224.1.2.4"));
  EXPECT_FALSE(joined("224.1.2.5"));
}

TEST_F(GroupOptions, OfIpv6) {
  constexpr int add = ipv6_option::join_group;
  constexpr int drop = ipv6_option::leave_group;
  EXPECT_EQ(set(level::ipv6, add, ipv6("ff05::77", 0)), 0);
  EXPECT_EQ(set(level::ipv6, add, ipv6("ff05::78", 2)), 0);
  EXPECT_TRUE(joined("ff05::77"));
  EXPECT_TRUE(joined("ff05::78"));
  EXPECT_EQ(set(level::ipv6, add, ipv6("ff05::77", 2)), EADDRINUSE) << "the same network";
  EXPECT_EQ(set(level::ipv6, add, ipv6("ff05::79", 7)), ENODEV);
  EXPECT_EQ(set(level::ipv6, add, ipv6("2001:db8::1", 0)), EINVAL);
  EXPECT_EQ(set(level::ipv6, add, ipv6("::ffff:224.1.2.3", 0)), EINVAL);
  EXPECT_EQ(set(level::ipv6, drop, ipv6("ff05::78", 0)), 0);
  EXPECT_FALSE(joined("ff05::78"));
  EXPECT_EQ(set(level::ipv6, drop, ipv6("ff05::78", 2)), EADDRNOTAVAIL);
}

TEST_F(GroupOptions, AreCounted) {
  for (unsigned i = 0; i < Groups::most; ++i)
    EXPECT_EQ(set(level::ip, ip_option::add_membership,
                  ipv4("224.1.3." + std::to_string(i), "0.0.0.0", 0)),
              0);
  EXPECT_EQ(set(level::ip, ip_option::add_membership, ipv4("224.1.4.1", "0.0.0.0", 0)), ENOBUFS);
  // Another socket with the same group keeps it.
  Groups other;
  const auto same = ipv4("224.1.3.0", "0.0.0.0", 0);
  EXPECT_EQ(other.join_ipv4(*stack, std::as_bytes(std::span{&same, 1})), 0);
  closing(target());
  EXPECT_TRUE(joined("224.1.3.0"));
  EXPECT_FALSE(joined("224.1.3.1"));
  other.leave_all(*stack);
  EXPECT_FALSE(joined("224.1.3.0"));
}

TEST_F(GroupOptions, HopsAndLoop) {
  EXPECT_EQ(set(level::ip, ip_option::multicast_ttl, 9), 0);
  EXPECT_EQ(socket.options.group_hop_limit, 9);
  EXPECT_EQ(set(level::ip, ip_option::multicast_ttl, std::byte{4}), 0);
  EXPECT_EQ(socket.options.group_hop_limit, 4);
  EXPECT_EQ(set(level::ipv6, ipv6_option::multicast_hops, 256), EINVAL);
  EXPECT_EQ(set(level::ipv6, ipv6_option::multicast_hops, 7), 0);
  EXPECT_EQ(socket.options.group_hop_limit, 7);
  EXPECT_EQ(set(level::ip, ip_option::multicast_loop, 0), 0);
  EXPECT_EQ(set(level::ip, ip_option::multicast_loop, 1), ENOPROTOOPT) << "there are no copies";
}

TEST_F(GroupOptions, AreNotForStreams) {
  Settings stream{Family::ipv4, Kind::stream, {}};
  const Target target{.settings = stream, .stack = stack.get()};
  const auto any = ipv4("224.1.2.3", "0.0.0.0", 0);
  EXPECT_EQ(
      socket::set(target, level::ip, ip_option::add_membership, std::as_bytes(std::span{&any, 1})),
      EPROTO);
}

}  // namespace
}  // namespace lichen::net::socket

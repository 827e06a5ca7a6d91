#include "lichen/net/ip/test_host.hpp"

namespace lichen::net::ip {
namespace {

struct UdpTest : StackTest {
  UdpTest() { meet_peers(); }
  ~UdpTest() override {
    for (UdpSocket* socket : {&one, &two}) udp.close(*socket);
  }
  void datagram(std::uint16_t from, std::uint16_t to, std::string_view text,
                std::string_view from_address = "10.0.0.2",
                std::string_view to_address = "10.0.0.1") {
    const auto payload = std::as_bytes(std::span{text});
    const auto bytes = udp_packet(from, to, payload, ip(from_address), ip(to_address));
    if (ip(to_address).is_ipv4())
      receive_ipv4({.protocol = 17, .from = ip(from_address).ipv4(), .to = ip(to_address).ipv4()},
                   bytes, mac_of(to_address));
    else
      receive_ipv6(ipv6_header(17, from_address, to_address), bytes, mac_of(to_address));
  }
  wire::MacAddress mac_of(std::string_view to) const {
    const bool group = ip(to).is_multicast() || interface->is_broadcast(ip(to));
    return group ? Interface::group_mac(ip(to)) : our_mac;
  }
  std::string take(UdpSocket& socket) {
    const auto got = socket.receive(into);
    if (!got) return std::string{name(got.error())};
    return {reinterpret_cast<const char*>(into.data()), got->size};
  }
  std::vector<std::byte> memory_one = std::vector<std::byte>(2'048);
  std::vector<std::byte> memory_two = std::vector<std::byte>(2'048);
  std::vector<std::byte> into = std::vector<std::byte>(2'048);
  Udp udp{*stack};
  UdpSocket one{memory_one};
  UdpSocket two{memory_two};
};

// RFC 1122 section 4.1.3.1: nobody at the port: the sender is told.
TEST_F(UdpTest, PortUnreachable) {
  datagram(5, 6, "x");
  datagram(5, 6, "x", "2001:db8::2", "2001:db8::1");
  const auto errors = sent_icmp();
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].header.type, wire::icmp::unreachable);
  EXPECT_EQ(errors[0].header.code, wire::icmp::port_unreachable);
  EXPECT_EQ(errors[1].header.type, wire::icmpv6::unreachable);
  EXPECT_EQ(errors[1].header.code, wire::icmpv6::port_unreachable);
  EXPECT_EQ(dropped(Drop::no_port), 2u);
  datagram(5, 6, "x", "10.0.0.2", "10.0.0.255");
  EXPECT_TRUE(sent_icmp().empty());
}

// RFC 1122 section 4.1.3.3: an ICMP error reaches the socket that sent.
TEST_F(UdpTest, RefusedReachesTheSender) {
  ASSERT_TRUE(udp.connect(one, {ip("10.0.0.2"), 9}, now));
  ASSERT_TRUE(udp.send(one, {ip("10.0.0.2"), 9}, Pieces{}, now));
  ASSERT_EQ(device.sent.size(), 1u);
  const Octets sent = device.sent[0];
  receive_ipv4(
      {.protocol = 1, .from = {}, .to = {}},
      icmp({wire::icmp::unreachable, wire::icmp::port_unreachable, 0}, Bytes{sent}.subspan(14)));
  EXPECT_EQ(take(one), "connection_refused");
  EXPECT_EQ(take(one), "would_block");
}

// RFC 768, RFC 8200 section 8.1: no checksum is fine over IPv4 only.
TEST_F(UdpTest, Checksums) {
  ASSERT_TRUE(udp.open(one, {{}, 7}));
  for (const bool ipv4 : {true, false}) {
    const wire::IpAddress from = ip(ipv4 ? "10.0.0.2" : "2001:db8::2");
    const wire::IpAddress to = ip(ipv4 ? "10.0.0.1" : "2001:db8::1");
    auto bytes = udp_packet(5, 7, Octets(3), from, to);
    const auto send = [&] {
      if (ipv4)
        receive_ipv4({.protocol = 17, .from = {}, .to = {}}, bytes);
      else
        receive_ipv6(ipv6_header(17), bytes);
    };
    bytes[6] ^= std::byte{1};
    send();
    EXPECT_FALSE(one.is_readable());
    bytes[6] = bytes[7] = std::byte{0};
    send();
    EXPECT_EQ(one.is_readable(), ipv4);
    (void)take(one);
  }
  EXPECT_EQ(dropped(wire::Drop::bad_checksum), 3u);
}

// RFC 768: lengths that lie.
TEST_F(UdpTest, Lengths) {
  ASSERT_TRUE(udp.open(one, {{}, 7}));
  auto bytes = udp_packet(5, 7, Octets(8), ip("10.0.0.2"), ip("10.0.0.1"));
  for (const unsigned length : {0u, 7u, 8u, 15u, 17u, 65'535u}) {
    base::store_big(std::span{bytes}.subspan(4), static_cast<std::uint16_t>(length));
    bytes[6] = bytes[7] = std::byte{0};
    receive_ipv4({.protocol = 17, .from = {}, .to = {}}, bytes);
  }
  EXPECT_FALSE(one.is_readable());
  EXPECT_EQ(dropped(wire::Drop::bad_length) + dropped(wire::Drop::truncated), 6u);
}

TEST_F(UdpTest, QueueIsBounded) {
  ASSERT_TRUE(udp.open(one, {{}, 7}));
  const std::string text(500, 'x');
  for (int i = 0; i < 10; ++i) datagram(5, 7, text);
  EXPECT_EQ(one.dropped(), 7u);
  EXPECT_EQ(dropped(Drop::receiver_full), 7u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(take(one), text);
  EXPECT_EQ(take(one), "would_block");
  into.resize(3);
  datagram(5, 7, text);
  const auto got = one.receive(into);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->truncated);
}

// The one that fits best gets it; a connected one hears its peer only.
TEST_F(UdpTest, BestSocket) {
  one.options.shared = two.options.shared = true;
  ASSERT_TRUE(udp.open(one, {{}, 7}));
  ASSERT_TRUE(udp.open(two, {ip("10.0.0.1"), 7}));
  datagram(5, 7, "bound");
  EXPECT_EQ(take(two), "bound");
  ASSERT_TRUE(udp.connect(two, {ip("10.0.0.2"), 6}, now));
  datagram(5, 7, "any");
  EXPECT_EQ(take(one), "any");
  datagram(6, 7, "peer");
  EXPECT_EQ(take(two), "peer");
  datagram(6, 7, "six", "2001:db8::2", "2001:db8::1");
  EXPECT_EQ(take(one), "six");
  EXPECT_EQ(take(two), "would_block");
}

TEST_F(UdpTest, PortsInUse) {
  ASSERT_TRUE(udp.open(one, {{}, 7}));
  EXPECT_TRUE(udp.open(two, {ip("10.0.0.1"), 7}).failed_with(Error::address_in_use));
  EXPECT_TRUE(udp.open(two, {ip("10.0.0.9"), 8}).failed_with(Error::address_unavailable));
  EXPECT_TRUE(udp.open(one, {{}, 9}).failed_with(Error::invalid_state));
  udp.close(one);
  EXPECT_TRUE(udp.open(two, {ip("10.0.0.1"), 7}));
}

// RFC 6056: spread over the range.
TEST_F(UdpTest, EphemeralPorts) {
  std::vector<std::uint16_t> ports;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(udp.open(one, {{}, 0}));
    ports.push_back(one.local().port);
    udp.close(one);
  }
  EXPECT_GE(*std::ranges::min_element(ports), Udp::first_ephemeral);
  std::ranges::sort(ports);
  const auto same = std::ranges::unique(ports);
  EXPECT_LT(same.size(), 5u);
  EXPECT_GT(ports[50], 52'000);
  EXPECT_LT(ports[50], 62'000);
}

// RFC 1122 section 3.3.6, 4.1.3.5; RFC 1112 section 6.1.
TEST_F(UdpTest, BroadcastAndGroups) {
  ASSERT_TRUE(udp.open(one, {{}, 7}));
  EXPECT_TRUE(
      udp.send(one, {ip("10.0.0.255"), 7}, Pieces{}, now).failed_with(Error::access_denied));
  one.options.broadcast = true;
  ASSERT_TRUE(udp.send(one, {ip("10.0.0.255"), 7}, Pieces{}, now));
  ASSERT_TRUE(udp.send(one, {ip("255.255.255.255"), 7}, Pieces{}, now));
  ASSERT_TRUE(udp.send(one, {ip("239.1.2.3"), 7}, Pieces{}, now));
  ASSERT_TRUE(udp.send(one, {ip("ff02::77"), 7}, Pieces{}, now));
  ASSERT_EQ(device.sent.size(), 4u);
  EXPECT_TRUE(wire::parse_ethernet(device.sent[0])->to.is_broadcast());
  EXPECT_TRUE(wire::parse_ethernet(device.sent[1])->to.is_broadcast());
  EXPECT_EQ(wire::parse_ethernet(device.sent[2])->to, (wire::MacAddress{{1, 0, 0x5e, 1, 2, 3}}));
  EXPECT_EQ(wire::parse_ipv4(Bytes{device.sent[2]}.subspan(14), {})->ttl, 1);
  datagram(5, 7, "all", "10.0.0.2", "10.0.0.255");
  EXPECT_EQ(take(one), "all");
  datagram(5, 7, "group", "10.0.0.2", "239.1.2.3");
  EXPECT_EQ(take(one), "would_block");
  ASSERT_TRUE(stack->join(*interface, ip("239.1.2.3")));
  datagram(5, 7, "group", "10.0.0.2", "239.1.2.3");
  EXPECT_EQ(take(one), "group");
  stack->leave(*interface, ip("239.1.2.3"));
  datagram(5, 7, "group", "10.0.0.2", "239.1.2.3");
  EXPECT_EQ(take(one), "would_block");
}

// RFC 1112 section 6.1: of several interfaces one that was chosen.
TEST_F(UdpTest, TheInterfaceOfAGroup) {
  EXPECT_EQ(stack->group_interface(ip("239.1.2.3")), interface);
  TestDevice beside;
  Interface* const second = *stack->add_interface({.output = beside, .mac = peer_mac}, now);
  EXPECT_EQ(stack->group_interface(ip("239.1.2.3")), nullptr);
  ASSERT_TRUE(stack->add_route({.to = {wire::Ipv4Address{}, 0}, .interface = second->index}));
  EXPECT_EQ(stack->group_interface(ip("239.1.2.3")), second) << "the default";
  ASSERT_TRUE(stack->add_route({.to = {ip("239.0.0.0"), 8}, .interface = interface->index}));
  EXPECT_EQ(stack->group_interface(ip("239.1.2.3")), interface);
  EXPECT_EQ(stack->group_interface(ip("ff02::77")), nullptr);
}

// RFC 1122 section 3.2.1.3 (g): to itself, and never on a wire.
TEST_F(UdpTest, Loopback) {
  ASSERT_TRUE(udp.open(one, {{}, 7}));
  ASSERT_TRUE(udp.open(two, {{}, 0}));
  const std::string text = "to myself";
  for (const char* to : {"127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "2001:db8::1"}) {
    ASSERT_TRUE(udp.send(two, {ip(to), 7}, Pieces{std::as_bytes(std::span{text})}, now)) << to;
    EXPECT_FALSE(one.is_readable());
    EXPECT_EQ(stack->deadline(), 0u);
    stack->advance(now);
    EXPECT_EQ(take(one), text) << to;
  }
  // Nobody listens there: an error of ours to ourselves.
  ASSERT_TRUE(udp.connect(two, {ip("127.0.0.1"), 99}, now).failed_with(Error::invalid_state) ||
              two.remote());
  ASSERT_TRUE(udp.send(two, {ip("127.0.0.1"), 99}, Pieces{}, now));
  stack->advance(now);
  stack->advance(now);
  EXPECT_EQ(take(two), "connection_refused");
  EXPECT_TRUE(device.sent.empty());
}

TEST_F(UdpTest, NoWay) {
  ASSERT_TRUE(udp.open(one, {{}, 7}));
  EXPECT_TRUE(udp.send(one, {ip("8.8.8.8"), 7}, Pieces{}, now).failed_with(Error::unreachable));
  EXPECT_TRUE(
      udp.send(one, {ip("8.8.8.8"), 0}, Pieces{}, now).failed_with(Error::invalid_argument));
  EXPECT_TRUE(udp.send(one, {{}, 7}, Pieces{}, now).failed_with(Error::invalid_argument));
  const Octets large(65'508);
  EXPECT_TRUE(udp.send(one, {ip("10.0.0.2"), 7}, Pieces{large}, now).failed_with(Error::too_large));
  device.full = true;
  EXPECT_TRUE(udp.send(one, {ip("10.0.0.2"), 7}, Pieces{}, now).failed_with(Error::would_block));
  EXPECT_EQ(dropped(Drop::device_full), 1u);
}

}  // namespace
}  // namespace lichen::net::ip

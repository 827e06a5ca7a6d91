#include <algorithm>
#include <vector>

#include "lichen/net/ip/test_host.hpp"
#include "lichen/net/wire/fields.hpp"

namespace lichen::net::ip {
namespace {

// A report, as a router would read it.
struct Told {
  wire::IpAddress to;
  std::uint8_t type = 0;
  std::uint8_t record = 0;  // zero in the older versions
  wire::IpAddress group;

  friend bool operator==(const Told&, const Told&) = default;
};

constexpr std::uint8_t is_member = 2, leaves = 3, joins = 4;

struct Membership : StackTest {
  Told told4(std::string_view group, std::uint8_t record) {
    return {ip("224.0.0.22"), 0x22, record, ip(group)};
  }
  Told told6(std::string_view group, std::uint8_t record) {
    return {ip("ff02::16"), 143, record, ip(group)};
  }
  std::vector<Told> told() {
    std::vector<Told> all;
    for (const Octets& frame : device.sent) {
      const auto ethernet = *wire::parse_ethernet(frame);
      if (ethernet.type == wire::ether_type::ipv4) {
        const auto packet = wire::parse_ipv4(ethernet.payload, {});
        EXPECT_TRUE(packet);
        if (packet->protocol != 2) continue;
        // RFC 3376 section 4: to routers of the link, which are made to look at it.
        EXPECT_EQ(packet->ttl, 1);
        EXPECT_EQ(packet->options.size(), 4u);
        EXPECT_EQ(wire::load32(packet->options, 0), 0x94040000u);
        EXPECT_TRUE(wire::Verify{}.accepts(packet->payload));
        EXPECT_EQ(ethernet.to, packet->to.multicast_mac());
        const Bytes body = packet->payload;
        const bool is_new = wire::load8(body, 0) == 0x22;
        all.push_back({packet->to, wire::load8(body, 0),
                       is_new ? wire::load8(body, 8) : std::uint8_t{0},
                       wire::load_octets<wire::Ipv4Address>(body, is_new ? 12 : 4)});
      } else if (ethernet.type == wire::ether_type::ipv6) {
        const auto packet = wire::parse_ipv6(ethernet.payload);
        EXPECT_TRUE(packet);
        const Bytes body = packet->payload;
        const std::uint8_t type = wire::load8(body, 0);
        if (type != 143 && type != 131 && type != 132) continue;
        EXPECT_EQ(packet->hop_limit, 1);
        EXPECT_EQ(packet->next_header, wire::protocol::hop_by_hop);
        EXPECT_TRUE(packet->from.is_link_local() || packet->from.is_unspecified());
        EXPECT_TRUE(wire::Verify{
            wire::pseudo_header(packet->from, packet->to, packet->protocol, body.size())}
                        .accepts(body));
        const bool is_new = type == 143;
        all.push_back({packet->to, type, is_new ? wire::load8(body, 8) : std::uint8_t{0},
                       wire::load_octets<wire::Ipv6Address>(body, is_new ? 12 : 8)});
      }
    }
    device.sent.clear();
    return all;
  }
  void query4(std::uint8_t code, std::string_view group, bool is_new) {
    Octets bytes(is_new ? 12 : 8);
    wire::store8(bytes, 0, 0x11);
    wire::store8(bytes, 1, code);
    wire::store_octets(bytes, 4, ip(group).ipv4());
    wire::Sum sum;
    sum.add(bytes);
    wire::store16(bytes, 2, sum.checksum());
    receive_ipv4({.ttl = 1, .protocol = 2, .from = {}, .to = {{224, 0, 0, 1}}}, bytes,
                 wire::Ipv4Address{{224, 0, 0, 1}}.multicast_mac());
  }
  void query6(std::uint16_t code, std::string_view group, bool is_new,
              std::string_view from = "fe80::2") {
    Octets body(is_new ? 20 : 16);
    const wire::IpAddress about = ip(group);
    std::ranges::copy(std::as_bytes(std::span{about.octets}), body.begin());
    receive_icmpv6({130, 0, std::uint32_t{code} << 16}, body, from, "ff02::1", 1);
  }
};

// RFC 3376 section 5.1: told twice; and so is leaving. Only the last who leaves counts.
TEST_F(Membership, JoinsAndLeavesIpv4) {
  ASSERT_TRUE(stack->join(*interface, ip("224.0.0.251")));
  ASSERT_TRUE(stack->join(*interface, ip("224.0.0.251")));
  run_for(10 * second);
  EXPECT_EQ(told(), std::vector(2, told4("224.0.0.251", joins)));
  stack->leave(*interface, ip("224.0.0.251"));
  run_for(10 * second);
  EXPECT_TRUE(told().empty());
  EXPECT_TRUE(interface->has_joined(ip("224.0.0.251")));
  stack->leave(*interface, ip("224.0.0.251"));
  EXPECT_FALSE(interface->has_joined(ip("224.0.0.251")));
  run_for(10 * second);
  EXPECT_EQ(told(), std::vector(2, told4("224.0.0.251", leaves)));
  EXPECT_EQ(interface->groups().size(), 4u);  // of all machines, and of two addresses of IPv6
  // Joined again while the leaving is told.
  ASSERT_TRUE(stack->join(*interface, ip("224.0.0.251")));
  stack->leave(*interface, ip("224.0.0.251"));
  ASSERT_TRUE(stack->join(*interface, ip("224.0.0.251")));
  run_for(10 * second);
  EXPECT_EQ(told(), std::vector(2, told4("224.0.0.251", joins)));
}

// RFC 3810 section 6.1; RFC 4861 section 7.2.1: also of the groups by which neighbours are found.
TEST_F(Membership, JoinsAndLeavesIpv6) {
  ASSERT_TRUE(stack->join(*interface, ip("ff02::fb")));
  ASSERT_TRUE(
      stack->add_address(*interface, {.address = ip("2001:db8::7"), .bits = 64}, Probe::no, now));
  run_for(10 * second);
  auto all = told();
  EXPECT_EQ(std::ranges::count(all, told6("ff02::fb", joins)), 2);
  EXPECT_EQ(std::ranges::count(all, told6("ff02::1:ff00:7", joins)), 2);
  EXPECT_EQ(all.size(), 4u);
  ASSERT_TRUE(stack->remove_address(*interface, ip("2001:db8::7")));
  run_for(10 * second);
  EXPECT_EQ(told(), std::vector(2, told6("ff02::1:ff00:7", leaves)));
  // What does not leave the machine is nobody's business.
  ASSERT_TRUE(stack->join(*interface, ip("ff01::5")));
  run_for(10 * second);
  EXPECT_TRUE(told().empty());
}

// RFC 3376 section 5.2, RFC 3810 section 6.2: asked, it answers within the time that it is given.
TEST_F(Membership, AnswersQueries) {
  ASSERT_TRUE(stack->join(*interface, ip("239.1.1.1")));
  ASSERT_TRUE(stack->join(*interface, ip("239.1.1.2")));
  run_for(10 * second);
  told();
  query4(50, "0.0.0.0", true);
  run_for(5 * second);
  auto all = told();
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(std::ranges::count(all, told4("239.1.1.1", is_member)), 1);
  query4(10, "239.1.1.2", true);
  run_for(second);
  EXPECT_EQ(told(), std::vector(1, told4("239.1.1.2", is_member)));
  query4(10, "239.1.1.3", true);
  query6(1'000, "::", true);
  run_for(second);
  all = told();
  EXPECT_EQ(all.size(), 2u);  // the link-local address's and the other's, which are two
  for (const Told& one : all) EXPECT_EQ(one.record, is_member);
  // From 128 on with an exponent: 0x8f is 31 << 3 tenths.
  query4(0x8f, "239.1.1.1", true);
  run_for(25 * second);
  EXPECT_EQ(told().size(), 1u);
  // Not from somewhere behind a router.
  query6(1'000, "::", true, "2001:db8::2");
  run_for(5 * second);
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(dropped(Drop::not_link_local), 1u);
}

// RFC 3376 section 7.2, RFC 3810 section 8.2: as the oldest router understands it, for a while.
TEST_F(Membership, OldRouters) {
  query4(10, "0.0.0.0", false);
  query6(1'000, "::", false);
  run_for(5 * second);
  told();
  ASSERT_TRUE(stack->join(*interface, ip("239.1.1.1")));
  ASSERT_TRUE(stack->join(*interface, ip("ff05::7")));
  run_for(5 * second);
  auto all = told();
  EXPECT_EQ(all.size(), 4u);
  EXPECT_EQ(std::ranges::count(all, Told{ip("239.1.1.1"), 0x16, 0, ip("239.1.1.1")}), 2);
  EXPECT_EQ(std::ranges::count(all, Told{ip("ff05::7"), 131, 0, ip("ff05::7")}), 2);
  stack->leave(*interface, ip("239.1.1.1"));
  stack->leave(*interface, ip("ff05::7"));
  run_for(5 * second);
  all = told();
  EXPECT_EQ(std::ranges::count(all, Told{ip("224.0.0.2"), 0x17, 0, ip("239.1.1.1")}), 2);
  EXPECT_EQ(std::ranges::count(all, Told{ip("ff02::2"), 132, 0, ip("ff05::7")}), 2);
  query4(0, "0.0.0.0", false);
  ASSERT_TRUE(stack->join(*interface, ip("239.1.1.1")));
  run_for(5 * second);
  EXPECT_EQ(told(), std::vector(2, Told{ip("239.1.1.1"), 0x12, 0, ip("239.1.1.1")}));
  stack->leave(*interface, ip("239.1.1.1"));
  run_for(300 * second);
  EXPECT_TRUE(told().empty());  // version 1 knows no leaving
  ASSERT_TRUE(stack->join(*interface, ip("239.1.1.1")));
  run_for(5 * second);
  EXPECT_EQ(told(), std::vector(2, told4("239.1.1.1", joins)));
}

// Bounds, what makes no sense, and the cable.
TEST_F(Membership, BoundsAndBadInput) {
  for (int i = 0; i < 100; ++i) {
    wire::Ipv4Address group{{239, 2, 0, static_cast<std::uint8_t>(i)}};
    if (stack->join(*interface, group)) stack->leave(*interface, group);
  }
  EXPECT_LE(interface->groups().size(), Interface::most_groups);
  run_for(10 * second);
  EXPECT_EQ(interface->groups().size(), 4u);
  told();
  for (std::size_t size = 0; size < 12; ++size) {
    Octets bytes(size);
    if (size > 0) wire::store8(bytes, 0, 0x11);
    receive_ipv4({.ttl = 1, .protocol = 2, .from = {}, .to = {{224, 0, 0, 1}}}, bytes,
                 wire::Ipv4Address{{224, 0, 0, 1}}.multicast_mac());
  }
  query4(10, "10.0.0.1", true);
  query6(10, "2001:db8::1", true);
  run_for(10 * second);
  EXPECT_TRUE(told().empty());
  ASSERT_TRUE(stack->join(*interface, ip("239.1.1.1")));
  run_for(10 * second);
  told();
  stack->set_up(*interface, false, now);
  stack->set_up(*interface, true, now);
  run_for(10 * second);
  const auto all = told();
  EXPECT_EQ(std::ranges::count(all, told4("239.1.1.1", is_member)), 1);
}

}  // namespace
}  // namespace lichen::net::ip

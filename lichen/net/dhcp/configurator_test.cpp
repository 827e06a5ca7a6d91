// A whole stack that gets its address from a server of the test's.
#include "lichen/net/dhcp/configurator.hpp"

#include "lichen/net/ip/test_host.hpp"
#include "lichen/net/wire/fields.hpp"

namespace lichen::net::dhcp {
namespace {

using ip::second;

struct Configuring : ip::StackTest, ip::Observer {
  Configuring() : StackTest{false} { stack->set_observer(this); }
  ~Configuring() override { stack->set_observer(nullptr); }
  void address(ip::Interface& on, const ip::LocalAddress& address,
               ip::AddressEvent event) noexcept override {
    configurator.address(on, address, event);
  }
  // Lets time pass, with the server answering.
  void run(std::uint64_t time) {
    const std::uint64_t end = now + time;
    for (;;) {
      serve();
      const std::uint64_t next = std::min(stack->deadline(), configurator.deadline());
      if (next > end) break;
      now = std::max(now, next);
      if (stack->deadline() <= now) stack->advance(now);
      if (configurator.deadline() <= now) configurator.advance(now);
    }
    now = end;
  }
  void serve() {
    auto frames = std::move(device.sent);
    device.sent.clear();
    for (const auto& frame : frames) {
      const auto ethernet = *wire::parse_ethernet(frame);
      if (ethernet.type == wire::ether_type::arp) {
        const auto arp = *wire::parse_arp(ethernet.payload);
        if (taken && arp.target == leased)
          receive_arp({wire::ArpOperation::reply, ip::peer_mac, leased, {}, {}});
        if (arp.target == server && arp.sender == leased)
          receive_arp({wire::ArpOperation::reply, ip::peer_mac, server, ip::our_mac, leased});
        continue;
      }
      if (ethernet.type != wire::ether_type::ipv4) continue;
      const auto packet = *wire::parse_ipv4(ethernet.payload, {});
      const auto udp = wire::parse_udp(packet.payload, wire::Verify::done_by_device(),
                                       wire::NoChecksum::accepted);
      if (!udp || udp->to_port != server_port) continue;
      const auto type = static_cast<MessageType>(wire::load8(udp->payload, 242));
      types.push_back(type);
      if (!answers || type == MessageType::decline || type == MessageType::release) continue;
      const bool ack = type == MessageType::request;
      ip::Octets reply(240);
      wire::store8(reply, 0, 2);
      wire::store8(reply, 1, 1);
      wire::store8(reply, 2, 6);
      wire::store32(reply, 4, wire::load32(udp->payload, 4));
      wire::store_octets(reply, 16, leased);
      wire::store_octets(reply, 28, ip::our_mac);
      wire::store32(reply, 236, 0x63825363);
      for (const unsigned byte :
           {53u, 1u, ack ? 5u : 2u, 54u, 4u, 10u,  0u,  0u, 254u, 1u, 4u, 255u, 255u, 255u, 0u,
            3u,  4u, 10u,           0u,  0u, 254u, 51u, 4u, 0u,   0u, 3u, 232u, 255u})
        reply.push_back(static_cast<std::byte>(byte));
      if (mtu) {
        reply.pop_back();
        for (const unsigned byte : {26u, 2u, *mtu >> 8, *mtu & 0xff, 255u})
          reply.push_back(static_cast<std::byte>(byte));
      }
      const bool to_all = packet.from.is_unspecified();
      const wire::Ipv4Address to = to_all ? wire::Ipv4Address::broadcast() : leased;
      receive_ipv4({.protocol = wire::protocol::udp, .from = server, .to = to},
                   udp_packet(server_port, client_port, reply, server, to),
                   to_all ? wire::MacAddress::broadcast() : ip::our_mac);
    }
  }

  wire::Ipv4Address server{{10, 0, 0, 254}};
  wire::Ipv4Address leased{{10, 0, 0, 50}};
  bool answers = true;
  bool taken = false;
  std::optional<unsigned> mtu;  // that the server tells
  std::vector<MessageType> types;
  ip::Udp udp{*stack};
  Configurator configurator{*stack, udp, *interface};
};

// RFC 2131 section 3.1 and 4.4, RFC 5227: an address, probed, a route; renewed; lost when nobody
// answers.
TEST_F(Configuring, FromDiscoverToExpiry) {
  ASSERT_TRUE(configurator.start(now));
  run(12 * second);
  ASSERT_EQ(configurator.client().state(), State::bound);
  EXPECT_EQ(stack->owner_of(leased), interface);
  ASSERT_NE(stack->routes().find(ip::ip("8.8.8.8")), nullptr);
  EXPECT_EQ(stack->routes().find(ip::ip("8.8.8.8"))->via, wire::IpAddress{server});
  const std::size_t before = types.size();
  run(600 * second);
  EXPECT_EQ(types.size(), before + 1);  // a renewal
  EXPECT_EQ(configurator.client().state(), State::bound);
  answers = false;
  run(1'100 * second);
  EXPECT_EQ(stack->owner_of(leased), nullptr);
  EXPECT_EQ(stack->routes().find(ip::ip("8.8.8.8")), nullptr);
  EXPECT_EQ(types.back(), MessageType::discover);
  answers = true;
  run(200 * second);
  EXPECT_EQ(stack->owner_of(leased), interface);
  configurator.stop(now);
  run(second);
  EXPECT_EQ(types.back(), MessageType::release);
  EXPECT_EQ(stack->owner_of(leased), nullptr);
}

// RFC 2132 section 5.1: what is told is kept to, as far as it makes sense, and as long as the
// lease.
TEST_F(Configuring, TheServerTellsTheMtu) {
  const auto mtu_of_way = [&] { return stack->way(ip::ip("8.8.8.8"), {}, nullptr, now)->mtu; };
  const std::uint32_t revision = stack->revision();
  mtu = 1'400;
  ASSERT_TRUE(configurator.start(now));
  run(12 * second);
  EXPECT_EQ(interface->ipv4_mtu, 1'400u);
  EXPECT_EQ(interface->ipv6_mtu, 1'500u);
  EXPECT_EQ(mtu_of_way(), 1'400u);
  EXPECT_GT(stack->revision(), revision) << "the other cores are told";
  for (const auto [told, kept] :
       {std::pair{9'000u, 1'500u}, {576u, 576u}, {68u, 1'500u}, {575u, 1'500u}}) {
    mtu = told;
    run(600 * second);  // a renewal
    EXPECT_EQ(mtu_of_way(), kept) << told;
  }
  mtu = 1'300;
  run(600 * second);
  EXPECT_EQ(interface->ipv4_mtu, 1'300u);
  configurator.stop(now);
  EXPECT_EQ(interface->ipv4_mtu, 1'500u);
}

// The option is left out of account, not the offer.
TEST_F(Configuring, AnMtuThatMakesNoSenseCostsNoLease) {
  mtu = 0;
  ASSERT_TRUE(configurator.start(now));
  run(12 * second);
  EXPECT_NE(stack->owner_of(leased), nullptr);
  EXPECT_EQ(interface->ipv4_mtu, 1'500u);
}

// RFC 2131 section 4.4.1: an address another machine has is declined and not used.
TEST_F(Configuring, TakenAddressIsDeclined) {
  taken = true;
  ASSERT_TRUE(configurator.start(now));
  run(9 * second);
  EXPECT_NE(std::ranges::find(types, MessageType::decline), types.end());
  EXPECT_EQ(stack->owner_of(leased), nullptr);
  taken = false;
  run(30 * second);
  EXPECT_EQ(stack->owner_of(leased), interface);
}

}  // namespace
}  // namespace lichen::net::dhcp

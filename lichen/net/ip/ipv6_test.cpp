#include "lichen/net/ip/test_host.hpp"

namespace lichen::net::ip {
namespace {

namespace icmpv6 = wire::icmpv6;

Octets address_bytes(std::string_view text) {
  const wire::IpAddress address = ip(text);
  const auto bytes = std::as_bytes(std::span{address.octets});
  return {bytes.begin(), bytes.end()};
}

Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Octets octets(std::initializer_list<unsigned> values) {
  Octets bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

const Octets source_mac = octets({1, 1, 2, 0, 0, 0, 0, 2});
const Octets target_mac = octets({2, 1, 2, 0, 0, 0, 0, 2});
const Octets other_mac = octets({2, 1, 2, 0, 0, 0, 0, 9});
constexpr std::uint32_t solicited = 0x40000000;
constexpr std::uint32_t overrides = 0x20000000;

struct Ndp : StackTest {
  Result<void> ping(std::string_view to, std::size_t size = 10) {
    const Octets body(size);
    return stack->send_echo(TRY(stack->way(ip(to), {}, nullptr, now)), 1, 1, body, now);
  }
  void advertise(std::uint32_t flags, const Octets& option, std::uint8_t hop_limit = 255) {
    receive_icmpv6({icmpv6::neighbour_advertisement, 0, flags},
                   address_bytes("2001:db8::2") + option, "2001:db8::2", "2001:db8::1", hop_limit);
  }
  const Neighbour* peer() { return stack->neighbours().find(interface->index, ip("2001:db8::2")); }
};

// RFC 4861 section 7.2.2: asked for at its solicited-node group, with our own address.
TEST_F(Ndp, Resolves) {
  ASSERT_TRUE(ping("2001:db8::2"));
  ASSERT_EQ(device.sent.size(), 1u);
  EXPECT_EQ(wire::parse_ethernet(device.sent[0])->to,
            (wire::MacAddress{{0x33, 0x33, 0xff, 0, 0, 2}}));
  const auto asked = sent_icmp(true);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].to, ip("ff02::1:ff00:2"));
  EXPECT_EQ(asked[0].hop_limit, 255);
  advertise(solicited | overrides, target_mac);
  EXPECT_EQ(sent_icmp().size(), 1u);
  EXPECT_EQ(peer()->state, NeighbourState::reachable);
}

// Section 7.2.5, the table of appendix C.
TEST_F(Ndp, AdvertisementsAndStates) {
  advertise(overrides, target_mac);
  EXPECT_EQ(peer(), nullptr);
  EXPECT_EQ(dropped(Drop::unsolicited), 1u);

  ASSERT_TRUE(ping("2001:db8::2"));
  advertise(overrides, {});  // without an address it resolves nothing
  EXPECT_EQ(peer()->state, NeighbourState::incomplete);
  advertise(overrides, target_mac);
  EXPECT_EQ(peer()->state, NeighbourState::stale);
  advertise(solicited, {});
  EXPECT_EQ(peer()->state, NeighbourState::reachable);
  advertise(solicited, other_mac);  // another, that does not override
  EXPECT_EQ(peer()->state, NeighbourState::stale);
  EXPECT_EQ(peer()->mac, peer_mac);
  advertise(solicited | overrides, other_mac);
  EXPECT_EQ(peer()->state, NeighbourState::reachable);
  EXPECT_NE(peer()->mac, peer_mac);
  advertise(overrides, target_mac);
  EXPECT_EQ(peer()->state, NeighbourState::stale);
  EXPECT_EQ(peer()->mac, peer_mac);
}

// Section 7.1: from the link only.
TEST_F(Ndp, HopLimitMustBe255) {
  ASSERT_TRUE(ping("2001:db8::2"));
  advertise(solicited | overrides, target_mac, 254);
  EXPECT_EQ(peer()->state, NeighbourState::incomplete);
  EXPECT_EQ(dropped(wire::Drop::bad_value), 1u);
}

// Section 7.2.4: answered, to the one who asked, and remembered as stale.
TEST_F(Ndp, AnswersSolicitations) {
  receive_icmpv6({icmpv6::neighbour_solicitation, 0, 0}, address_bytes("2001:db8::1") + source_mac,
                 "2001:db8::2", "ff02::1:ff00:1");
  const auto answers = sent_icmp(true);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].header.type, icmpv6::neighbour_advertisement);
  EXPECT_EQ(answers[0].header.word, solicited | overrides);
  EXPECT_EQ(answers[0].to, ip("2001:db8::2"));
  EXPECT_EQ(peer()->state, NeighbourState::delay);  // stale until the answer was sent to it
}

// RFC 4862 section 5.4.3: a probe for an address of ours is answered to all.
TEST_F(Ndp, DefendsItsAddress) {
  receive_icmpv6({icmpv6::neighbour_solicitation, 0, 0}, address_bytes("2001:db8::1"),
                 "::", "ff02::1:ff00:1");
  const auto answers = sent_icmp(true);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].header.word, overrides);
  EXPECT_EQ(answers[0].to, ip("ff02::1"));
  // RFC 4861 section 7.1.1: from nobody, to no such group, or with an address.
  receive_icmpv6({icmpv6::neighbour_solicitation, 0, 0}, address_bytes("2001:db8::1") + source_mac,
                 "::", "ff02::1:ff00:1");
  receive_icmpv6({icmpv6::neighbour_solicitation, 0, 0}, address_bytes("2001:db8::1"),
                 "::", "ff02::1");
  EXPECT_TRUE(device.sent.empty());
  EXPECT_EQ(dropped(wire::Drop::bad_address), 2u);
}

// RFC 4291 section 2.5.5.2: what stands for IPv4 in programs is nobody's on a wire.
TEST_F(Ndp, MappedAddressesAreNobodys) {
  receive_icmpv6({icmpv6::neighbour_solicitation, 0, 0},
                 address_bytes("::ffff:10.0.0.1") + source_mac);
  receive_icmpv6({icmpv6::neighbour_advertisement, 0, overrides},
                 address_bytes("::ffff:10.0.0.1") + target_mac);
  EXPECT_TRUE(device.sent.empty());
  EXPECT_EQ(dropped(wire::Drop::bad_address), 2u);
  EXPECT_EQ(dropped(Drop::address_in_use), 0u);
}

struct Ipv6 : StackTest {
  Ipv6() { meet_peers(); }
};

// RFC 4443 section 4.2, of requests to groups too: from an address of ours.
TEST_F(Ipv6, EchoReply) {
  const Octets body(33);
  receive_icmpv6(wire::IcmpHeader::echo(icmpv6::echo_request, 1, 2), body);
  receive_icmpv6(wire::IcmpHeader::echo(icmpv6::echo_request, 1, 3), body, "2001:db8::2",
                 "ff02::1");
  const auto replies = sent_icmp();
  ASSERT_EQ(replies.size(), 2u);
  for (const IcmpSeen& reply : replies) {
    EXPECT_EQ(reply.header.type, icmpv6::echo_reply);
    EXPECT_EQ(reply.from, ip("2001:db8::1"));
    EXPECT_EQ(reply.body, body);
  }
}

// RFC 8200 section 4, RFC 4443 section 3.4: the pointer shows the number nobody knows.
TEST_F(Ipv6, UnknownNextHeader) {
  receive_ipv6(ipv6_header(200), Octets(16));
  receive_ipv6(ipv6_header(wire::protocol::destination_options),
               octets({200, 0, 1, 4, 0, 0, 0, 0}) + Octets(16));
  const auto errors = sent_icmp();
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].header.type, icmpv6::parameter_problem);
  EXPECT_EQ(errors[0].header.code, icmpv6::unknown_next_header);
  EXPECT_EQ(errors[0].header.word, 6u);
  EXPECT_EQ(errors[1].header.word, 40u);
}

// Section 4.2: what is to happen with an unknown option is in its number.
TEST_F(Ipv6, UnknownOptions) {
  const auto send = [&](unsigned type, std::string_view to) {
    receive_ipv6(ipv6_header(wire::protocol::hop_by_hop, "2001:db8::2", to),
                 octets({wire::protocol::none, 0, type, 4, 0, 0, 0, 0}));
    return sent_icmp().size();
  };
  EXPECT_EQ(send(0x1e, "2001:db8::1"), 0u);
  EXPECT_EQ(dropped(wire::Drop::bad_option), 0u);
  EXPECT_EQ(send(0x5e, "2001:db8::1"), 0u);
  EXPECT_EQ(send(0x9e, "2001:db8::1"), 1u);
  EXPECT_EQ(send(0x9e, "ff02::1"), 1u);
  EXPECT_EQ(send(0xde, "ff02::1"), 0u);
  EXPECT_EQ(send(0xde, "2001:db8::1"), 1u);
  EXPECT_EQ(send(0x9e, "2001:db8::77"), 0u);  // not ours
  EXPECT_EQ(dropped(wire::Drop::bad_option), 6u);
}

// RFC 4291 section 2.5.3, 2.7; RFC 8504.
TEST_F(Ipv6, Martians) {
  const auto send = [&](std::string_view from, std::string_view to) {
    receive_ipv6(ipv6_header(wire::protocol::none, from, to), {});
  };
  send("::1", "2001:db8::1");
  send("::", "2001:db8::1");
  EXPECT_EQ(dropped(Drop::martian_source), 2u);
  send("2001:db8::2", "::1");
  send("2001:db8::2", "ff01::1");
  EXPECT_EQ(dropped(Drop::martian_destination), 2u);
  send("2001:db8::1", "2001:db8::1");
  EXPECT_EQ(dropped(Drop::own_source), 1u);
  send("2001:db8::2", "ff02::77");
  EXPECT_EQ(dropped(Drop::not_joined), 1u);
  send("2001:db8::2", "2001:db8::3");
  EXPECT_EQ(dropped(Drop::not_ours), 1u);
  send("::ffff:10.0.0.2", "2001:db8::1");
  EXPECT_EQ(dropped(wire::Drop::bad_address), 1u);
}

struct Ipv6Fragments : Ipv6 {
  void piece(std::size_t at, std::size_t size, bool more) {
    Octets bytes(8);
    wire::write(bytes, wire::Ipv6Fragment{.next_header = wire::protocol::icmpv6,
                                          .more = more,
                                          .offset = static_cast<std::uint16_t>(at),
                                          .id = 9});
    bytes.insert(bytes.end(), message.begin() + static_cast<std::ptrdiff_t>(at),
                 message.begin() + static_cast<std::ptrdiff_t>(at + size));
    receive_ipv6(ipv6_header(wire::protocol::fragment), bytes);
  }
  Octets message =
      icmp(wire::IcmpHeader::echo(icmpv6::echo_request, 1, 2), Octets(92),
           wire::pseudo_header(ip("2001:db8::2"), ip("2001:db8::1"), wire::protocol::icmpv6, 100));
};

TEST_F(Ipv6Fragments, AnyOrder) {
  piece(48, 52, false);
  piece(24, 24, true);
  piece(24, 24, true);
  piece(0, 24, true);
  EXPECT_EQ(sent_icmp().size(), 1u);
}

// RFC 5722 section 4.
TEST_F(Ipv6Fragments, OverlapSpoilsAll) {
  piece(0, 32, true);
  piece(24, 24, true);
  piece(32, 16, true);
  piece(48, 52, false);
  EXPECT_TRUE(sent_icmp().empty());
  EXPECT_GE(dropped(Drop::fragment_overlap), 1u);
}

// RFC 7112 section 5: all headers are in the first piece. RFC 8200 section 4.5: a piece of odd
// size.
TEST_F(Ipv6Fragments, FirstPieceHasAllHeaders) {
  piece(0, 0, true);
  Octets bytes(8);
  wire::write(bytes,
              wire::Ipv6Fragment{
                  .next_header = wire::protocol::destination_options, .more = true, .id = 3});
  receive_ipv6(ipv6_header(wire::protocol::fragment), bytes + octets({58, 1, 1, 4, 0, 0, 0, 0}));
  EXPECT_EQ(dropped(Drop::fragment_lies), 1u);
  const auto errors = sent_icmp();
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[1].header.code, 3);
}

// RFC 4443 section 3.3, RFC 8200 section 4.5: after 60 s.
TEST_F(Ipv6Fragments, Timeout) {
  piece(0, 24, true);
  run_for(59 * second);
  EXPECT_TRUE(sent_icmp().empty());
  meet_peers();  // who were forgotten meanwhile
  run_for(2 * second);
  const auto errors = sent_icmp();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].header.type, icmpv6::time_exceeded);
  EXPECT_EQ(errors[0].header.code, 1);
}

struct Silent : StackTest {
  Silent() : StackTest{false, true} {}
  wire::IpAddress link_local() const { return interface->addresses()[0].address; }
};

// RFC 4862 section 5.4: one probe from nobody, and a second of silence.
TEST_F(Silent, ProbesItsLinkLocalAddress) {
  EXPECT_EQ(link_local().octets[0], 0xfe);
  run_for(second);
  auto sent = sent_icmp(true);
  const auto probe = std::ranges::find(sent, icmpv6::neighbour_solicitation,
                                       [](const IcmpSeen& seen) { return seen.header.type; });
  ASSERT_NE(probe, sent.end());
  EXPECT_EQ(probe->from, wire::IpAddress{});
  EXPECT_EQ(probe->to, wire::IpAddress{link_local().solicited_node()});
  run_for(second);
  EXPECT_EQ(stack->owner_of(link_local()), interface);
}

// RFC 7217 section 6: another identifier when the address is taken, three times at most.
TEST_F(Silent, TakenAddress) {
  for (int i = 0; i < 4; ++i) {
    const wire::IpAddress before = link_local();
    run_for(second);
    Octets body(16);
    std::ranges::copy(std::as_bytes(std::span{before.octets}), body.begin());
    wire::Ipv6Header header{
        .next_header = 58, .hop_limit = 255, .from = before, .to = wire::Ipv6Address::all_nodes()};
    receive_ipv6(header,
                 icmp({icmpv6::neighbour_advertisement, 0, overrides}, body + target_mac,
                      wire::pseudo_header(before, wire::Ipv6Address::all_nodes(), 58, 32)),
                 {{0x33, 0x33, 0, 0, 0, 1}});
    if (i < 3) {
      EXPECT_NE(link_local(), before);
      EXPECT_EQ(link_local().octets[0], 0xfe);
    } else {
      EXPECT_EQ(interface->addresses()[0].state, AddressState::duplicate);
    }
  }
}

// RFC 7217 section 5: the same in the same network, another in another.
TEST_F(Silent, StableIdentifiers) {
  Stack again{base::HashKey{1, 2}};
  Stack other{base::HashKey{3, 2}};
  const auto address = [&](Stack& stack) {
    return (*stack.add_interface({.output = device, .mac = our_mac}, now))->addresses()[0].address;
  };
  EXPECT_EQ(address(again), link_local());
  EXPECT_NE(address(other), link_local());
}

struct Routers : Silent {
  Routers() {
    run_for(3 * second);
    device.sent.clear();
  }
  static Octets prefix(unsigned flags, std::uint32_t valid, std::uint32_t preferred,
                       std::string_view network = "2001:db8:5::") {
    Octets option = octets({3, 4, 64, flags});
    option.resize(16);
    base::store_big(std::span{option}.subspan(4), valid);
    base::store_big(std::span{option}.subspan(8), preferred);
    return option + address_bytes(network);
  }
  void advertise(std::uint16_t lifetime, const Octets& options, std::string_view from = "fe80::2",
                 std::uint8_t hop_limit = 255) {
    receive_icmpv6({icmpv6::router_advertisement, 0, 61u << 24 | lifetime}, Octets(8) + options,
                   from, "ff02::1", hop_limit);
  }
  LocalAddress* made() {
    for (LocalAddress& address : interface->addresses())
      if (address.origin == AddressOrigin::advertised) return &address;
    return nullptr;
  }
  static constexpr unsigned on_link = 0x80, autonomous = 0x40;
};

// RFC 4861 section 6.3.7: three times, 4 s apart, until one answers.
TEST_F(Silent, SolicitsRouters) {
  run_for(60 * second);
  const auto sent = sent_icmp(true);
  EXPECT_EQ(std::ranges::count(sent, icmpv6::router_solicitation,
                               [](const IcmpSeen& seen) { return seen.header.type; }),
            3);
}

// RFC 4861 section 6.3.4, RFC 4862 section 5.5.3.
TEST_F(Routers, DefaultRouteAndAddress) {
  advertise(1'800, source_mac + octets({5, 1, 0, 0, 0, 0, 5, 0x78}) +
                       prefix(on_link | autonomous, 7'200, 3'600));
  EXPECT_EQ(interface->hop_limit, 61);
  EXPECT_EQ(interface->ipv6_mtu, 1'400u);
  ASSERT_NE(stack->routes().find(ip("2600::1")), nullptr);
  EXPECT_EQ(stack->routes().find(ip("2600::1"))->via, ip("fe80::2"));
  EXPECT_TRUE(stack->routes().find(ip("2001:db8:5::99"))->on_link());
  run_for(3 * second);
  ASSERT_NE(made(), nullptr);
  EXPECT_EQ(made()->state, AddressState::preferred);
  const auto way = stack->way(ip("2600::1"), {}, nullptr, now);
  ASSERT_TRUE(way);
  EXPECT_EQ(way->from, made()->address);
  EXPECT_EQ(way->mtu, 1'400u);
  run_for(1'800 * second);
  EXPECT_EQ(stack->routes().find(ip("2600::1")), nullptr);
  run_for(1'800 * second);
  EXPECT_EQ(made()->state, AddressState::deprecated);
  run_for(3'600 * second);
  EXPECT_EQ(made(), nullptr);
  EXPECT_EQ(events.events.back().second, AddressEvent::expired);
  EXPECT_EQ(stack->routes().find(ip("2001:db8:5::99")), nullptr);
}

// RFC 4862 section 5.5.3 (e): a forged lifetime ends an address no sooner than in two hours.
TEST_F(Routers, TwoHourRule) {
  advertise(1'800, prefix(autonomous, 86'400, 86'400));
  advertise(1'800, prefix(autonomous, 10, 10));
  EXPECT_EQ(made()->valid_until, now + 7'200 * second);
  run_for(3'600 * second);
  advertise(1'800, prefix(autonomous, 10, 10));
  EXPECT_EQ(made()->valid_until, now + 3'600 * second);  // less than two hours left: kept
  advertise(1'800, prefix(autonomous, 5'000, 10));
  EXPECT_EQ(made()->valid_until, now + 5'000 * second);  // longer than what was left
}

// RFC 4861 section 6.1.2, RFC 4862 section 5.5.3 (b) to (d).
TEST_F(Routers, RefusedAdvertisements) {
  advertise(1'800, {}, "2001:db8::2");
  EXPECT_EQ(dropped(Drop::not_link_local), 1u);
  advertise(1'800, {}, "fe80::2", 64);
  EXPECT_EQ(dropped(wire::Drop::bad_value), 1u);
  advertise(1'800, octets({1, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(dropped(wire::Drop::bad_option), 1u);
  EXPECT_EQ(stack->routes().find(ip("2600::1")), nullptr);
  for (LocalAddress& address : interface->addresses()) EXPECT_FALSE(address.address.is_ipv4());
  const std::size_t routes = stack->routes().all().size();
  Octets mapped = prefix(on_link, 99, 9, "::ffff:10.0.0.0");
  mapped[2] = std::byte{24};
  advertise(0, mapped);
  EXPECT_EQ(stack->routes().all().size(), routes);
  advertise(0, octets({5, 1, 0, 0, 0, 0, 4, 0}) + prefix(autonomous, 10, 20) +
                   prefix(autonomous, 0, 0) + prefix(on_link | autonomous, 99, 9, "fe80::"));
  EXPECT_EQ(interface->ipv6_mtu, 1'500u);
  EXPECT_EQ(made(), nullptr);
  // As many networks as there may be, and not one more.
  for (unsigned i = 0; i < 100; ++i) {
    const std::string network = "2001:db8:" + std::to_string(i) + "::";
    advertise(1'800, prefix(on_link | autonomous, 99, 9, network));
  }
  EXPECT_EQ(interface->addresses().size(), Interface::most_addresses);
  EXPECT_LE(stack->routes().all().size(), RouteTable::most);
}

struct PathMtus : StackTest {
  PathMtus() {
    meet_peers();
    EXPECT_TRUE(udp.open(socket, {{}, 0}));
    EXPECT_TRUE(stack->add_route(
        {.to = {wire::Ipv6Address{}, 0}, .via = ip("2001:db8::2"), .interface = interface->index}));
    EXPECT_TRUE(stack->add_route(
        {.to = {wire::Ipv4Address{}, 0}, .via = ip("10.0.0.2"), .interface = interface->index}));
  }
  ~PathMtus() override { udp.close(socket); }
  // What a router would say of the last frame sent.
  void too_big(std::uint32_t mtu) {
    const Octets frame = device.sent.back();
    const Bytes packet = Bytes{frame}.subspan(14);
    if (wire::parse_ethernet(frame)->type == wire::ether_type::ipv6) {
      receive_icmpv6({icmpv6::packet_too_big, 0, mtu}, packet.first(100));
    } else {
      receive_ipv4({.protocol = 1, .from = {{10, 0, 0, 2}}, .to = {}},
                   icmp({wire::icmp::unreachable, wire::icmp::fragmentation_needed, mtu},
                        packet.first(100)));
    }
  }
  std::uint32_t mtu(std::string_view to) { return stack->way(ip(to), {}, nullptr, now)->mtu; }
  std::vector<std::byte> memory = std::vector<std::byte>(4'096);
  Udp udp{*stack};
  UdpSocket socket{memory};
  Octets payload = Octets(1'400);
};

// RFC 8201 section 4, 5.3: lowered, never below 1,280, raised after ten minutes.
TEST_F(PathMtus, PacketTooBig) {
  ASSERT_TRUE(udp.send(socket, {ip("2600::1"), 9}, Pieces{payload}, now));
  too_big(1'300);
  EXPECT_EQ(mtu("2600::1"), 1'300u);
  too_big(1'400);
  EXPECT_EQ(mtu("2600::1"), 1'300u);
  too_big(600);
  EXPECT_EQ(dropped(Drop::not_believed), 1u);
  EXPECT_EQ(mtu("2600::1"), 1'300u);
  EXPECT_EQ(mtu("2600::2"), 1'500u);
  device.sent.clear();
  ASSERT_TRUE(udp.send(socket, {ip("2600::1"), 9}, Pieces{payload}, now));
  EXPECT_EQ(device.sent.size(), 2u);
  for (const Octets& frame : device.sent) EXPECT_LE(frame.size(), 1'314u);
  run_for(PathMtu::lifetime);
  EXPECT_EQ(mtu("2600::1"), 1'500u);
}

// RFC 8201 section 6: who did not send to there cannot be told so.
TEST_F(PathMtus, MustBeAboutWhatWasSent) {
  ASSERT_TRUE(udp.send(socket, {ip("2600::1"), 9}, Pieces{payload}, now));
  auto& frame = device.sent.back();
  frame[14 + 24] ^= std::byte{1};  // the destination
  too_big(1'300);
  frame[14 + 24] ^= std::byte{1};
  frame[14 + 40] ^= std::byte{1};  // our port
  too_big(1'300);
  frame[14 + 40] ^= std::byte{1};
  frame[14 + 8] ^= std::byte{1};  // our address
  too_big(1'300);
  EXPECT_EQ(dropped(Drop::not_believed), 3u);
  EXPECT_EQ(mtu("2600::1"), 1'500u);
}

// RFC 1191 section 3, 5: with the number, and of old routers without.
TEST_F(PathMtus, FragmentationNeeded) {
  socket.options.dont_fragment = true;
  ASSERT_TRUE(udp.send(socket, {ip("8.8.8.8"), 9}, Pieces{payload}, now));
  too_big(0);
  EXPECT_EQ(mtu("8.8.8.8"), 1'006u);
  EXPECT_TRUE(
      udp.send(socket, {ip("8.8.8.8"), 9}, Pieces{payload}, now).failed_with(Error::too_large));
  EXPECT_EQ(dropped(Drop::too_big), 1u);
  too_big(900);
  EXPECT_EQ(mtu("8.8.8.8"), 900u);
  too_big(68);
  EXPECT_EQ(mtu("8.8.8.8"), least_ipv4_mtu);
}

}  // namespace
}  // namespace lichen::net::ip

#include "lichen/net/ip/test_host.hpp"

namespace lichen::net::ip {
namespace {

struct Ipv4 : StackTest {
  Ipv4() { meet_peers(); }
  // A header with options, which the formats do not write.
  static Octets with_options(std::initializer_list<unsigned> options) {
    Octets packet(20 + options.size() + 8);
    wire::write(packet,
                wire::Ipv4Header{.protocol = 99, .from = {{10, 0, 0, 2}}, .to = {{10, 0, 0, 1}}},
                options.size() + 8);
    packet[0] = static_cast<std::byte>(0x40 | (20 + options.size()) / 4);
    std::size_t at = 20;
    for (const unsigned option : options) packet[at++] = static_cast<std::byte>(option);
    packet[10] = packet[11] = std::byte{0};
    wire::Sum sum;
    sum.add(std::span{packet}.first(20 + options.size()));
    base::store_big(std::span{packet}.subspan(10), sum.checksum());
    return packet;
  }
};

const Octets eight(8);

// RFC 1122 section 3.2.1.3, RFC 1812 section 5.3.7.
TEST_F(Ipv4, Martians) {
  for (const wire::Ipv4Address from : {wire::Ipv4Address{{127, 0, 0, 1}},
                                       {{224, 0, 0, 1}},
                                       {{255, 255, 255, 255}},
                                       {{0, 1, 2, 3}},
                                       {{10, 0, 0, 255}}}) {
    receive_ipv4({.protocol = 99, .from = from, .to = {{10, 0, 0, 1}}}, eight);
  }
  EXPECT_EQ(dropped(Drop::martian_source), 5u);
  receive_ipv4({.protocol = 99, .from = {{10, 0, 0, 1}}, .to = {}}, eight);
  EXPECT_EQ(dropped(Drop::own_source), 1u);
  receive_ipv4({.protocol = 99, .from = {}, .to = {{127, 0, 0, 1}}}, eight);
  receive_ipv4({.protocol = 99, .from = {}, .to = {{240, 0, 0, 1}}}, eight);
  EXPECT_EQ(dropped(Drop::martian_destination), 2u);
  receive_ipv4({.protocol = 99, .from = {}, .to = {{10, 0, 0, 3}}}, eight);
  EXPECT_EQ(dropped(Drop::not_ours), 1u);
  receive_ipv4({.protocol = 99, .from = {}, .to = {{239, 1, 1, 1}}}, eight);
  EXPECT_EQ(dropped(Drop::not_joined), 1u);
  // RFC 1122 section 3.3.6: for one machine in a frame for all.
  receive_ipv4({.protocol = 99, .from = {}, .to = {{10, 0, 0, 1}}}, eight,
               wire::MacAddress::broadcast());
  EXPECT_EQ(dropped(Drop::martian_destination), 3u);
  EXPECT_TRUE(device.sent.empty());
}

// RFC 1122 section 3.2.1.3: nor an address that we have at another interface.
TEST_F(Ipv4, OurOtherAddressIsNoSource) {
  TestDevice beside;
  Interface* const second = *stack->add_interface({.output = beside, .mac = peer_mac}, now);
  ASSERT_TRUE(stack->add_address(*second, {.address = ip("10.7.0.1"), .bits = 24}, Probe::no, now));
  receive_ipv4({.protocol = 1, .from = {{10, 7, 0, 1}}, .to = {}},
               icmp({wire::icmp::echo_request, 0, 0}, {}));
  EXPECT_EQ(dropped(Drop::own_source), 1u);
}

TEST_F(Ipv4, FramesForOthers) {
  receive_ipv4({.protocol = 99, .from = {}, .to = {}}, eight, {{2, 0, 0, 0, 0, 9}});
  EXPECT_EQ(dropped(Drop::other_station), 1u);
  receive(0x1234, eight);
  EXPECT_EQ(dropped(Drop::unknown_type), 1u);
  receive(wire::ether_type::ipv4, eight, our_mac, wire::MacAddress::broadcast());
  EXPECT_EQ(dropped(Drop::bad_station), 1u);
  receive(Octets(13));
  EXPECT_EQ(dropped(wire::Drop::truncated), 1u);
}

// RFC 792, RFC 1122 section 3.2.2.6: the data comes back, from the address that was asked.
TEST_F(Ipv4, EchoReply) {
  const Octets body{std::byte{1}, std::byte{2}, std::byte{3}};
  receive_ipv4({.protocol = 1, .from = {}, .to = {}},
               icmp(wire::IcmpHeader::echo(wire::icmp::echo_request, 7, 9), body));
  const auto replies = sent_icmp();
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].header.type, wire::icmp::echo_reply);
  EXPECT_EQ(replies[0].header.id(), 7);
  EXPECT_EQ(replies[0].header.number(), 9);
  EXPECT_EQ(replies[0].body, body);
  EXPECT_EQ(replies[0].from, ip("10.0.0.1"));
}

TEST_F(Ipv4, NoEchoToAll) {
  receive_ipv4({.protocol = 1, .from = {}, .to = {{10, 0, 0, 255}}},
               icmp(wire::IcmpHeader::echo(wire::icmp::echo_request, 7, 9), {}),
               wire::MacAddress::broadcast());
  EXPECT_TRUE(device.sent.empty());
  EXPECT_EQ(dropped(Drop::broadcast_echo), 1u);
}

// RFC 1122 section 3.2.2.1: a protocol that is not here, with the header and at least 8 bytes.
TEST_F(Ipv4, ProtocolUnreachable) {
  receive_ipv4({.protocol = 99, .from = {}, .to = {}}, eight);
  const auto errors = sent_icmp();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].header.type, wire::icmp::unreachable);
  EXPECT_EQ(errors[0].header.code, wire::icmp::protocol_unreachable);
  EXPECT_EQ(errors[0].body.size(), 28u);
  // RFC 1812 section 4.3.2.3: as much as fits 576 bytes.
  receive_ipv4({.protocol = 99, .from = {}, .to = {}}, Octets(1'400));
  EXPECT_EQ(sent_icmp()[0].body.size(), 576u - 28);
  EXPECT_EQ(dropped(Drop::unknown_protocol), 2u);
}

// RFC 1122 section 3.2.2: not about errors, groups, broadcasts, later pieces.
TEST_F(Ipv4, NoErrorAboutThese) {
  receive_ipv4({.protocol = 1, .from = {}, .to = {}}, icmp({wire::icmp::unreachable, 0, 0}, eight));
  receive_ipv4({.protocol = 99, .from = {}, .to = {{10, 0, 0, 255}}}, eight,
               wire::MacAddress::broadcast());
  receive_ipv4({.protocol = 99, .from = {}, .to = {{224, 0, 0, 1}}}, eight,
               wire::MacAddress{{1, 0, 0x5e, 0, 0, 1}});
  auto bad = with_options({0x83, 99, 0, 0});
  bad[6] = std::byte{0};
  bad[7] = std::byte{8};  // a later piece
  bad[10] = bad[11] = std::byte{0};
  wire::Sum sum;
  sum.add(std::span{bad}.first(24));
  base::store_big(std::span{bad}.subspan(10), sum.checksum());
  receive(wire::ether_type::ipv4, bad);
  EXPECT_EQ(dropped(wire::Drop::bad_option), 1u);
  EXPECT_TRUE(device.sent.empty());
}

// RFC 1812 section 4.3.2.8.
TEST_F(Ipv4, ErrorsAreLimited) {
  for (int i = 0; i < 1'000; ++i) receive_ipv4({.protocol = 99, .from = {}, .to = {}}, eight);
  EXPECT_EQ(device.sent.size(), 10u);
  EXPECT_EQ(dropped(Drop::error_limited), 990u);
  run_for(second);
  for (int i = 0; i < 1'000; ++i) receive_ipv4({.protocol = 99, .from = {}, .to = {}}, eight);
  EXPECT_EQ(device.sent.size(), 20u);
}

// RFC 791 section 3.1, RFC 7126 section 4.3, RFC 1122 section 3.2.2.5.
TEST_F(Ipv4, Options) {
  receive(wire::ether_type::ipv4, with_options({0x83, 3, 4, 0}));
  receive(wire::ether_type::ipv4, with_options({0x01, 0x89, 3, 4}));
  EXPECT_EQ(dropped(Drop::source_route), 2u);
  EXPECT_TRUE(device.sent.empty());
  receive(wire::ether_type::ipv4, with_options({0x01, 0x44, 9, 5}));
  EXPECT_EQ(dropped(wire::Drop::bad_option), 1u);
  const auto errors = sent_icmp();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].header.type, wire::icmp::parameter_problem);
  EXPECT_EQ(errors[0].header.word >> 24, 21u);
  receive(wire::ether_type::ipv4, with_options({0x07, 3, 4, 0}));  // record route: ignored
  EXPECT_EQ(dropped(Drop::unknown_protocol), 1u);
}

struct Fragments : Ipv4 {
  Fragments() {
    for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<std::byte>(i * 7);
  }
  void piece(std::size_t at, std::size_t size, bool more, std::uint16_t id = 5) {
    receive_ipv4({.id = id,
                  .more_fragments = more,
                  .fragment_offset = static_cast<std::uint16_t>(at),
                  .protocol = 1,
                  .from = {},
                  .to = {}},
                 Bytes{message}.subspan(at, size));
  }
  Octets whole = Octets(92);
  Octets message = icmp(wire::IcmpHeader::echo(wire::icmp::echo_request, 1, 2), whole);
};

// RFC 791 section 3.2, RFC 815: in any order, with pieces that come twice.
TEST_F(Fragments, AnyOrder) {
  piece(48, 52, false);
  piece(0, 24, true);
  piece(0, 24, true);
  EXPECT_TRUE(device.sent.empty());
  piece(24, 24, true);
  const auto replies = sent_icmp();
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].body.size(), 92u);
  EXPECT_EQ(interface->counters.reassembled, 1u);
  EXPECT_EQ(stack->reassembly().count(), 0u);
}

// RFC 1858, RFC 5722: an overlap spoils all, and what comes later does not begin anew.
TEST_F(Fragments, OverlapSpoilsAll) {
  piece(0, 32, true);
  piece(24, 24, true);
  EXPECT_EQ(dropped(Drop::fragment_overlap), 1u);
  piece(32, 16, true);
  piece(48, 52, false);
  EXPECT_TRUE(device.sent.empty());
  EXPECT_EQ(stack->reassembly().count(), 1u);
  run_for(31 * second);
  EXPECT_EQ(stack->reassembly().count(), 0u);
  EXPECT_TRUE(sent_icmp().empty());
}

TEST_F(Fragments, LyingEnds) {
  piece(48, 16, false);
  piece(64, 24, true);  // behind the end
  EXPECT_EQ(dropped(Drop::fragment_lies), 1u);
  piece(0, 24, true, 6);
  piece(48, 24, false, 6);
  piece(24, 32, false, 6);  // another end
  EXPECT_EQ(dropped(Drop::fragment_lies), 2u);
  piece(64, 24, true, 7);
  piece(8, 24, false, 7);  // an end before what there was
  EXPECT_EQ(dropped(Drop::fragment_lies), 3u);
}

// RFC 1122 section 3.3.2: time exceeded, code 1, if the first piece is there.
TEST_F(Fragments, Timeout) {
  piece(24, 24, true, 1);
  piece(0, 24, true, 2);
  run_for(29 * second);
  EXPECT_TRUE(sent_icmp().empty());
  run_for(2 * second);
  EXPECT_EQ(dropped(Drop::fragment_timeout), 2u);
  // An echo request is no error, so its sender is told.
  const auto errors = sent_icmp();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].header.type, wire::icmp::time_exceeded);
  EXPECT_EQ(errors[0].header.code, 1);
  EXPECT_TRUE(wire::parse_quote_ipv4(errors[0].body));
  EXPECT_EQ(stack->reassembly().count(), 0u);
}

TEST_F(Fragments, Bounded) {
  for (std::uint16_t id = 0; id < 1'000; ++id) piece(24, 24, true, id);
  EXPECT_EQ(stack->reassembly().count(), Reassembly::most_of_source);
  EXPECT_EQ(dropped(Drop::fragment_limit), 1'000 - Reassembly::most_of_source);
}

}  // namespace
}  // namespace lichen::net::ip

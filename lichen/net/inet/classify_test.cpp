#include "lichen/net/inet/classify.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "lichen/base/span.hpp"
#include "lichen/net/wire/wire.hpp"

namespace lichen::net::inet {
namespace {

using Frame = std::vector<std::byte>;

Frame frame_of(std::uint16_t type, std::size_t size) {
  Frame frame(wire::EthernetHeader::size + size);
  wire::write(frame, wire::EthernetHeader{{}, {}, type});
  return frame;
}

Frame ipv4(wire::Ipv4Header header, std::uint8_t first = 0, std::size_t payload = 20) {
  Frame frame = frame_of(wire::ether_type::ipv4, wire::Ipv4Header::size + payload);
  wire::write(std::span{frame}.subspan(wire::EthernetHeader::size), header, payload);
  if (payload > 0) frame[wire::EthernetHeader::size + wire::Ipv4Header::size] = std::byte{first};
  return frame;
}

Frame ipv6(std::uint8_t next, std::uint8_t first = 0, std::size_t payload = 20) {
  Frame frame = frame_of(wire::ether_type::ipv6, 40 + payload);
  frame[wire::EthernetHeader::size] = std::byte{0x60};
  frame[wire::EthernetHeader::size + 6] = std::byte{next};
  if (payload > 0) frame[wire::EthernetHeader::size + 40] = std::byte{first};
  return frame;
}

TEST(Classify, TcpIsForWhoHasTheConnection) {
  EXPECT_EQ(audience_of(ipv4({.protocol = wire::protocol::tcp, .from = {}, .to = {}})),
            Audience::here);
  EXPECT_EQ(audience_of(ipv4(
                {.dont_fragment = true, .protocol = wire::protocol::tcp, .from = {}, .to = {}})),
            Audience::here);
  EXPECT_EQ(audience_of(ipv6(wire::protocol::tcp)), Audience::here);
}

TEST(Classify, PiecesComeTogetherOnTheFirst) {
  EXPECT_EQ(audience_of(ipv4(
                {.more_fragments = true, .protocol = wire::protocol::tcp, .from = {}, .to = {}})),
            Audience::first);
  EXPECT_EQ(audience_of(ipv4(
                {.fragment_offset = 8, .protocol = wire::protocol::tcp, .from = {}, .to = {}})),
            Audience::first);
  EXPECT_EQ(audience_of(ipv6(wire::protocol::fragment)), Audience::first);
}

TEST(Classify, DatagramsAreForWhoHasThePort) {
  for (Frame frame :
       {ipv4({.protocol = wire::protocol::udp, .from = {}, .to = {}}), ipv6(wire::protocol::udp)}) {
    frame[0] = std::byte{0};
    EXPECT_EQ(audience_of(frame), Audience::ports);
    frame[frame.size() - 20 + 2] = std::byte{0x12};
    frame[frame.size() - 20 + 3] = std::byte{0x34};
    EXPECT_EQ(port_of(frame), 0x1234);
    for (std::size_t size = 0; size < frame.size(); ++size) {
      const auto port = port_of(std::span{frame}.first(size));
      EXPECT_EQ(port.has_value(), size + 20 >= frame.size() + 4) << size;
    }
    frame[0] = std::byte{1};  // to a group
    EXPECT_EQ(audience_of(frame), Audience::first);
  }
}

TEST(Classify, EchoIsTheFirsts) {
  EXPECT_EQ(audience_of(ipv4({.protocol = wire::protocol::icmp, .from = {}, .to = {}},
                             wire::icmp::echo_request)),
            Audience::first);
  EXPECT_EQ(audience_of(ipv6(wire::protocol::icmpv6, wire::icmpv6::echo_request)), Audience::first);
}

TEST(Classify, NeighboursAndErrorsAreForAll) {
  EXPECT_EQ(audience_of(frame_of(wire::ether_type::arp, 28)), Audience::all);
  for (const std::uint8_t type :
       {wire::icmp::unreachable, wire::icmp::time_exceeded, wire::icmp::parameter_problem})
    EXPECT_EQ(audience_of(ipv4({.protocol = wire::protocol::icmp, .from = {}, .to = {}}, type)),
              Audience::all);
  for (const std::uint8_t type :
       {wire::icmpv6::packet_too_big, wire::icmpv6::neighbour_advertisement,
        wire::icmpv6::router_advertisement})
    EXPECT_EQ(audience_of(ipv6(wire::protocol::icmpv6, type)), Audience::all);
}

TEST(Classify, WhatIsCutOffIsForSomebody) {
  for (const Frame& whole :
       {ipv4({.protocol = wire::protocol::icmp, .from = {}, .to = {}}, wire::icmp::unreachable),
        ipv6(wire::protocol::icmpv6, wire::icmpv6::packet_too_big), frame_of(0x1234, 40)})
    for (std::size_t size = 0; size <= whole.size(); ++size) {
      const Frame part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_NE(audience_of(part), Audience::here);
    }
}

}  // namespace
}  // namespace lichen::net::inet

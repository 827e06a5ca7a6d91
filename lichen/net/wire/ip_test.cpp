#include <gtest/gtest.h>

#include <array>

#include "lichen/net/wire/icmp.hpp"
#include "lichen/net/wire/ipv4.hpp"
#include "lichen/net/wire/ipv6.hpp"
#include "lichen/net/wire/test_bytes.hpp"
#include "lichen/net/wire/udp.hpp"

namespace lichen::net::wire {
namespace {

Bytes ipv4_packet(Ipv4Header header, std::size_t payload) {
  Bytes bytes(Ipv4Header::size + payload);
  write(bytes, header, payload);
  return bytes;
}

Ipv4Header some_header() {
  return {.traffic_class = 0x02,
          .id = 0x1234,
          .dont_fragment = true,
          .protocol = protocol::udp,
          .from = *Ipv4Address::parse("10.0.0.1"),
          .to = *Ipv4Address::parse("10.0.0.2")};
}

void set16(Bytes& bytes, std::size_t at, std::uint16_t value) {
  base::store_big(std::span{bytes}.subspan(at), value);
}

TEST(Ipv4, ReadsWhatItWrites) {
  Bytes bytes = ipv4_packet(some_header(), 8);
  bytes.resize(bytes.size() + 18);  // as a short frame is padded
  const auto packet = parse_ipv4(bytes, Verify{});
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->from, some_header().from);
  EXPECT_EQ(packet->to, some_header().to);
  EXPECT_EQ(packet->id, 0x1234);
  EXPECT_EQ(packet->ttl, 64);
  EXPECT_EQ(packet->protocol, protocol::udp);
  EXPECT_EQ(ecn_of(packet->traffic_class), Ecn::capable_0);
  EXPECT_TRUE(packet->dont_fragment);
  EXPECT_FALSE(packet->is_fragment());
  EXPECT_EQ(packet->payload.size(), 8u);
  EXPECT_TRUE(packet->options.empty());
}

TEST(Ipv4, SkipsOptions) {
  Bytes bytes = hex("4600 001c 0000 0000 4001 0000 0a000001 0a000002 94040000 aabbccdd");
  Sum sum;
  sum.add(std::span{bytes}.first(24));
  set16(bytes, 10, sum.checksum());
  const auto packet = parse_ipv4(bytes, Verify{});
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->options.size(), 4u);
  EXPECT_EQ(packet->payload.size(), 4u);
}

TEST(Ipv4, NamesWhyItDrops) {
  const Bytes good = ipv4_packet(some_header(), 8);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(parse_ipv4(std::span{good}.first(size), Verify{}).error(), Drop::truncated);
  const auto drop = [&](std::size_t at, std::uint8_t value, bool sum = false) {
    Bytes bytes = good;
    bytes[at] = std::byte{value};
    return parse_ipv4(bytes, sum ? Verify{} : Verify::done_by_device()).error();
  };
  EXPECT_EQ(drop(0, 0x65), Drop::bad_version);
  EXPECT_EQ(drop(0, 0x44), Drop::bad_header_length);
  EXPECT_EQ(drop(3, 19), Drop::bad_length);
  EXPECT_EQ(drop(3, 29), Drop::truncated);
  EXPECT_EQ(drop(8, 1, true), Drop::bad_checksum);
}

TEST(Ipv4, RefusesImpossibleFragments) {
  Ipv4Header header = some_header();
  header.more_fragments = true;
  EXPECT_EQ(parse_ipv4(ipv4_packet(header, 12), Verify{}).error(), Drop::bad_length);
  EXPECT_EQ(parse_ipv4(ipv4_packet(header, 0), Verify{}).error(), Drop::bad_length);
  EXPECT_TRUE(parse_ipv4(ipv4_packet(header, 16), Verify{})->is_fragment());
  header.more_fragments = false;
  header.fragment_offset = 65'528;
  EXPECT_EQ(parse_ipv4(ipv4_packet(header, 8), Verify{}).error(), Drop::bad_length);
  header.fragment_offset = 8;
  EXPECT_EQ(parse_ipv4(ipv4_packet(header, 13), Verify{})->fragment_offset, 8);
}

constexpr const char* addresses =
    "20010db8000000000000000000000001 20010db8000000000000000000000002";

Bytes ipv6_packet(std::uint8_t next_header, std::string_view rest) {
  const Bytes behind = hex(rest);
  Bytes bytes(Ipv6Header::size);
  write(bytes,
        Ipv6Header{.traffic_class = 0xab,
                   .flow_label = 0x12345,
                   .next_header = next_header,
                   .from = *Ipv6Address::parse("2001:db8::1"),
                   .to = *Ipv6Address::parse("2001:db8::2")},
        behind.size());
  bytes.insert(bytes.end(), behind.begin(), behind.end());
  return bytes;
}

TEST(Ipv6, ReadsWhatItWrites) {
  Bytes bytes = ipv6_packet(17, "0001020304050607");
  EXPECT_EQ(Bytes(bytes.begin(), bytes.begin() + 8), hex("6ab12345 0008 11 40"));
  EXPECT_EQ(Bytes(bytes.begin() + 8, bytes.begin() + 40), hex(addresses));
  bytes.resize(bytes.size() + 6);
  const auto packet = parse_ipv6(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->traffic_class, 0xab);
  EXPECT_EQ(packet->flow_label, 0x12345u);
  EXPECT_EQ(packet->hop_limit, 64);
  EXPECT_EQ(packet->protocol, 17);
  EXPECT_EQ(packet->payload.size(), 8u);
  EXPECT_FALSE(packet->fragment);
}

TEST(Ipv6, WalksExtensionHeaders) {
  // Hop-by-hop (router alert, PadN), destination options, routing with nothing left, UDP.
  const auto bytes = ipv6_packet(0,
                                 "3c00 05020000 0100  2b00 010400000000"
                                 "1100 0000 00000000  0001020304050607");
  const auto packet = parse_ipv6(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->protocol, 17);
  EXPECT_EQ(packet->payload.size(), 8u);
  EXPECT_EQ(packet->payload[7], std::byte{7});
}

TEST(Ipv6, FindsFragments) {
  auto packet = parse_ipv6(ipv6_packet(44, "1100 0009 12345678 0001020304050607"));
  ASSERT_TRUE(packet && packet->fragment);
  EXPECT_EQ(packet->fragment->offset, 8);
  EXPECT_TRUE(packet->fragment->more);
  EXPECT_EQ(packet->fragment->id, 0x12345678u);
  EXPECT_EQ(packet->protocol, 17);
  // RFC 6946: an atomic fragment is a whole packet.
  packet = parse_ipv6(ipv6_packet(44, "1100 0000 12345678 0001020304050607"));
  ASSERT_TRUE(packet);
  EXPECT_FALSE(packet->fragment);
  EXPECT_EQ(packet->protocol, 17);

  Ipv6Problem problem;
  EXPECT_EQ(parse_ipv6(ipv6_packet(44, "1100 0009 12345678 00010203"), &problem).error(),
            Drop::bad_length);
  EXPECT_TRUE(problem.tell);
  EXPECT_EQ(problem.pointer, 4u);
  EXPECT_EQ(parse_ipv6(ipv6_packet(44, "1100 fff8 12345678 0001020304050607"), &problem).error(),
            Drop::bad_length);
  EXPECT_EQ(problem.pointer, 42u);
}

TEST(Ipv6, TellsOfOptionsItDoesNotKnow) {
  const auto problem_of = [](std::string_view option) {
    Ipv6Problem problem;
    const auto packet = parse_ipv6(
        ipv6_packet(60, std::string{"1100"} + std::string{option} + "0001020304050607"), &problem);
    EXPECT_EQ(packet.has_value(), option.starts_with("1e"));
    return problem;
  };
  EXPECT_FALSE(problem_of("1e0400000000").tell);
  EXPECT_FALSE(problem_of("5e0400000000").tell);
  EXPECT_TRUE(problem_of("9e0400000000").even_if_multicast);
  const Ipv6Problem problem = problem_of("00de03000000");
  EXPECT_TRUE(problem.tell);
  EXPECT_FALSE(problem.even_if_multicast);
  EXPECT_EQ(problem.code, icmpv6::unknown_option);
  EXPECT_EQ(problem.pointer, 43u);
}

TEST(Ipv6, NamesWhyItDrops) {
  const Bytes good = ipv6_packet(0, "1100 010400000000 0001020304050607");
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(parse_ipv6(std::span{good}.first(size)).error(), Drop::truncated);
  const auto drop = [](std::uint8_t next, std::string_view rest) {
    return parse_ipv6(ipv6_packet(next, rest)).error();
  };
  EXPECT_EQ(drop(0, "1101 010400000000"), Drop::truncated);
  EXPECT_EQ(drop(0, "11"), Drop::truncated);
  EXPECT_EQ(drop(44, "1100 0000"), Drop::truncated);
  EXPECT_EQ(drop(60, "0000 010400000000 1100 010400000000"), Drop::bad_extension);
  EXPECT_EQ(drop(43, "1100 0001 00000000"), Drop::bad_extension);
  EXPECT_EQ(drop(0, "1100 010500000000"), Drop::bad_option);
  EXPECT_EQ(drop(60, "1100 0000 00000001"), Drop::bad_option);
  Bytes bytes = ipv6_packet(17, "");
  bytes[0] = std::byte{0x45};
  EXPECT_EQ(parse_ipv6(bytes).error(), Drop::bad_version);
  bytes = ipv6_packet(17, "");
  bytes[8] = std::byte{0xff};
  EXPECT_EQ(parse_ipv6(bytes).error(), Drop::bad_address);
  std::string chain;
  for (int i = 0; i < 100; ++i) chain += "3c00 010400000000";
  EXPECT_EQ(drop(60, chain), Drop::bad_extension);
}

TEST(Ipv6, GoesOnBehindWhatWasPutTogether) {
  const Bytes bytes = hex("1100 010400000000 aabb");
  const auto upper = skip_extensions(60, bytes);
  ASSERT_TRUE(upper);
  EXPECT_EQ(upper->protocol, 17);
  EXPECT_EQ(upper->payload.size(), 2u);
  EXPECT_EQ(skip_extensions(44, hex("1100 0001 00000000 0001020304050607")).error(),
            Drop::bad_extension);
}

TEST(Udp, ReadsWhatItWrites) {
  const IpAddress from = *IpAddress::parse("10.0.0.1");
  const IpAddress to = *IpAddress::parse("10.0.0.2");
  Bytes bytes(UdpHeader::size);
  write(bytes, UdpHeader{53, 1024}, 5);
  const Bytes payload = bytes_of_text("hello");
  Sum sum = pseudo_header(from, to, protocol::udp, UdpHeader::size + payload.size());
  const Verify verify{sum};
  sum.add(payload);
  seal<UdpHeader>(bytes, sum);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  const auto datagram = parse_udp(bytes, verify, NoChecksum::refused);
  ASSERT_TRUE(datagram);
  EXPECT_EQ(datagram->from_port, 53);
  EXPECT_EQ(datagram->to_port, 1024);
  EXPECT_EQ(datagram->payload.size(), 5u);

  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes wrong = bytes;
    wrong[i] ^= std::byte{1};
    EXPECT_FALSE(parse_udp(wrong, verify, NoChecksum::accepted)) << i;
  }
  bytes[6] = bytes[7] = std::byte{0};
  EXPECT_TRUE(parse_udp(bytes, verify, NoChecksum::accepted));
  EXPECT_EQ(parse_udp(bytes, verify, NoChecksum::refused).error(), Drop::bad_checksum);
}

// RFC 768: a sum of zero is sent as all ones.
TEST(Udp, NeverWritesZeroAsItsChecksum) {
  Bytes bytes(UdpHeader::size);
  write(bytes, UdpHeader{0, 1}, 0);
  Sum rest;
  rest.add16(0xffff - 9);  // with port 1 and length 8: all ones
  seal<UdpHeader>(bytes, rest);
  EXPECT_EQ(bytes[6], std::byte{0xff});
  EXPECT_EQ(bytes[7], std::byte{0xff});
}

TEST(Udp, NamesWhyItDrops) {
  const auto drop = [](std::string_view text) {
    return parse_udp(hex(text), Verify::done_by_device(), NoChecksum::accepted).error();
  };
  EXPECT_EQ(drop("0001 0002 0008"), Drop::truncated);
  EXPECT_EQ(drop("0001 0002 0007 0000"), Drop::bad_length);
  EXPECT_EQ(drop("0001 0002 0009 0000"), Drop::truncated);
  EXPECT_EQ(drop("0001 0002 0008 0000 00"), Drop::bad_length);
  EXPECT_EQ(drop("0001 0000 0008 0000"), Drop::bad_port);
}

}  // namespace
}  // namespace lichen::net::wire

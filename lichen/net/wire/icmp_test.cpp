#include "lichen/net/wire/icmp.hpp"

#include <gtest/gtest.h>

#include <array>

#include "lichen/net/wire/ipv4.hpp"
#include "lichen/net/wire/ipv6.hpp"
#include "lichen/net/wire/ndp.hpp"
#include "lichen/net/wire/test_bytes.hpp"

namespace lichen::net::wire {
namespace {

TEST(Icmp, EchoesWhatItWrites) {
  Bytes bytes(IcmpHeader::size);
  write(bytes, IcmpHeader::echo(icmp::echo_request, 0x1234, 7));
  const Bytes body = bytes_of_text("abc");
  Sum sum;
  sum.add(body);
  seal<IcmpHeader>(bytes, sum);
  bytes.insert(bytes.end(), body.begin(), body.end());
  const auto message = parse_icmp(bytes, Verify{});
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, icmp::echo_request);
  EXPECT_EQ(message->id(), 0x1234);
  EXPECT_EQ(message->number(), 7);
  EXPECT_EQ(message->body.size(), 3u);
  bytes[9] ^= std::byte{1};
  EXPECT_EQ(parse_icmp(bytes, Verify{}).error(), Drop::bad_checksum);
  EXPECT_EQ(parse_icmp(std::span{bytes}.first(7), Verify{}).error(), Drop::truncated);
}

TEST(Icmp, ReadsWhatErrorsQuote) {
  Bytes bytes(Ipv4Header::size);
  write(bytes,
        Ipv4Header{.protocol = protocol::tcp,
                   .from = *Ipv4Address::parse("10.0.0.1"),
                   .to = *Ipv4Address::parse("10.0.0.2")},
        1'000);
  const Bytes tcp = hex("1000 0050 12345678");
  bytes.insert(bytes.end(), tcp.begin(), tcp.end());
  const auto quote = parse_quote_ipv4(bytes);
  ASSERT_TRUE(quote);
  EXPECT_EQ(quote->from, *IpAddress::parse("10.0.0.1"));
  EXPECT_EQ(quote->to, *IpAddress::parse("10.0.0.2"));
  EXPECT_EQ(quote->from_port, 0x1000);
  EXPECT_EQ(quote->to_port, 80);
  EXPECT_EQ(quote->sequence, 0x12345678u);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(parse_quote_ipv4(std::span{bytes}.first(size)).error(), Drop::truncated);
  bytes[7] = std::byte{1};
  EXPECT_EQ(parse_quote_ipv4(bytes).error(), Drop::bad_value);
}

TEST(Icmp, ReadsWhatErrorsOfIpv6Quote) {
  Bytes bytes(Ipv6Header::size);
  write(bytes,
        Ipv6Header{.next_header = protocol::fragment,
                   .from = *Ipv6Address::parse("2001:db8::1"),
                   .to = *Ipv6Address::parse("2001:db8::2")},
        1'000);
  const Bytes behind = hex("1100 0001 00000001 1000 0050 00080000");
  bytes.insert(bytes.end(), behind.begin(), behind.end());
  const auto quote = parse_quote_ipv6(bytes);
  ASSERT_TRUE(quote);
  EXPECT_EQ(quote->protocol, protocol::udp);
  EXPECT_EQ(quote->to_port, 80);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(parse_quote_ipv6(std::span{bytes}.first(size)).error(), Drop::truncated);
}

IcmpMessage message_of(std::uint8_t type, std::uint32_t word, const Bytes& body) {
  IcmpMessage message;
  message.type = type;
  message.word = word;
  message.body = body;
  return message;
}

TEST(Ndp, WritesWhatItReads) {
  const IpAddress from = *IpAddress::parse("fe80::1");
  const IpAddress to = *IpAddress::parse("fe80::2");
  const MacAddress mac = *MacAddress::parse("52:54:00:12:34:56");
  std::array<std::byte, max_ndp_size> room;

  NeighbourSolicitation ask{*Ipv6Address::parse("fe80::2"), {}};
  ask.options.source_mac = mac;
  auto bytes = std::span{room}.first(write(room, ask));
  const Verify verify{pseudo_header(from, to, protocol::icmpv6, bytes.size())};
  seal<IcmpHeader>(bytes, pseudo_header(from, to, protocol::icmpv6, bytes.size()));
  auto message = parse_icmp(bytes, verify);
  ASSERT_TRUE(message);
  const auto asked = parse_neighbour_solicitation(*message, 255);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->target, ask.target);
  EXPECT_EQ(asked->options.source_mac, mac);
  EXPECT_EQ(parse_neighbour_solicitation(*message, 254).error(), Drop::bad_value);

  NeighbourAdvertisement answer;
  answer.solicited = answer.overrides = true;
  answer.target = ask.target;
  answer.options.target_mac = mac;
  bytes = std::span{room}.first(write(room, answer));
  seal<IcmpHeader>(bytes, pseudo_header(from, to, protocol::icmpv6, bytes.size()));
  message = parse_icmp(bytes, verify);
  ASSERT_TRUE(message);
  const auto answered = parse_neighbour_advertisement(*message, 255);
  ASSERT_TRUE(answered);
  EXPECT_TRUE(answered->solicited && answered->overrides && !answered->router);
  EXPECT_EQ(answered->options.target_mac, mac);

  RouterSolicitation solicitation;
  bytes = std::span{room}.first(write(room, solicitation));
  EXPECT_EQ(bytes.size(), IcmpHeader::size);
  message = parse_icmp(bytes, Verify::done_by_device());
  EXPECT_TRUE(parse_router_solicitation(*message, 255));
}

TEST(Ndp, ReadsRouterAdvertisements) {
  const Bytes body =
      hex("00007530 000003e8"
          "0101 525400123456"
          "0501 0000 000005dc"
          "0304 40c0 00015180 00003840 00000000 20010db8000100000000000000000000"
          "1903 0000 000004b0 20010db8000000000000000000000053"
          "7f01 000000000000");
  const auto message = message_of(icmpv6::router_advertisement, 0x40c00708, body);
  const auto advertisement = parse_router_advertisement(message, 255);
  ASSERT_TRUE(advertisement);
  EXPECT_EQ(advertisement->hop_limit, 64);
  EXPECT_TRUE(advertisement->managed && advertisement->other_configuration);
  EXPECT_EQ(advertisement->lifetime_s, 1800);
  EXPECT_EQ(advertisement->reachable_ms, 30'000u);
  EXPECT_EQ(advertisement->retransmit_ms, 1'000u);
  const NdpOptions& options = advertisement->options;
  EXPECT_EQ(options.mtu, 1500u);
  ASSERT_EQ(options.prefix_count, 1u);
  EXPECT_EQ(options.prefixes[0].bits, 64);
  EXPECT_TRUE(options.prefixes[0].on_link && options.prefixes[0].autonomous);
  EXPECT_EQ(options.prefixes[0].valid_s, 86'400u);
  EXPECT_EQ(options.prefixes[0].prefix, *Ipv6Address::parse("2001:db8:1::"));
  ASSERT_EQ(options.dns_server_count, 1u);
  EXPECT_EQ(options.dns_servers[0], *Ipv6Address::parse("2001:db8::53"));
  EXPECT_EQ(options.dns_lifetime_s, 1'200u);
  for (std::size_t size = 0; size < body.size(); ++size) {
    const Bytes part{body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size)};
    const auto cut =
        parse_router_advertisement(message_of(icmpv6::router_advertisement, 0x40c00708, part), 255);
    const bool whole = size == 8 || size == 16 || size == 24 || size == 56 || size == 80;
    EXPECT_EQ(cut.has_value(), whole) << size;
  }
}

TEST(Ndp, NamesWhyItDrops) {
  const Bytes zero = hex("00000000 00000000 0100 525400123456");
  EXPECT_EQ(
      parse_router_advertisement(message_of(icmpv6::router_advertisement, 0, zero), 255).error(),
      Drop::bad_option);
  const Bytes group = hex("ff020000000000000000000000000001");
  EXPECT_EQ(parse_neighbour_solicitation(message_of(icmpv6::neighbour_solicitation, 0, group), 255)
                .error(),
            Drop::bad_address);
  EXPECT_EQ(parse_neighbour_advertisement(message_of(icmpv6::neighbour_solicitation, 0, group), 255)
                .error(),
            Drop::bad_value);
  IcmpMessage coded = message_of(icmpv6::neighbour_solicitation, 0, group);
  coded.code = 1;
  EXPECT_EQ(parse_neighbour_solicitation(coded, 255).error(), Drop::bad_value);
  EXPECT_EQ(parse_redirect(message_of(icmpv6::redirect, 0, group), 255).error(), Drop::truncated);
}

}  // namespace
}  // namespace lichen::net::wire

#include <gtest/gtest.h>

#include <array>

#include "lichen/net/wire/arp.hpp"
#include "lichen/net/wire/ethernet.hpp"
#include "lichen/net/wire/test_bytes.hpp"

namespace lichen::net::wire {
namespace {

TEST(Ethernet, ReadsAndWrites) {
  const Bytes bytes = hex("ffffffffffff 525400123456 0806 abcd");
  const auto frame = parse_ethernet(bytes);
  ASSERT_TRUE(frame);
  EXPECT_TRUE(frame->to.is_broadcast());
  EXPECT_EQ(frame->from, *MacAddress::parse("52:54:00:12:34:56"));
  EXPECT_EQ(frame->type, ether_type::arp);
  EXPECT_EQ(frame->payload.size(), 2u);
  std::array<std::byte, EthernetHeader::size> out;
  ASSERT_EQ(write(out, *frame), out.size());
  EXPECT_TRUE(std::ranges::equal(out, std::span{bytes}.first(14)));
}

TEST(Ethernet, RefusesWhatIsNone) {
  const Bytes bytes = hex("ffffffffffff 525400123456 0800");
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(parse_ethernet(std::span{bytes}.first(size)).error(), Drop::truncated);
  EXPECT_EQ(parse_ethernet(hex("ffffffffffff 525400123456 05dc")).error(), Drop::bad_value);
}

TEST(Arp, ReadsAndWrites) {
  const Bytes bytes = hex("0001 0800 06 04 0001 525400123456 0a00020f 000000000000 0a000202");
  const auto packet = parse_arp(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->operation, ArpOperation::request);
  EXPECT_EQ(packet->sender, *Ipv4Address::parse("10.0.2.15"));
  EXPECT_EQ(packet->target, *Ipv4Address::parse("10.0.2.2"));
  EXPECT_TRUE(packet->target_mac.is_zero());
  std::array<std::byte, ArpPacket::size> out;
  ASSERT_EQ(write(out, *packet), out.size());
  EXPECT_TRUE(std::ranges::equal(out, bytes));
}

TEST(Arp, RefusesWhatIsNone) {
  const Bytes good = hex("0001 0800 06 04 0002 525400123456 0a00020f 000000000000 0a000202");
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(parse_arp(std::span{good}.first(size)).error(), Drop::truncated);
  for (const std::size_t at : {1, 2, 4, 5}) {
    Bytes wrong = good;
    wrong[at] ^= std::byte{0x10};
    EXPECT_EQ(parse_arp(wrong).error(), Drop::bad_version) << at;
  }
  Bytes reverse = good;
  reverse[7] = std::byte{3};
  EXPECT_EQ(parse_arp(reverse).error(), Drop::bad_value);
}

}  // namespace
}  // namespace lichen::net::wire

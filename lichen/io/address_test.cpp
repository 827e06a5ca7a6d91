#include "lichen/io/address.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lichen::io {
namespace {

std::string round_trip(std::string_view text) {
  Result<Address> address = Address::parse(text);
  return address ? address->text() : std::string{name(address.error())};
}

TEST(Address, ReadsAndWritesIpv4) {
  EXPECT_EQ(round_trip("127.0.0.1:80"), "127.0.0.1:80");
  EXPECT_EQ(round_trip("255.255.255.255:65535"), "255.255.255.255:65535");
  EXPECT_EQ(round_trip("0.0.0.0:0"), "0.0.0.0:0");
  EXPECT_EQ(Address::parse("127.0.0.1:80").value(), Address::loopback(80));
}

TEST(Address, RefusesWhatIsNoIpv4Address) {
  for (const char* text :
       {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1: 80", "127.0.0.1:080", "127.0.0:80", "127.0.0.0.1:80", "256.0.0.1:80",
        "01.0.0.1:80", "1..0.1:80", "a.b.c.d:80", "127.0.0.1 :80", "localhost:80", "127.0.0.1.:80",
        "0x7f.0.0.1:80"})
    EXPECT_EQ(round_trip(text), "invalid_argument") << text;
}

// The examples of RFC 4291 section 2.2 and RFC 5952 sections 2 to 5.
TEST(Address, WritesIpv6InTheRecommendedForm) {
  EXPECT_EQ(round_trip("[ABCD:EF01:2345:6789:ABCD:EF01:2345:6789]:1"),
            "[abcd:ef01:2345:6789:abcd:ef01:2345:6789]:1");
  EXPECT_EQ(round_trip("[2001:DB8:0:0:8:800:200C:417A]:1"), "[2001:db8::8:800:200c:417a]:1");
  EXPECT_EQ(round_trip("[FF01:0:0:0:0:0:0:101]:1"), "[ff01::101]:1");
  EXPECT_EQ(round_trip("[0:0:0:0:0:0:0:1]:1"), "[::1]:1");
  EXPECT_EQ(round_trip("[0:0:0:0:0:0:0:0]:1"), "[::]:1");
  EXPECT_EQ(round_trip("[2001:0db8::0001]:1"), "[2001:db8::1]:1");
  EXPECT_EQ(round_trip("[2001:db8:0:0:0:0:2:1]:1"), "[2001:db8::2:1]:1");
  EXPECT_EQ(round_trip("[2001:db8:0:1:1:1:1:1]:1"), "[2001:db8:0:1:1:1:1:1]:1");
  EXPECT_EQ(round_trip("[2001:0:0:1:0:0:0:1]:1"), "[2001:0:0:1::1]:1");
  EXPECT_EQ(round_trip("[2001:db8:0:0:1:0:0:1]:1"), "[2001:db8::1:0:0:1]:1");
  EXPECT_EQ(round_trip("[1:0:0:0:0:0:0:0]:1"), "[1::]:1");
  EXPECT_EQ(round_trip("[::FFFF:129.144.52.38]:1"), "[::ffff:129.144.52.38]:1");
  EXPECT_EQ(round_trip("[::13.1.68.3]:1"), "[::d01:4403]:1");
  EXPECT_EQ(round_trip("[fe80::1%3]:443"), "[fe80::1%3]:443");
}

TEST(Address, RefusesWhatIsNoIpv6Address) {
  for (const char* text : {"::1:80",
                           "[::1]",
                           "[::1]:",
                           "[::1:80",
                           "[]:80",
                           "[:]:80",
                           "[:::]:80",
                           "[1::2::3]:80",
                           "[1:2:3:4:5:6:7]:80",
                           "[1:2:3:4:5:6:7:8:9]:80",
                           "[1:2:3:4:5:6:7:8::]:80",
                           "[12345::]:80",
                           "[g::]:80",
                           "[1:]:80",
                           "[:1]:80",
                           "[1.2.3.4::]:80",
                           "[::1.2.3]:80",
                           "[::1.2.3.4:5]:80",
                           "[1:2:3:4:5:6:7:1.2.3.4]:80",
                           "[::1%]:80",
                           "[::1%eth0]:80",
                           "[::1%4294967296]:80",
                           "[1.2.3.4]:80",
                           "[::-1]:80"})
    EXPECT_EQ(round_trip(text), "invalid_argument") << text;
}

TEST(Address, KnowsLoopback) {
  EXPECT_TRUE(Address::loopback(1).is_loopback());
  EXPECT_TRUE(Address::parse("127.9.9.9:1")->is_loopback());
  EXPECT_TRUE(Address::parse("[::1]:1")->is_loopback());
  for (const char* text : {"128.0.0.1:1", "[::]:1", "[1::1]:1", "[::2]:1", "local:/127"})
    EXPECT_FALSE(Address::parse(text)->is_loopback()) << text;
  EXPECT_FALSE(Address{}.is_loopback());
}

TEST(Address, NamesLocalSockets) {
  EXPECT_EQ(round_trip("local:/run/x.sock"), "local:/run/x.sock");
  EXPECT_EQ(round_trip("local:@hidden"), "local:@hidden");
  EXPECT_EQ(round_trip("local:"), "invalid_argument");
  EXPECT_EQ(round_trip("local:@"), "invalid_argument");
  EXPECT_TRUE(Address::local(std::string(107, 'x')));
  EXPECT_TRUE(Address::local(std::string(108, 'x')).failed_with(Error::too_large));
  EXPECT_TRUE(Address::local(std::string_view{"a\0b", 3}).failed_with(Error::invalid_argument));
  EXPECT_EQ(Address::local(std::string(107, 'x'))->text(), "local:" + std::string(107, 'x'));
  EXPECT_EQ(Address{}.text(), "no address");
}

}  // namespace
}  // namespace lichen::io

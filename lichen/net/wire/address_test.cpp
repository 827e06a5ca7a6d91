#include "lichen/net/wire/address.hpp"

#include <gtest/gtest.h>

#include <string>

#include "lichen/base/format.hpp"

namespace lichen::net::wire {
namespace {

std::string text(const auto& value) { return std::string{base::format<64>("{}", value).view()}; }

TEST(Address, ReadsAndWritesMac) {
  const auto mac = MacAddress::parse("52:54:00:aB:Cd:0f");
  ASSERT_TRUE(mac);
  EXPECT_EQ(text(*mac), "52:54:00:ab:cd:0f");
  EXPECT_FALSE(mac->is_group());
  EXPECT_TRUE(MacAddress::broadcast().is_group());
  for (const char* wrong : {"", "52:54:00:ab:cd", "52:54:00:ab:cd:0g", "52-54-00-ab-cd-0f",
                            "52:54:00:ab:cd:0f:", "5254:00:ab:cd:0f:1"})
    EXPECT_FALSE(MacAddress::parse(wrong)) << wrong;
}

TEST(Address, KeepsBothFamilies) {
  const auto v4 = IpAddress::parse("10.0.2.15");
  const auto v6 = IpAddress::parse("2001:db8::1");
  ASSERT_TRUE(v4 && v6);
  EXPECT_TRUE(v4->is_ipv4());
  EXPECT_FALSE(v6->is_ipv4());
  EXPECT_EQ(v4->ipv4().number(), 0x0a00020fu);
  EXPECT_EQ(text(*v4), "10.0.2.15");
  EXPECT_EQ(text(*v6), "2001:db8::1");
  EXPECT_FALSE(IpAddress::parse("10.0.2"));
  EXPECT_FALSE(IpAddress::parse(":::1"));
}

TEST(Address, KnowsWhatItIs) {
  const auto is = [](const char* address) { return *IpAddress::parse(address); };
  EXPECT_TRUE(is("127.1.2.3").is_loopback());
  EXPECT_TRUE(is("::1").is_loopback());
  EXPECT_TRUE(is("0.0.0.0").is_unspecified());
  EXPECT_TRUE(is("::").is_unspecified());
  EXPECT_FALSE(is("0.0.0.1").is_unspecified());
  EXPECT_TRUE(is("224.0.0.1").is_multicast());
  EXPECT_TRUE(is("239.255.255.255").is_multicast());
  EXPECT_FALSE(is("240.0.0.1").is_multicast());
  EXPECT_TRUE(is("ff02::1").is_multicast());
  EXPECT_TRUE(is("169.254.1.1").is_link_local());
  EXPECT_TRUE(is("fe80::1").is_link_local());
  EXPECT_TRUE(is("febf::1").is_link_local());
  EXPECT_FALSE(is("fec0::1").is_link_local());
}

TEST(Address, MakesGroupsAndInterfaceIds) {
  const MacAddress mac = *MacAddress::parse("52:54:00:12:34:56");
  EXPECT_EQ(text(Ipv6Address::link_local(mac)), "fe80::5054:ff:fe12:3456");
  // RFC 4291 section 2.7.1.
  EXPECT_EQ(text(Ipv6Address::parse("4037::1:800:200e:8c6c")->solicited_node()),
            "ff02::1:ff0e:8c6c");
  EXPECT_EQ(text(Ipv6Address::all_nodes()), "ff02::1");
  EXPECT_EQ(text(Ipv6Address::all_routers()), "ff02::2");
  EXPECT_EQ(text(Ipv6Address::all_nodes().multicast_mac()), "33:33:00:00:00:01");
  // RFC 1112 section 6.4: 23 bits of the group.
  EXPECT_EQ(text(Ipv4Address::parse("224.129.2.3")->multicast_mac()), "01:00:5e:01:02:03");
}

TEST(Address, PrefixesContainTheirs) {
  const auto in = [](const char* network, std::uint8_t bits, const char* address) {
    return Prefix{*IpAddress::parse(network), bits}.contains(*IpAddress::parse(address));
  };
  EXPECT_TRUE(in("10.0.2.0", 24, "10.0.2.255"));
  EXPECT_FALSE(in("10.0.2.0", 24, "10.0.3.0"));
  EXPECT_TRUE(in("10.0.2.0", 23, "10.0.3.0"));
  EXPECT_TRUE(in("0.0.0.0", 0, "255.1.1.1"));
  EXPECT_FALSE(in("0.0.0.0", 0, "::1"));
  EXPECT_FALSE(in("::", 0, "1.1.1.1"));
  EXPECT_TRUE(in("10.0.0.1", 32, "10.0.0.1"));
  EXPECT_TRUE(in("2001:db8::", 33, "2001:db8:7fff::1"));
  EXPECT_FALSE(in("2001:db8::", 33, "2001:db8:8000::1"));
  EXPECT_TRUE(in("::1", 128, "::1"));
}

}  // namespace
}  // namespace lichen::net::wire

#include "lichen/net/ip/route.hpp"

#include <gtest/gtest.h>

#include "lichen/net/ip/interface.hpp"
#include "lichen/net/ip/record_ring.hpp"

namespace lichen::net::ip {
namespace {

wire::IpAddress ip(std::string_view text) { return *wire::IpAddress::parse(text); }
wire::Prefix net(std::string_view text, std::uint8_t bits) { return {ip(text), bits}; }

// RFC 1812 section 5.2.4.3: the longest match, then preference.
TEST(Routes, LongestPrefixThenMetric) {
  RouteTable table;
  ASSERT_TRUE(table.add({.to = net("0.0.0.0", 0), .via = ip("10.0.0.1"), .interface = 1}));
  ASSERT_TRUE(table.add({.to = net("10.0.0.0", 8), .interface = 1, .metric = 9}));
  ASSERT_TRUE(table.add({.to = net("10.0.0.0", 8), .interface = 2, .metric = 3}));
  ASSERT_TRUE(table.add({.to = net("10.1.2.3", 24), .interface = 3}));
  ASSERT_TRUE(table.add({.to = net("::", 0), .via = ip("fe80::1"), .interface = 4}));
  EXPECT_EQ(table.find(ip("8.8.8.8"))->interface, 1);
  EXPECT_EQ(table.find(ip("10.9.9.9"))->interface, 2);
  EXPECT_EQ(table.find(ip("10.1.2.200"))->interface, 3);
  EXPECT_EQ(table.find(ip("10.1.3.1"))->interface, 2);
  EXPECT_EQ(table.find(ip("2001::1"))->interface, 4);
  EXPECT_EQ(table.find(ip("10.9.9.9"), 1)->metric, 9u);
  EXPECT_EQ(table.find(ip("2001::1"), 1), nullptr);
}

TEST(Routes, ReplaceRemoveExpire) {
  RouteTable table;
  ASSERT_TRUE(table.add({.to = net("10.0.0.77", 24), .interface = 1, .metric = 5}));
  ASSERT_TRUE(table.add({.to = net("10.0.0.0", 24), .interface = 1, .metric = 6, .expires = 50}));
  ASSERT_EQ(table.all().size(), 1u);
  EXPECT_EQ(table.all()[0].metric, 6u);
  EXPECT_EQ(table.expire(49), 50u);
  EXPECT_EQ(table.expire(50), never);
  EXPECT_TRUE(table.all().empty());
  EXPECT_TRUE(table.remove(net("10.0.0.0", 24), {}, 1).failed_with(Error::not_found));
  EXPECT_TRUE(
      table.add({.to = net("10.0.0.0", 33), .interface = 1}).failed_with(Error::invalid_argument));
  EXPECT_TRUE(table.add({.to = net("::", 0), .via = ip("10.0.0.1"), .interface = 1})
                  .failed_with(Error::invalid_argument));
  for (std::uint32_t i = 0; i < RouteTable::most; ++i)
    ASSERT_TRUE(table.add({.to = {wire::Ipv4Address::of(i << 8), 24}, .interface = 1}));
  EXPECT_TRUE(table.add({.to = net("::", 0), .interface = 1}).failed_with(Error::limit_reached));
  table.remove_interface(1);
  EXPECT_TRUE(table.all().empty());
}

const LocalAddress* choose(std::initializer_list<LocalAddress> addresses, std::string_view to,
                           Interface& interface) {
  interface = {};
  for (const LocalAddress& address : addresses) interface.add_address(address);
  return choose_source(interface, ip(to));
}

// RFC 6724 section 5, with the examples of section 10.1.
TEST(SourceAddress, Rules) {
  Interface interface;
  const auto chosen = [&](std::initializer_list<LocalAddress> addresses, std::string_view to) {
    const LocalAddress* source = choose(addresses, to, interface);
    return source == nullptr ? wire::IpAddress{} : source->address;
  };
  const auto a = [](std::string_view text, AddressState state = AddressState::preferred) {
    return LocalAddress{.address = ip(text), .bits = 64, .state = state};
  };
  EXPECT_EQ(chosen({a("2001:db8:3::1"), a("fe80::1")}, "2001:db8:1::1"), ip("2001:db8:3::1"));
  EXPECT_EQ(chosen({a("2001:db8:3::1"), a("fe80::1")}, "ff05::1"), ip("2001:db8:3::1"));
  EXPECT_EQ(
      chosen({a("2001:db8:1::1", AddressState::deprecated), a("2001:db8:3::2")}, "2001:db8:1::1"),
      ip("2001:db8:1::1"));
  EXPECT_EQ(chosen({a("fe80::1", AddressState::deprecated), a("2001:db8:1::1")}, "fe80::2"),
            ip("fe80::1"));
  EXPECT_EQ(chosen({a("2001:db8:1::2"), a("2001:db8:3::2")}, "2001:db8:1::1"), ip("2001:db8:1::2"));
  EXPECT_EQ(chosen({a("2002:c633:6401::d5e3"), a("2001:db8:1::2")}, "2002:c633:6401::1"),
            ip("2002:c633:6401::d5e3"));
  EXPECT_EQ(
      chosen({a("2001:db8:1::1", AddressState::deprecated), a("2001:db8:3::2")}, "2001:db8:9::1"),
      ip("2001:db8:3::2"));
  EXPECT_EQ(chosen({a("2001:db8::1", AddressState::tentative)}, "2001:db8::2"), wire::IpAddress{});
  EXPECT_EQ(
      chosen({{.address = ip("169.254.1.1"), .bits = 16}, {.address = ip("10.0.0.1"), .bits = 8}},
             "8.8.8.8"),
      ip("10.0.0.1"));
}

TEST(RecordRing, KeepsOrderAndBounds) {
  alignas(8) std::array<std::byte, 100> memory;
  RecordRing ring{memory};
  EXPECT_EQ(ring.push(89).data(), nullptr);  // 96 bytes are usable
  EXPECT_NE(ring.push(88).data(), nullptr);
  ring.pop();
  std::uint64_t state = 1;
  std::vector<std::size_t> model;
  for (int i = 0; i < 100'000; ++i) {
    state = state * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
    const std::size_t size = state >> 60;
    if ((state >> 50 & 1) != 0) {
      const auto room = ring.push(size);
      if (room.data() == nullptr) {
        ASSERT_FALSE(ring.empty());
        continue;
      }
      ASSERT_EQ(room.size(), size);
      std::ranges::fill(room, static_cast<std::byte>(size + 1));
      model.push_back(size);
    } else if (!ring.empty()) {
      const auto record = ring.front();
      ASSERT_EQ(record.size(), model.front());
      for (const std::byte byte : record)
        ASSERT_EQ(byte, static_cast<std::byte>(model.front() + 1));
      ring.pop();
      model.erase(model.begin());
    }
    ASSERT_EQ(ring.count(), model.size());
  }
}

}  // namespace
}  // namespace lichen::net::ip

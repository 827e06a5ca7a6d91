#include "lichen/net/ip/selection.hpp"

#include <vector>

#include "lichen/net/ip/test_host.hpp"

namespace lichen::net::ip {
namespace {

using Addresses = std::vector<wire::IpAddress>;

struct Selection : StackTest {
  Addresses sorted(Addresses addresses) {
    sort_destinations(*stack, addresses, now);
    return addresses;
  }
};

// RFC 6724 section 6, rule 1: what cannot be reached comes last.
TEST_F(Selection, WhatCanBeReachedFirst) {
  EXPECT_EQ(sorted({ip("8.8.8.8"), ip("10.0.0.9")}), (Addresses{ip("10.0.0.9"), ip("8.8.8.8")}));
  EXPECT_EQ(sorted({ip("2001:db9::1"), ip("10.0.0.9")}),
            (Addresses{ip("10.0.0.9"), ip("2001:db9::1")}));
}

// Rule 2: what is as far away as the address we would send from.
TEST_F(Selection, MatchingScope) {
  ASSERT_TRUE(stack->add_route(
      {.to = {wire::Ipv6Address{}, 0}, .via = ip("2001:db8::2"), .interface = interface->index}));
  ASSERT_TRUE(stack->remove_address(*interface, ip("2001:db8::1")));
  // Only the link-local address is left, which reaches nothing behind a router.
  EXPECT_EQ(sorted({ip("2001:db9::1"), ip("10.0.0.9")}),
            (Addresses{ip("10.0.0.9"), ip("2001:db9::1")}));
}

// Rules 5 and 6: of the same kind as our address; then IPv6 before IPv4.
TEST_F(Selection, LabelsAndPrecedence) {
  ASSERT_TRUE(stack->add_route(
      {.to = {wire::Ipv6Address{}, 0}, .via = ip("2001:db8::2"), .interface = interface->index}));
  EXPECT_EQ(sorted({ip("10.0.0.9"), ip("2001:db8::9")}),
            (Addresses{ip("2001:db8::9"), ip("10.0.0.9")}));
  EXPECT_EQ(sorted({ip("fd00::1"), ip("10.0.0.9"), ip("2002::1"), ip("2001:db8::9")}),
            (Addresses{ip("2001:db8::9"), ip("10.0.0.9"), ip("2002::1"), ip("fd00::1")}));
}

// Rules 8 and 10: the nearest; equals stay as they came.
TEST_F(Selection, NearestAndAsTheyCame) {
  EXPECT_EQ(sorted({ip("2001:db8::9"), ip("fe80::9")}),
            (Addresses{ip("fe80::9"), ip("2001:db8::9")}));
  const Addresses same{ip("10.0.0.9"), ip("10.0.0.3"), ip("10.0.0.200")};
  EXPECT_EQ(sorted(same), same);
  EXPECT_EQ(sorted({}), Addresses{});
  Addresses many;
  for (int i = 0; i < 50; ++i) many.push_back(i < 40 ? ip("8.8.8.8") : ip("10.0.0.9"));
  EXPECT_EQ(sorted(many), many);  // all that is looked at is the same
}

}  // namespace
}  // namespace lichen::net::ip

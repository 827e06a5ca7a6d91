#include "lichen/hal/sim/link.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace lichen::hal::sim {
namespace {

// A packet that carries a number, many times over.
std::vector<std::byte> packet(std::uint32_t number, std::size_t size = 100) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(number >> (i % 4 * 8) & 0xff);
  return bytes;
}
std::uint32_t number_of(const std::vector<std::byte>& bytes) {
  std::uint32_t number;
  std::memcpy(&number, bytes.data(), sizeof(number));
  return number;
}

struct Arrival {
  std::uint64_t ns;
  std::vector<std::byte> packet;
  friend bool operator==(const Arrival&, const Arrival&) = default;
};
std::vector<Arrival> drain(Link& link) {
  std::vector<Arrival> all;
  while (link.next_arrival() != no_deadline) {
    const std::uint64_t at = link.next_arrival();
    EXPECT_TRUE(link.receive(at - 1).failed_with(Error::would_block));
    auto received = link.receive(at);
    EXPECT_TRUE(received.has_value());
    all.push_back({at, std::move(*received)});
  }
  EXPECT_TRUE(link.receive(no_deadline - 1).failed_with(Error::would_block));
  return all;
}
std::vector<Arrival> send_thousand(Link& link, std::uint64_t apart_ns = 10'000) {
  for (std::uint32_t i = 0; i < 1'000; ++i)
    EXPECT_TRUE(link.send(packet(i), i * apart_ns).has_value());
  return drain(link);
}

TEST(SimLink, APerfectLinkDelaysOnly) {
  Link link{{.latency = {50'000, 50'000}, .bits_per_second = 0}, 1};
  const auto all = send_thousand(link);
  ASSERT_EQ(all.size(), 1'000U);
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    EXPECT_EQ(all[i].packet, packet(i));
    EXPECT_EQ(all[i].ns, i * 10'000 + 50'000);
  }
  EXPECT_EQ(link.statistics().received, 1'000U);
}

TEST(SimLink, RefusesWhatNoLinkTakes) {
  Link link{{.largest_packet = 100}, 1};
  EXPECT_TRUE(link.send({}, 0).failed_with(Error::invalid_argument));
  EXPECT_TRUE(link.send(packet(1, 101), 0).failed_with(Error::too_large));
  EXPECT_EQ(link.next_arrival(), no_deadline);
}

TEST(SimLink, TheWireTakesOnePacketAfterAnother) {
  // 100 bytes at 8 Mbit/s: 100 us each.
  Link link{{.latency = {0, 0}, .bits_per_second = 8'000'000, .queue_bytes = 1'000}, 1};
  for (std::uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(link.send(packet(i), 0).has_value());
  const auto all = drain(link);
  ASSERT_EQ(all.size(), 10U);  // the queue holds 1,000 bytes, with what is on the wire
  for (std::uint32_t i = 0; i < 10; ++i) EXPECT_EQ(all[i].ns, (i + 1) * 100'000);
  EXPECT_EQ(link.statistics().dropped, 10U);
}

TEST(SimLink, JitterKeepsTheOrder) {
  Link link{{.latency = {10'000, 500'000}}, 3};
  const auto all = send_thousand(link);
  ASSERT_EQ(all.size(), 1'000U);
  for (std::uint32_t i = 0; i < 1'000; ++i) EXPECT_EQ(number_of(all[i].packet), i);
  for (std::uint32_t i = 0; i < 1'000; ++i) EXPECT_GE(all[i].ns, i * 10'000 + 10'000);
}

TEST(SimLink, LosesDoublesDamagesAndReordersAsOftenAsItSays) {
  {
    Link link{{.lost = 100'000}, 5};
    const auto all = send_thousand(link);
    EXPECT_EQ(all.size() + link.statistics().lost, 1'000U);
    EXPECT_NEAR(static_cast<double>(link.statistics().lost), 100, 40);
  }
  {
    Link link{{.doubled = 100'000}, 5};
    const auto all = send_thousand(link);
    EXPECT_EQ(all.size(), 1'000U + link.statistics().doubled);
    EXPECT_NEAR(static_cast<double>(link.statistics().doubled), 100, 40);
  }
  {
    Link link{{.damaged = 100'000}, 5};
    std::uint64_t damaged = 0;
    for (std::uint32_t i = 0; const Arrival& each : send_thousand(link)) {
      const auto good = packet(i++);
      int flips = 0;
      for (std::size_t k = 0; k < good.size(); ++k)
        flips += std::popcount(std::to_integer<unsigned>(good[k] ^ each.packet[k]));
      EXPECT_LE(flips, 8);
      if (flips > 0) ++damaged;
    }
    // Flips may cancel each other, seldom.
    EXPECT_LE(damaged, link.statistics().damaged);
    EXPECT_NEAR(static_cast<double>(damaged), 100, 40);
  }
  {
    Link link{{.overtaken = 100'000}, 5};
    const auto all = send_thousand(link);
    EXPECT_EQ(all.size(), 1'000U);
    EXPECT_NEAR(static_cast<double>(link.statistics().overtaken), 100, 40);
    EXPECT_FALSE(
        std::ranges::is_sorted(all, {}, [](auto& each) { return number_of(each.packet); }));
  }
}

TEST(SimLink, WhatIsSentWhileItIsDownIsLost) {
  Link link{{}, 1};
  ASSERT_TRUE(link.send(packet(1), 0).has_value());
  link.set_up(false);
  ASSERT_TRUE(link.send(packet(2), 1'000).has_value());
  link.set_up(true);
  ASSERT_TRUE(link.send(packet(3), 2'000).has_value());
  const auto all = drain(link);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(number_of(all[0].packet), 1U);
  EXPECT_EQ(number_of(all[1].packet), 3U);
}

TEST(SimLink, IsAFunctionOfItsSeed) {
  const LinkModel model{.lost = 50'000, .doubled = 50'000, .damaged = 50'000, .overtaken = 50'000};
  Link first{model, 11};
  Link second{model, 11};
  Link other{model, 12};
  const auto all = send_thousand(first);
  EXPECT_EQ(send_thousand(second), all);
  EXPECT_NE(send_thousand(other), all);
}

}  // namespace
}  // namespace lichen::hal::sim

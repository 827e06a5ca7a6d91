// Two stacks over a link with everything a real one does to packets.
#include "lichen/base/random.hpp"
#include "tests/net/two_hosts.hpp"

namespace lichen::net::ip {
namespace {

std::vector<std::byte> pattern(std::size_t size, std::uint64_t seed) {
  Random random{seed};
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Sizes around every border, and all over.
std::vector<std::size_t> sizes(std::uint32_t mtu, std::size_t most) {
  std::vector<std::size_t> all{0, 1, 2, 7, 8, 9, 55, 56, 57};
  for (const std::size_t pieces : {1, 2, 3, 44})
    for (const std::size_t header : {28, 48, 56})
      for (int off = -9; off <= 9; ++off)
        all.push_back(pieces * (mtu - header) + static_cast<std::size_t>(off + 9) - 9);
  for (std::size_t size = 100; size < most; size += 3'571) all.push_back(size);
  all.push_back(most);
  std::erase_if(all, [&](std::size_t size) { return size > most; });
  return all;
}

class Mtus : public testing::TestWithParam<std::uint32_t> {};

// RFC 792 page 14, RFC 4443 section 4.2: the data comes back, all of it, whatever its size.
TEST_P(Mtus, PingsOfAllSizes) {
  TwoHosts world{{}, 3, GetParam()};
  for (const bool ipv4 : {true, false}) {
    const wire::IpAddress to = ipv4 ? world.b.ipv4 : world.b.ipv6;
    for (const std::size_t size : sizes(GetParam(), 65'507)) {
      const auto body = pattern(size, size + 1);
      const unsigned before = world.a.echo.replies;
      const auto way = world.a.stack->way(to, {}, nullptr, world.now);
      ASSERT_TRUE(way);
      ASSERT_TRUE(
          world.a.stack->send_echo(*way, 5, static_cast<std::uint16_t>(size), body, world.now));
      world.settle();
      ASSERT_EQ(world.a.echo.replies, before + 1) << size << " bytes, IPv4: " << ipv4;
      ASSERT_EQ(world.a.echo.body, body);
      ASSERT_EQ(world.a.echo.from, to);
    }
  }
  EXPECT_EQ(world.owner.lent, 0u);
  EXPECT_EQ(world.b.stack->reassembly().count(), 0u);
}

// RFC 768, RFC 1122 section 4.1: from nothing to 65,507 bytes, which is what IPv4 can carry.
TEST_P(Mtus, DatagramsOfAllSizes) {
  TwoHosts world{{}, 4, GetParam()};
  std::vector<std::byte> memory(140'000);
  std::vector<std::byte> other(140'000);
  UdpSocket from{memory};
  UdpSocket to{other};
  ASSERT_TRUE(world.a.udp->open(from, {{}, 0}));
  ASSERT_TRUE(world.b.udp->open(to, {{}, 7}));
  std::vector<std::byte> into(70'000);
  for (const bool ipv4 : {true, false}) {
    for (const std::size_t size : sizes(GetParam(), ipv4 ? 65'507 : 65'527)) {
      const auto payload = pattern(size, size);
      ASSERT_TRUE(world.a.udp->send(from, {ipv4 ? world.b.ipv4 : world.b.ipv6, 7}, Pieces{payload},
                                    world.now));
      world.settle();
      const auto got = to.receive(into);
      ASSERT_TRUE(got) << size << " bytes, IPv4: " << ipv4;
      ASSERT_EQ(got->size, size);
      ASSERT_TRUE(std::ranges::equal(payload, std::span{into}.first(size)));
      ASSERT_EQ(got->from.port, from.local().port);
    }
  }
  world.a.udp->close(from);
  world.b.udp->close(to);
}

INSTANTIATE_TEST_SUITE_P(Ip, Mtus, testing::Values(1'280u, 1'500u));

// What arrives is what was sent, whole, whatever the link does: RFC 791 section 3.2, RFC 5722, RFC
// 768. Of damage a sum of 16 bits misses some (a link's own check would not).
TEST(BadLink, DeliversWholeDatagramsOrNone) {
  std::size_t arrived = 0;
  std::size_t damaged = 0;
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    const bool damages = seed % 3 == 0;
    const LinkModel model{
        .lost = 10'000, .doubled = 30'000, .damaged = damages ? 20'000u : 0u, .overtaken = 50'000};
    TwoHosts world{model, seed, seed % 2 == 0 ? 1'280u : 1'500u};
    std::vector<std::byte> memory(140'000);
    std::vector<std::byte> other(140'000);
    UdpSocket from{memory};
    UdpSocket to{other};
    ASSERT_TRUE(world.a.udp->open(from, {{}, 0}));
    ASSERT_TRUE(world.b.udp->open(to, {{}, 7}));
    std::vector<std::byte> into(70'000);
    Random random{seed};
    const auto take_all = [&] {
      while (const auto got = to.receive(into)) {
        // The content follows from the size, so nothing can come that was not sent.
        const bool same =
            std::ranges::equal(pattern(got->size, got->size), std::span{into}.first(got->size));
        EXPECT_TRUE(same || damages);
        ++arrived;
        damaged += !same;
      }
    };
    for (int i = 0; i < 40; ++i) {
      const std::size_t size = 4 + random.below(i % 4 == 0 ? 20'000 : 2'000);
      const auto payload = pattern(size, size);
      const wire::IpAddress& address = i % 2 == 0 ? world.b.ipv4 : world.b.ipv6;
      (void)world.a.udp->send(from, {address, 7}, Pieces{payload}, world.now);
      world.run_for(random.below(20 * millisecond));
      take_all();
    }
    world.run_for(120 * second);
    take_all();
    EXPECT_EQ(world.b.stack->reassembly().count(), 0u);
    EXPECT_EQ(world.a.stack->neighbours().pending(), 0u);
    EXPECT_EQ(world.owner.lent, 0u);
    refused += world.b.interface->counters.of(wire::Drop::bad_checksum);
    world.a.udp->close(from);
    world.b.udp->close(to);
  }
  EXPECT_GT(arrived, 60u * 40 * 3 / 4);
  EXPECT_LT(damaged, arrived / 100);
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace lichen::net::ip

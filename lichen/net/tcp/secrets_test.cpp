#include "lichen/net/tcp/secrets.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "lichen/base/random.hpp"

namespace lichen::net::tcp {
namespace {

constexpr wire::IpAddress here = wire::Ipv4Address::of(0xc0000201);
constexpr wire::IpAddress there = wire::Ipv4Address::of(0xc0000202);

TEST(Secrets, CookiesGrowOld) {
  Secrets secrets{{1, 2}};
  const Path path{{there, 80}, {here, 1'000}};
  const Seq cookie = secrets.make_cookie(path, Seq{5}, 1'460, 1'000 * second);
  EXPECT_EQ(secrets.check_cookie(path, cookie, Seq{5}, 1'000 * second), 1'460);
  EXPECT_EQ(secrets.check_cookie(path, cookie, Seq{5}, 1'060 * second), 1'460);
  EXPECT_EQ(secrets.check_cookie(path, cookie, Seq{5}, 1'130 * second), std::nullopt);
  EXPECT_EQ(secrets.check_cookie(path, cookie, Seq{6}, 1'000 * second), std::nullopt);
  EXPECT_EQ(secrets.check_cookie({path.remote, path.local}, cookie, Seq{5}, 1'000 * second),
            std::nullopt);
  EXPECT_EQ(
      secrets.check_cookie(path, secrets.make_cookie(path, Seq{5}, 1'300, second), Seq{5}, second),
      1'220);
}

TEST(Secrets, StampsHoldWhatWasAgreed) {
  Random random{3};
  for (int i = 0; i < 1'000; ++i) {
    Agreed agreed;
    agreed.scaling = random.chance(0.5);
    agreed.send_scale = agreed.scaling ? static_cast<std::uint8_t>(random.below(15)) : 0;
    agreed.sack = random.chance(0.5);
    agreed.ecn = random.chance(0.5);
    const auto clock = static_cast<std::uint32_t>(random());
    const std::uint32_t stamp = Secrets::stamp(clock, agreed);
    EXPECT_LE(Seq{stamp}, Seq{clock});
    const Agreed read = Secrets::read_stamp(stamp);
    EXPECT_EQ(read.scaling, agreed.scaling);
    EXPECT_EQ(read.send_scale, agreed.send_scale);
    EXPECT_EQ(read.sack, agreed.sack);
    EXPECT_EQ(read.ecn, agreed.ecn);
  }
}

// RFC 6528: a clock for each path, from places that cannot be guessed.
TEST(Secrets, InitialNumbersAreOfThePath) {
  const Secrets secrets{{1, 2}};
  const Path path{{here, 1'000}, {there, 80}};
  const Path other{{here, 1'001}, {there, 80}};
  const Seq first = secrets.initial_sequence(path, second);
  EXPECT_EQ(secrets.initial_sequence(path, 2 * second) - first, 250'000u);
  EXPECT_NE(secrets.initial_sequence(other, second), first);
  EXPECT_NE((Secrets{{1, 3}}.initial_sequence(path, second)), first);
}

}  // namespace
}  // namespace lichen::net::tcp

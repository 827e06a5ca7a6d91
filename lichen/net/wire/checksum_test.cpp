#include "lichen/net/wire/checksum.hpp"

#include <gtest/gtest.h>

#include "lichen/base/random.hpp"
#include "lichen/net/wire/test_bytes.hpp"

namespace lichen::net::wire {
namespace {

// RFC 1071 section 4.1, word by word.
std::uint16_t slow(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum += std::to_integer<unsigned>(bytes[i]) << 8;
    if (i + 1 < bytes.size()) sum += std::to_integer<unsigned>(bytes[i + 1]);
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

Bytes random_bytes(Random& random, std::size_t size) {
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// RFC 1071 section 3.
TEST(Checksum, OfTheExample) {
  Sum sum;
  sum.add(hex("0001 f203 f4f5 f6f7"));
  EXPECT_EQ(sum.folded(), 0xddf2);
  EXPECT_EQ(sum.checksum(), 0x220d);
}

TEST(Checksum, IsThatOfTheSlowWay) {
  Random random{1};
  for (int round = 0; round < 2'000; ++round) {
    const Bytes bytes = random_bytes(random, random.below(200));
    Sum sum;
    sum.add(bytes);
    ASSERT_EQ(sum.folded(), slow(bytes)) << bytes.size();
  }
  const Bytes ones(70'000, std::byte{0xff});
  Sum sum;
  sum.add(ones);
  EXPECT_EQ(sum.folded(), 0xffff);
}

TEST(Checksum, DoesNotDependOnWhereTheBytesAreCut) {
  Random random{2};
  for (int round = 0; round < 2'000; ++round) {
    const Bytes bytes = random_bytes(random, 1 + random.below(300));
    Sum sum;
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const std::size_t size = 1 + random.below(rest.size());
      sum.add(rest.first(size));
      rest = rest.subspan(size);
    }
    ASSERT_EQ(sum.folded(), slow(bytes));
  }
}

// RFC 1624 section 4: the example in which the equation of RFC 1141 fails.
TEST(Checksum, UpdatesInPlace) {
  EXPECT_EQ(updated_checksum(0xdd2f, 0x5555, 0x3285), 0x0000);
  Random random{3};
  for (int round = 0; round < 2'000; ++round) {
    Bytes bytes = random_bytes(random, 20);
    Sum before;
    before.add(bytes);
    const auto word = base::load_big<std::uint16_t>(bytes);
    const auto other = static_cast<std::uint16_t>(random());
    base::store_big(std::span{bytes}, other);
    Sum after;
    after.add(bytes);
    const std::uint16_t updated = updated_checksum(before.checksum(), word, other);
    EXPECT_EQ(updated, after.checksum());
  }
}

TEST(Checksum, PseudoHeadersAreThoseOfTheirFamily) {
  const IpAddress a = *Ipv4Address::parse("192.0.2.1");
  const IpAddress b = *Ipv4Address::parse("192.0.2.2");
  EXPECT_EQ(pseudo_header(a, b, 6, 20).folded(), slow(hex("c0000201 c0000202 0006 0014")));
  const IpAddress c = *Ipv6Address::parse("2001:db8::1");
  const IpAddress d = *Ipv6Address::parse("2001:db8::2");
  EXPECT_EQ(pseudo_header(c, d, 17, 0x12345).folded(),
            slow(hex("20010db8000000000000000000000001 20010db8000000000000000000000002"
                     "00012345 00000011")));
}

}  // namespace
}  // namespace lichen::net::wire

#include "lichen/base/hash.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "lichen/base/random.hpp"

namespace lichen::base {
namespace {

// Each bit of the input MUST change each bit of the result in about half of the cases.
template <class Hash>
void expect_avalanche(std::size_t size, Hash hash) {
  constexpr int samples = 600;
  Random random{size};
  std::vector<std::byte> input(size);
  for (std::size_t bit = 0; bit < 8 * size; ++bit) {
    std::array<int, 64> changes{};
    for (int sample = 0; sample < samples; ++sample) {
      for (std::byte& byte : input) byte = static_cast<std::byte>(random());
      const std::uint64_t before = hash(input);
      input[bit / 8] ^= std::byte{1} << (bit % 8);
      const std::uint64_t changed = before ^ hash(input);
      for (int out = 0; out < 64; ++out) changes[out] += changed >> out & 1;
    }
    // Six standard deviations; the seeds are fixed. (A single byte has too few values for this.)
    const auto [least, most] = std::ranges::minmax(changes);
    ASSERT_GT(least, samples / 2 - 75) << "size " << size << " bit " << bit;
    ASSERT_LT(most, samples / 2 + 75) << "size " << size << " bit " << bit;
  }
}

TEST(Hash, EveryBitOfANumberChangesHalfTheResult) {
  expect_avalanche(8, [](const std::vector<std::byte>& bytes) {
    std::uint64_t value;
    std::ranges::copy(bytes, writable_bytes_of(value).begin());
    return hash(value);
  });
}

TEST(Hash, EveryBitOfATextChangesHalfTheResult) {
  for (const std::size_t size : {2, 3, 7, 8, 9, 15, 16, 17, 32, 33}) {
    expect_avalanche(size, [](std::span<const std::byte> bytes) { return hash(bytes); });
  }
}

TEST(Hash, SimilarTextsDoNotCollide) {
  std::unordered_set<std::uint64_t> seen;
  for (int i = 0; i < 100'000; ++i) {
    EXPECT_TRUE(seen.insert(hash("/images/" + std::to_string(i) + ".png")).second);
  }
  // Nothing but zeros, so that only the length tells them apart.
  for (std::size_t size = 0; size < 200; ++size) {
    EXPECT_TRUE(seen.insert(hash(std::string(size, '\0'))).second);
  }
}

TEST(Hash, TheLowBitsSpreadOverATable) {
  constexpr std::size_t buckets = 1024, keys = 100 * buckets;
  std::array<int, buckets> numbers{}, texts{};
  for (std::uint64_t i = 0; i < keys; ++i) {
    ++numbers[hash(i << 12) % buckets];  // such as page addresses
    ++texts[hash(std::to_string(i)) % buckets];
  }
  for (const auto& counts : {numbers, texts}) {
    const auto [least, most] = std::ranges::minmax(counts);
    EXPECT_GT(least, 50);
    EXPECT_LT(most, 150);
  }
}

TEST(Hash, NumbersAreHashedOneToOne) {
  static_assert(hash(std::uint64_t{0}) == 0 && hash(std::uint64_t{1}) != 1);
  std::set<std::uint64_t> seen;
  for (std::uint64_t i = 0; i < 10'000; ++i) EXPECT_TRUE(seen.insert(hash(i)).second);
}

TEST(Hash, TextAndBytesAreHashedAlike) {
  EXPECT_EQ(hash("lichen"), hash(as_bytes("lichen")));
  EXPECT_EQ(keyed_hash({1, 2}, "lichen"), keyed_hash({1, 2}, as_bytes("lichen")));
}

// The outputs of the authors' reference implementation for key 00..0f and messages 00, 00 01, ...
TEST(KeyedHash, YieldsThePublishedSipHash13) {
  constexpr HashKey key{.low = 0x0706050403020100, .high = 0x0F0E0D0C0B0A0908};
  constexpr std::uint64_t expected[] = {
      0xABAC0158050FC4DC, 0xC9F49BF37D57CA93, 0x82CB9B024DC7D44D, 0x8BF80AB8E7DDF7FB,
      0xCF75576088D38328, 0xDEF9D52F49533B67, 0xC50D2B50C59F22A7, 0xD3927D989BB11140,
      0x369095118D299A8E, 0x25A48EB36C063DE4, 0x79DE85EE92FF097F, 0x70C118C1F94DC352,
      0x78A384B157B4D9A2, 0x306F760C1229FFA7, 0x605AA111C0F95D34, 0xD320D86D2A519956,
      0xCC4FDD1A7D908B66, 0x9CF2689063DBD80C,
  };
  std::vector<std::byte> message;
  for (const std::uint64_t value : expected) {
    EXPECT_EQ(keyed_hash(key, message), value) << message.size();
    message.push_back(static_cast<std::byte>(message.size()));
    message.shrink_to_fit();  // so that the address sanitizer sees a read past the end
  }
}

TEST(KeyedHash, AnotherKeyIsAnotherFunction) {
  EXPECT_NE(keyed_hash({1, 2}, "lichen"), keyed_hash({1, 3}, "lichen"));
  EXPECT_NE(keyed_hash({1, 2}, "lichen"), keyed_hash({2, 2}, "lichen"));
  EXPECT_NE(keyed_hash({1, 2}, std::string(255, 'a')), keyed_hash({1, 2}, std::string(256, 'a')));
}

}  // namespace
}  // namespace lichen::base

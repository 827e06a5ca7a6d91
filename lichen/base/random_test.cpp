#include "lichen/base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <vector>

namespace lichen::base {
namespace {

static_assert(std::uniform_random_bit_generator<Random>);

TEST(Random, SplitMixYieldsThePublishedSequence) {
  std::uint64_t state = 1234567;
  for (const std::uint64_t expected :
       {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
        16408922859458223821u}) {
    EXPECT_EQ(split_mix(state), expected);
  }
}

// The published definition once more, word for word of the paper, to check ours against.
struct Reference {
  std::uint64_t s0, s1, s2, s3;
  std::uint64_t next() {
    const auto rotate = [](std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
    const std::uint64_t result = rotate(s1 * 5, 7) * 9;
    const std::uint64_t t = s1 << 17;
    s2 ^= s0, s3 ^= s1, s1 ^= s2, s0 ^= s3, s2 ^= t, s3 = rotate(s3, 45);
    return result;
  }
};

TEST(Random, YieldsXoshiro256StarStar) {
  Reference known{1, 2, 3, 4};
  for (const std::uint64_t expected : {11520u, 0u, 1509978240u}) EXPECT_EQ(known.next(), expected);
  EXPECT_EQ(known.next(), 1215971899390074240u);

  std::uint64_t seed = 99;
  Reference reference{};
  for (auto* word : {&reference.s0, &reference.s1, &reference.s2, &reference.s3}) {
    *word = split_mix(seed);
  }
  Random random{99};
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(random(), reference.next());
}

TEST(Random, ASeedReproducesAndAnotherDiffers) {
  Random first{1}, again{1}, other{2};
  bool differs = false;
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t value = first();
    EXPECT_EQ(value, again());
    differs |= value != other();
  }
  EXPECT_TRUE(differs);
  Random child = first.split();
  EXPECT_EQ(child(), again.split()());
  EXPECT_NE(first(), child());
}

// The seed is fixed, so this either holds always or never: no luck is involved.
TEST(Random, BelowIsEven) {
  Random random{5};
  constexpr int bound = 10, draws = 100'000;
  std::array<int, bound> counts{};
  for (int i = 0; i < draws; ++i) ++counts.at(random.below(bound));
  double chi_square = 0;
  for (const int count : counts) chi_square += std::pow(count - draws / bound, 2) / (draws / bound);
  EXPECT_LT(chi_square, 27.9);  // p = 0.001 with 9 degrees of freedom
}

// Here a quarter of the draws MUST be rejected; keeping them would make a half of the numbers
// multiples of three.
TEST(Random, BelowIsEvenForABoundNearTheTop) {
  Random random{10};
  int multiples = 0;
  for (int i = 0; i < 30'000; ++i) multiples += random.below(std::uint64_t{3} << 62) % 3 == 0;
  EXPECT_NEAR(multiples, 10'000, 500);
}

TEST(Random, BelowStaysBelowAtTheEdges) {
  Random random{6};
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(random.below(1), 0u);
    // Every second draw is rejected here.
    EXPECT_LE(random.below((std::uint64_t{1} << 63) + 1), std::uint64_t{1} << 63);
    EXPECT_LT(random.below(random() | 1), Random::max());
  }
}

TEST(Random, BetweenIncludesBothEnds) {
  Random random{7};
  std::set<std::int64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(random.between(-2, 2));
  EXPECT_EQ(seen, (std::set<std::int64_t>{-2, -1, 0, 1, 2}));
  constexpr auto least = std::numeric_limits<std::int64_t>::min();
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(random.between(least, least), least);
  EXPECT_EQ(random.between(most, most), most);
  bool negative = false, positive = false;
  for (int i = 0; i < 100; ++i) {
    const std::int64_t value = random.between(least, most);
    negative |= value < 0;
    positive |= value > 0;
  }
  EXPECT_TRUE(negative && positive);
}

TEST(Random, FractionsAndChances) {
  Random random{8};
  double sum = 0;
  int hits = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double fraction = random.fraction();
    ASSERT_GE(fraction, 0);
    ASSERT_LT(fraction, 1);
    sum += fraction;
    hits += random.chance(0.25);
    ASSERT_FALSE(random.chance(0));
    ASSERT_TRUE(random.chance(1));
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
  EXPECT_NEAR(hits, 2500, 200);
}

TEST(Random, ServesTheStandardAlgorithms) {
  std::vector<int> numbers(100);
  std::iota(numbers.begin(), numbers.end(), 0);
  const std::vector<int> sorted = numbers;
  std::ranges::shuffle(numbers, Random{9});
  EXPECT_NE(numbers, sorted);
  EXPECT_TRUE(std::ranges::is_permutation(numbers, sorted));
}

}  // namespace
}  // namespace lichen::base

#include "lichen/sched/histogram.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "lichen/base/random.hpp"

namespace lichen::sched {
namespace {

TEST(Buckets, AreInOrderAndWithoutGaps) {
  for (std::size_t i = 0; i < Buckets::count; ++i) {
    EXPECT_EQ(Buckets::of(Buckets::lowest(i)), i);
    if (i + 1 < Buckets::count) {
      EXPECT_EQ(Buckets::of(Buckets::lowest(i + 1) - 1), i);
    }
  }
  EXPECT_EQ(Buckets::lowest(Buckets::count - 1), std::uint64_t{1} << Buckets::top_bit);
  EXPECT_EQ(Buckets::of(UINT64_MAX), Buckets::count - 1);
}

TEST(Buckets, AreNarrow) {
  for (std::size_t i = 0; i + 1 < Buckets::count; ++i) {
    const std::uint64_t lowest = Buckets::lowest(i), middle = Buckets::middle(i);
    const std::uint64_t highest = Buckets::lowest(i + 1) - 1;
    EXPECT_LE((middle - lowest) * 32, lowest) << "bucket " << i;
    EXPECT_LE((highest - middle) * 32, highest) << "bucket " << i;
  }
}

TEST(Histogram, IsEmptyAtFirst) {
  const Distribution nothing = Histogram{}.read();
  EXPECT_EQ(nothing.count(), 0U);
  EXPECT_EQ(nothing.percentile(9'990), 0U);
  EXPECT_EQ(nothing.mean(), 0U);
  EXPECT_EQ(nothing.max(), 0U);
}

TEST(Histogram, KnowsOneNumber) {
  Histogram histogram;
  histogram.record(1'000'003);
  const Distribution one = histogram.read();
  EXPECT_EQ(one.count(), 1U);
  EXPECT_EQ(one.max(), 1'000'003U);
  EXPECT_EQ(one.mean(), 1'000'003U);
  for (const unsigned share : {0U, 5'000U, 10'000U})
    EXPECT_NEAR(static_cast<double>(one.percentile(share)), 1'000'003, 1'000'003 / 32.0);
}

// Against the same question put to the sorted numbers.
TEST(Histogram, FindsPercentilesOfAnyDistribution) {
  base::Random random{7};
  for (int round = 0; round < 50; ++round) {
    Histogram histogram;
    std::vector<std::uint64_t> numbers;
    const std::size_t count = 1 + random.below(3'000);
    for (std::size_t i = 0; i < count; ++i) {
      numbers.push_back(random() >> (29 + random.below(35)));
      histogram.record(numbers.back());
    }
    std::sort(numbers.begin(), numbers.end());
    const Distribution distribution = histogram.read();
    EXPECT_EQ(distribution.count(), count);
    EXPECT_EQ(distribution.max(), numbers.back());
    for (const unsigned share : {1U, 1'000U, 5'000U, 9'000U, 9'900U, 9'990U, 10'000U}) {
      const std::size_t rank = std::max<std::size_t>((count * share + 9'999) / 10'000, 1);
      const auto exact = static_cast<double>(numbers[rank - 1]);
      EXPECT_NEAR(static_cast<double>(distribution.percentile(share)), exact, exact / 32 + 0.5)
          << "of " << count << " numbers at " << share;
    }
  }
}

TEST(Histogram, CountsWhatIsTooLongToTellApart) {
  Histogram histogram;
  histogram.record(UINT64_MAX / 4);
  histogram.record(std::uint64_t{1} << 50);
  EXPECT_EQ(histogram.read().count(), 2U);
  EXPECT_EQ(histogram.read().percentile(5'000), std::uint64_t{1} << Buckets::top_bit);
  EXPECT_EQ(histogram.read().max(), UINT64_MAX / 4);
}

TEST(Distribution, OfTwoIsTheirSum) {
  Histogram fast, slow;
  for (int i = 0; i < 90; ++i) fast.record(100);
  for (int i = 0; i < 10; ++i) slow.record(1'000'000);
  Distribution both = fast.read();
  both.merge(slow.read());
  EXPECT_EQ(both.count(), 100U);
  EXPECT_EQ(both.sum(), 90U * 100 + 10U * 1'000'000);
  EXPECT_EQ(both.max(), 1'000'000U);
  EXPECT_NEAR(static_cast<double>(both.percentile(9'000)), 100, 100 / 32.0);
  EXPECT_NEAR(static_cast<double>(both.percentile(9'100)), 1e6, 1e6 / 32);
  Distribution read;
  fast.read_into(read);
  slow.read_into(read);
  EXPECT_EQ(read.percentile(9'100), both.percentile(9'100));
}

TEST(Distribution, TellsWhatCameSince) {
  Histogram histogram;
  histogram.record(5'000'000);
  histogram.record(40);
  const Distribution before = histogram.read();
  EXPECT_EQ(histogram.read().since(before).count(), 0U);
  EXPECT_EQ(histogram.read().since(before).max(), 0U);
  for (int i = 0; i < 10; ++i) histogram.record(2'000);
  const Distribution later = histogram.read().since(before);
  EXPECT_EQ(later.count(), 10U);
  EXPECT_EQ(later.sum(), 20'000U);
  EXPECT_NEAR(static_cast<double>(later.percentile(5'000)), 2'000, 2'000 / 32.0);
  EXPECT_NEAR(static_cast<double>(later.max()), 2'000, 2'000 / 32.0);
  histogram.record(7'000'000);
  EXPECT_EQ(histogram.read().since(before).max(), 7'000'000U);
}

// What must hold of whatever is seen of numbers from 64 to 127.
void expect_sound(const Distribution& seen) {
  EXPECT_LT(seen.max(), 128U);
  EXPECT_LE(seen.sum(), seen.count() * seen.max());
  if (seen.count() == 0) return;
  for (const unsigned share : {0U, 5'000U, 10'000U}) {
    EXPECT_GE(seen.percentile(share), 64U);
    EXPECT_LE(seen.percentile(share), seen.max());
  }
}

TEST(Histogram, IsSoundAtEachStepOfARecord) {
  Histogram histogram;
  for (std::uint64_t i = 0; i < 128; ++i) {
    const std::uint64_t before = histogram.read().count();
    histogram.record(64 + i * 37 % 64, [&] {
      expect_sound(histogram.read());
      EXPECT_GE(histogram.read().count(), before);
    });
    EXPECT_EQ(histogram.read().count(), i + 1);
  }
}

TEST(Histogram, IsSoundIfRecordsComeAtAnyStepOfARead) {
  base::Random random{11};
  for (int round = 0; round < 300; ++round) {
    Histogram histogram;
    const std::uint64_t pause = 1 + random.below(Buckets::count);
    for (std::uint64_t i = random.below(50); i > 0; --i) histogram.record(64 + random.below(64));
    std::uint64_t steps = 0;
    Distribution seen;
    histogram.read_into(seen, [&] {
      if (++steps % pause == 0) histogram.record(64 + random.below(64));
    });
    expect_sound(seen);
  }
}

TEST(Histogram, IsReadWhileItIsWritten) {
  Histogram histogram;
  constexpr std::uint64_t records = 200'000;
  std::thread writer{[&histogram] {
    for (std::uint64_t i = 0; i < records; ++i) histogram.record(64 + i % 64);
  }};
  std::uint64_t before = 0;
  while (before < records) {
    const Distribution now = histogram.read();
    EXPECT_GE(now.count(), before);
    expect_sound(now);
    before = now.count();
  }
  writer.join();
  EXPECT_EQ(histogram.read().count(), records);
}

}  // namespace
}  // namespace lichen::sched

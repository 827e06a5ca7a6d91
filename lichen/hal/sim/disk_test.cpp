#include "lichen/hal/sim/disk.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace lichen::hal::sim {
namespace {

using Bytes = std::vector<std::byte>;

Bytes filled(int value, std::size_t size = 512) {
  return Bytes(size, static_cast<std::byte>(value));
}
Bytes content(Disk& disk, std::uint64_t sector, std::size_t count = 1) {
  Bytes bytes(count * disk.model().sector_size);
  EXPECT_TRUE(disk.read(sector, bytes, 0).has_value());
  return bytes;
}

TEST(SimDisk, ReadsWhatWasWritten) {
  Disk disk{{}, 1};
  EXPECT_EQ(content(disk, 7), filled(0));
  ASSERT_TRUE(disk.write(7, filled(1, 1'024), 0).has_value());
  EXPECT_EQ(disk.unflushed_sectors(), 2U);
  ASSERT_TRUE(disk.write(8, filled(2), 0).has_value());
  Bytes expected = filled(0);
  for (const int value : {1, 2, 0}) expected.insert(expected.end(), 512, std::byte(value));
  EXPECT_EQ(content(disk, 6, 4), expected);
  disk.flush(0);
  EXPECT_EQ(disk.unflushed_sectors(), 0U);
  EXPECT_EQ(content(disk, 6, 4), expected);
}

TEST(SimDisk, RefusesWhatNoDiskTakes) {
  Disk disk{{.sectors = 10}, 1};
  Bytes bytes(512);
  EXPECT_TRUE(disk.read(0, std::span{bytes}.first(100), 0).failed_with(Error::invalid_argument));
  EXPECT_TRUE(disk.write(0, {}, 0).failed_with(Error::invalid_argument));
  EXPECT_TRUE(disk.read(10, bytes, 0).failed_with(Error::out_of_range));
  EXPECT_TRUE(disk.write(9, filled(1, 1'024), 0).failed_with(Error::out_of_range));
  EXPECT_TRUE(disk.write(UINT64_MAX, bytes, 0).failed_with(Error::out_of_range));
}

TEST(SimDisk, WhatIsFlushedSurvivesTheCrash) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Disk disk{{}, seed};
    ASSERT_TRUE(disk.write(3, filled(1, 5 * 512), 0).has_value());
    disk.flush(0);
    ASSERT_TRUE(disk.write(20, filled(2), 0).has_value());
    disk.crash();
    EXPECT_EQ(content(disk, 3, 5), filled(1, 5 * 512));
    EXPECT_EQ(disk.unflushed_sectors(), 0U);
  }
}

TEST(SimDisk, ACrashKeepsAnyOfTheUnflushedWritesInAnyOrder) {
  std::set<int> outcomes;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Disk disk{{}, seed};
    // A record, then the mark that says it is complete; no flush in between.
    ASSERT_TRUE(disk.write(1, filled(1), 0).has_value());
    ASSERT_TRUE(disk.write(2, filled(1), 0).has_value());
    disk.crash();
    const Bytes record = content(disk, 1);
    const Bytes mark = content(disk, 2);
    EXPECT_TRUE(record == filled(0) || record == filled(1));
    outcomes.insert((record == filled(1) ? 1 : 0) + (mark == filled(1) ? 2 : 0));
  }
  EXPECT_EQ(outcomes, (std::set{0, 1, 2, 3}));  // 2: the mark without the record
}

TEST(SimDisk, ASectorSurvivesInOneOfItsVersions) {
  std::set<int> outcomes;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Disk disk{{}, seed};
    for (int value = 1; value <= 3; ++value)
      ASSERT_TRUE(disk.write(5, filled(value), 0).has_value());
    disk.crash();
    const Bytes bytes = content(disk, 5);
    EXPECT_EQ(bytes, filled(std::to_integer<int>(bytes.front())));
    outcomes.insert(std::to_integer<int>(bytes.front()));
  }
  EXPECT_EQ(outcomes, (std::set{0, 1, 2, 3}));
}

TEST(SimDisk, ASectorIsTornWhereTheDeviceSaysSo) {
  std::uint64_t torn = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Disk disk{{.sector_size = 4'096, .sectors = 8, .atomic_size = 512}, seed};
    ASSERT_TRUE(disk.write(0, filled(1, 4'096), 0).has_value());
    disk.crash();
    const Bytes bytes = content(disk, 0);
    const auto ones = static_cast<std::size_t>(std::ranges::count(bytes, std::byte{1}));
    EXPECT_EQ(ones % 512, 0U);
    EXPECT_TRUE(std::ranges::is_sorted(bytes, std::greater{}));  // from the front
    EXPECT_EQ(disk.statistics().torn_sectors, ones > 0 && ones < 4'096 ? 1U : 0U);
    torn += disk.statistics().torn_sectors;
  }
  EXPECT_GT(torn, 20U);
}

TEST(SimDisk, AFullCacheWritesBackByItself) {
  Disk disk{{.cached_sectors = 4}, 1};
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(disk.write(i, filled(1), 0).has_value());
  EXPECT_EQ(disk.unflushed_sectors(), 4U);
  disk.crash();
  unsigned survived = 0;
  for (std::uint64_t i = 0; i < 20; ++i) survived += content(disk, i) == filled(1) ? 1 : 0;
  EXPECT_GE(survived, 16U);
}

TEST(SimDisk, CallsTakeTimeOneAfterAnother) {
  Disk disk{{.read_time = {10'000, 10'000},
             .write_time = {5'000, 5'000},
             .flush_time = {100'000, 100'000},
             .bytes_per_second = 512'000'000},
            1};
  Bytes bytes(512);
  EXPECT_EQ(*disk.write(0, bytes, 0), 6'000U);  // 512 bytes: 1 us
  EXPECT_EQ(*disk.read(0, bytes, 0), 17'000U);
  EXPECT_EQ(disk.flush(20'000), 121'000U);
  EXPECT_EQ(*disk.read(0, bytes, 500'000), 511'000U);
}

TEST(SimDisk, SomeReadsFail) {
  Disk disk{{.unreadable = 200'000}, 1};
  Bytes bytes(512);
  int failed = 0;
  for (int i = 0; i < 500; ++i) failed += disk.read(0, bytes, 0).failed_with(Error::io_failed);
  EXPECT_NEAR(failed, 100, 40);
}

}  // namespace
}  // namespace lichen::hal::sim

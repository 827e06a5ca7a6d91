#include "lichen/fs/contents.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/test_loop.hpp"

namespace lichen::fs {
namespace {

constexpr std::size_t block = Contents::block_size;

// Writes all of it or nothing.
Result<void> write(Contents& contents, std::uint64_t offset, std::span<const std::byte> from) {
  TRY(contents.reserve(offset, from.size()));
  contents.write(offset, from);
  return {};
}
std::string read(const Contents& contents, std::uint64_t offset, std::size_t size) {
  std::string text(size, '?');
  text.resize(contents.read(offset, std::as_writable_bytes(std::span{text})));
  return text;
}

TEST(Contents, AreSparse) {
  Budget budget{10 * Contents::block_cost};
  {
    Contents contents{budget};
    EXPECT_EQ(read(contents, 0, 10), "");
    ASSERT_TRUE(write(contents, std::uint64_t{1} << 40, base::as_bytes("far")));
    EXPECT_EQ(contents.size(), (std::uint64_t{1} << 40) + 3);
    EXPECT_EQ(budget.used(), Contents::block_cost);
    EXPECT_EQ(read(contents, (std::uint64_t{1} << 40) - 2, 10), std::string("\0\0far", 5));
    EXPECT_EQ(read(contents, 12'345, 3), std::string(3, '\0'));
    ASSERT_TRUE(contents.truncate(Contents::largest));
    EXPECT_EQ(read(contents, Contents::largest - 1, 10), std::string(1, '\0'));
    EXPECT_EQ(read(contents, Contents::largest, 10), "");
    EXPECT_EQ(read(contents, ~std::uint64_t{0}, 10), "");
    ASSERT_TRUE(contents.truncate((std::uint64_t{1} << 40) + 1));
    ASSERT_TRUE(contents.truncate((std::uint64_t{1} << 40) + 3));
    EXPECT_EQ(read(contents, std::uint64_t{1} << 40, 10), std::string("f\0\0", 3));
    ASSERT_TRUE(contents.truncate(5));
    EXPECT_EQ(budget.used(), 0U);
    EXPECT_EQ(read(contents, 0, 10), std::string(5, '\0'));
  }
  EXPECT_EQ(coro::test::frames_alive, 0U);
}

TEST(Contents, HaveALargestSize) {
  Budget budget{10 * Contents::block_cost};
  Contents contents{budget};
  EXPECT_TRUE(contents.reserve(Contents::largest, 1).failed_with(Error::too_large));
  EXPECT_TRUE(contents.reserve(~std::uint64_t{0}, 1).failed_with(Error::too_large));
  EXPECT_TRUE(contents.reserve(1, ~std::uint64_t{0}).failed_with(Error::too_large));
  EXPECT_TRUE(contents.truncate(Contents::largest + 1).failed_with(Error::too_large));
  ASSERT_TRUE(write(contents, Contents::largest - 1, base::as_bytes("x")));
  EXPECT_EQ(contents.size(), Contents::largest);
}

TEST(Contents, LoseNothingWhenTheyDoNotFit) {
  Budget budget{3 * Contents::block_cost + 100};
  Contents contents{budget};
  ASSERT_TRUE(write(contents, block + 10, base::as_bytes("text")));
  const std::vector<std::byte> much(4 * block);
  EXPECT_TRUE(contents.reserve(0, much.size()).failed_with(Error::no_space));
  EXPECT_EQ(budget.used(), Contents::block_cost);
  EXPECT_EQ(contents.size(), block + 14);
  EXPECT_EQ(read(contents, block + 10, 10), "text");

  coro::test::frames_until_failure = 3;
  EXPECT_TRUE(contents.reserve(0, 3 * block).failed_with(Error::no_memory));
  coro::test::frames_until_failure = ~std::size_t{0};
  EXPECT_EQ(budget.used(), Contents::block_cost);
  EXPECT_EQ(read(contents, block + 10, 10), "text");
  ASSERT_TRUE(write(contents, 0, std::span{much}.first(3 * block)));
  EXPECT_EQ(read(contents, block + 10, 4), std::string(4, '\0'));
  // What is there already takes no room.
  ASSERT_TRUE(write(contents, 0, std::span{much}.first(3 * block)));
  EXPECT_EQ(budget.used(), 3 * Contents::block_cost);
}

// Against a vector, with every operation at every kind of place.
TEST(Contents, AreWhatWasWritten) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    base::Random random{seed};
    Budget budget{random.below(2) == 0 ? 12 * Contents::block_cost : SIZE_MAX};
    Contents contents{budget};
    std::vector<std::byte> model;
    for (int step = 0; step < 100; ++step) {
      std::uint64_t offset = random.below(20 * block);
      if (random.below(3) == 0) offset -= offset % block;
      const std::size_t size = random.below(random.below(4) == 0 ? 6 * block : 300);
      switch (random.below(3)) {
        case 0: {
          std::vector<std::byte> from(size);
          for (std::byte& byte : from) byte = static_cast<std::byte>(random());
          if (!write(contents, offset, from) || size == 0) break;
          model.resize(std::max(model.size(), offset + size));
          std::memcpy(model.data() + offset, from.data(), size);
          break;
        }
        case 1:
          if (random.below(4) != 0) break;
          ASSERT_TRUE(contents.truncate(offset));
          model.resize(offset);
          break;
        default: {
          std::vector<std::byte> into(size);
          const std::size_t read = contents.read(offset, into);
          const std::size_t there = offset < model.size() ? model.size() - offset : 0;
          ASSERT_EQ(read, std::min(size, there)) << "seed " << seed;
          ASSERT_TRUE(read == 0 || std::memcmp(into.data(), model.data() + offset, read) == 0)
              << "seed " << seed;
        }
      }
      ASSERT_EQ(contents.size(), model.size()) << "seed " << seed;
    }
    std::vector<std::byte> whole(model.size());
    ASSERT_EQ(contents.read(0, whole), model.size());
    ASSERT_EQ(whole, model) << "seed " << seed;
    ASSERT_TRUE(contents.truncate(0));
    ASSERT_EQ(budget.used(), 0U);
  }
  EXPECT_EQ(coro::test::frames_alive, 0U);
}

}  // namespace
}  // namespace lichen::fs

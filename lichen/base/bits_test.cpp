#include "lichen/base/bits.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>

namespace lichen::base {
namespace {

TEST(Bits, Alignment) {
  static_assert(align_up(0u, 8) == 0 && align_up(1u, 8) == 8 && align_up(8u, 8) == 8);
  static_assert(align_down(7u, 8) == 0 && align_down(8u, 8) == 8 && align_down(15u, 8) == 8);
  static_assert(align_up(std::uint8_t{250}, 16) == 0);
  static_assert(align_down(std::numeric_limits<std::uint64_t>::max(), 4096) == ~4095ull);
  static_assert(is_aligned(4096ul, 4096) && !is_aligned(4097ul, 4096) && is_aligned(17u, 1));
  alignas(64) std::array<char, 64> bytes;
  EXPECT_TRUE(is_aligned(bytes.data(), 64));
  EXPECT_FALSE(is_aligned(bytes.data() + 8, 64));
}

TEST(Bits, Logarithms) {
  static_assert(!is_power_of_two(0u) && is_power_of_two(1u) && !is_power_of_two(3u));
  static_assert(log2_floor(1u) == 0 && log2_ceil(1u) == 0);
  static_assert(log2_floor(5u) == 2 && log2_ceil(5u) == 3);
  static_assert(log2_ceil(std::uint8_t{129}) == 8);
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    EXPECT_EQ(log2_floor(power), bit);
    EXPECT_EQ(log2_ceil(power), bit);
    if (bit > 1) {
      EXPECT_EQ(log2_floor(power - 1), bit - 1);
      EXPECT_EQ(log2_ceil(power - 1), bit);
    }
  }
}

TEST(Bits, DivideUp) {
  static_assert(divide_up(0u, 4) == 0 && divide_up(1u, 4) == 1 && divide_up(4u, 4) == 1);
  static_assert(divide_up(std::numeric_limits<std::uint32_t>::max(), 2) == 0x80000000u);
}

TEST(Bits, ByteSwap) {
  static_assert(byte_swap(std::uint8_t{0x12}) == 0x12);
  static_assert(byte_swap(std::uint16_t{0x1234}) == 0x3412);
  static_assert(byte_swap(std::uint32_t{0x12345678}) == 0x78563412);
  static_assert(byte_swap(std::int32_t{-2}) == static_cast<std::int32_t>(0xFEFFFFFF));
  std::mt19937_64 random{1};
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t value = random();
    EXPECT_EQ(byte_swap(value), __builtin_bswap64(value));
  }
}

TEST(Bits, LoadAndStoreNameTheOrderOfBytes) {
  constexpr std::array wire{std::byte{0xFF}, std::byte{0x01}, std::byte{0x02}, std::byte{0x03},
                            std::byte{0x84}};
  static_assert(load_big<std::uint32_t>(std::span{wire}.subspan(1)) == 0x01020384);
  static_assert(load_little<std::uint32_t>(std::span{wire}.subspan(1)) == 0x84030201);
  static_assert(load_little<std::int32_t>(std::span{wire}.subspan(1)) < 0);
  static_assert(load_big<std::uint8_t>(wire) == 0xFF);

  std::array<std::byte, 5> out{};
  store_big(std::span{out}.subspan(1), std::uint32_t{0x01020384});
  out[0] = std::byte{0xFF};
  EXPECT_EQ(out, wire);
  store_little(std::span{out}.subspan(1), std::uint32_t{0x84030201});
  EXPECT_EQ(out, wire);
}

TEST(Bits, WhatIsStoredIsLoadedAtAnyAddress) {
  std::mt19937_64 random{2};
  std::array<std::byte, 32> bytes;
  for (std::size_t offset = 0; offset < 16; ++offset) {
    const std::span place = std::span{bytes}.subspan(offset);
    const std::uint64_t value = random();
    store_little(place, value);
    EXPECT_EQ(load_little<std::uint64_t>(place), value);
    EXPECT_EQ(load_big<std::uint64_t>(place), byte_swap(value));
    store_big(place, static_cast<std::int16_t>(value));
    EXPECT_EQ(load_big<std::int16_t>(place), static_cast<std::int16_t>(value));
  }
}

}  // namespace
}  // namespace lichen::base

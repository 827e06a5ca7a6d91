// What every block device must do (block_device.hpp), for the tests of each.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/io/block_device.hpp"

namespace lichen::io::test {

inline std::vector<std::byte> block_content(std::uint64_t number, std::size_t size) {
  std::vector<std::byte> bytes(size);
  Random random{number};
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Writes a part of the disk of its own again and again, in pieces, and reads it back.
inline Task<Result<void>> uses_its_part(BlockDevice& disk, std::uint64_t first,
                                        std::uint64_t sectors, std::uint64_t seed) {
  const std::size_t size = disk.info().sector_size;
  Random random{seed};
  std::vector<std::byte> known = block_content(seed, sectors * size);
  CO_TRY(co_await disk.write(first, known));
  for (unsigned round = 0; round < 20; ++round) {
    const std::uint64_t at = random.below(sectors);
    const std::uint64_t count = 1 + random.below(sectors - at);
    const std::span<std::byte> part = std::span{known}.subspan(at * size, count * size);
    const std::uint64_t cut = random.below(count + 1) * size;
    if (random.below(2) == 0) {
      std::ranges::copy(block_content(seed * 1'000 + round, part.size()), part.begin());
      const std::array<std::span<const std::byte>, 3> pieces{
          part.first(cut), {}, part.subspan(cut)};
      CO_TRY(co_await disk.write_pieces(first + at, pieces));
    } else {
      std::vector<std::byte> read(part.size());
      const std::array<std::span<std::byte>, 3> pieces{
          std::span{read}.first(cut), {}, std::span{read}.subspan(cut)};
      CO_TRY(co_await disk.read_pieces(first + at, pieces));
      EXPECT_TRUE(std::ranges::equal(read, part));
    }
    if (random.below(8) == 0) CO_TRY(co_await disk.flush());
  }
  co_return Result<void>{};
}

// Of a disk that can be written and has 1,024 sectors at least, whose content may go.
inline Task<Result<void>> keeps_the_contract(BlockDevice& disk) {
  const BlockInfo info = disk.info();
  const std::size_t size = info.sector_size;
  EXPECT_GE(size, 512U);
  EXPECT_FALSE(info.read_only);

  // What is wrong is said, and nothing happens.
  std::vector<std::byte> bytes(4 * size);
  EXPECT_TRUE((co_await disk.read(0, {})).failed_with(Error::invalid_argument));
  EXPECT_TRUE((co_await disk.write(0, std::span{bytes}.first(size - 1)))
                  .failed_with(Error::invalid_argument));
  EXPECT_TRUE((co_await disk.read(info.sectors, bytes)).failed_with(Error::out_of_range));
  EXPECT_TRUE((co_await disk.read(info.sectors - 3, bytes)).failed_with(Error::out_of_range));
  EXPECT_TRUE((co_await disk.write(~std::uint64_t{0}, bytes)).failed_with(Error::out_of_range));
  EXPECT_TRUE((co_await disk.discard(0, info.sectors + 1)).failed_with(Error::out_of_range));
  EXPECT_TRUE(
      (co_await disk.write_zeroes(1, ~std::uint64_t{0}, false)).failed_with(Error::out_of_range));

  // The last sector is there.
  CO_TRY(co_await disk.write(info.sectors - 4, block_content(1, 4 * size)));
  CO_TRY(co_await disk.read(info.sectors - 4, bytes));
  EXPECT_TRUE(bytes == block_content(1, 4 * size));

  // More than goes into one request, from several tasks at a time.
  std::vector<std::byte> large = block_content(2, 256 * size);
  CO_TRY(co_await disk.write(700, large));
  Scope scope;
  for (unsigned i = 0; i < 6; ++i) scope.spawn(uses_its_part(disk, i * 100, 100, i + 1));
  CO_TRY(co_await scope.join());
  std::vector<std::byte> read(large.size());
  CO_TRY(co_await disk.read(700, read));
  EXPECT_TRUE(read == large);

  if (info.writes_zeroes) {
    for (const bool unmap : {false, true}) {
      CO_TRY(co_await disk.write(10, block_content(3, 200 * size)));
      CO_TRY(co_await disk.write_zeroes(11, 198, unmap));
      std::vector<std::byte> zeroes(200 * size);
      CO_TRY(co_await disk.read(10, zeroes));
      const std::vector<std::byte> before = block_content(3, 200 * size);
      EXPECT_TRUE(std::ranges::equal(std::span{zeroes}.first(size), std::span{before}.first(size)));
      EXPECT_TRUE(std::ranges::equal(std::span{zeroes}.last(size), std::span{before}.last(size)));
      EXPECT_TRUE(std::ranges::all_of(std::span{zeroes}.subspan(size, 198 * size),
                                      [](std::byte byte) { return byte == std::byte{}; }));
    }
  } else {
    EXPECT_TRUE((co_await disk.write_zeroes(0, 1, false)).failed_with(Error::not_supported));
  }
  if (info.discards) {
    CO_TRY(co_await disk.write(300, block_content(4, 4 * size)));
    CO_TRY(co_await disk.discard(301, 2));
    CO_TRY(co_await disk.read(300, bytes));
    const std::vector<std::byte> before = block_content(4, 4 * size);
    EXPECT_TRUE(std::ranges::equal(std::span{bytes}.first(size), std::span{before}.first(size)));
    EXPECT_TRUE(std::ranges::equal(std::span{bytes}.last(size), std::span{before}.last(size)));
  } else {
    EXPECT_TRUE((co_await disk.discard(0, 1)).failed_with(Error::not_supported));
  }
  co_return co_await disk.flush();
}

}  // namespace lichen::io::test

// Size classes: steps of 16 bytes up to 512, then eight for each doubling up to 32 KiB.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace lichen::mem {

inline constexpr std::size_t max_block = 32 * 1024;
inline constexpr unsigned size_class_count = 81;

// `size` MUST NOT be above max_block.
[[nodiscard]] constexpr unsigned size_class(std::size_t size) noexcept {
  if (size <= 512) [[likely]]
    return static_cast<unsigned>((size + 15) >> 4);
  const auto last = static_cast<unsigned>(size - 1);
  const auto doubling = static_cast<unsigned>(std::bit_width(last)) - 1;  // 9 for 513 ... 1024
  return 33 + (doubling - 9) * 8 + ((last >> (doubling - 3)) & 7);
}

// How many bytes a block of the class holds. Class 0 holds blocks of size zero.
[[nodiscard]] constexpr std::size_t block_size(unsigned size_class) noexcept {
  if (size_class <= 32) return size_class == 0 ? 16 : size_class * std::size_t{16};
  const unsigned step = size_class - 33;
  return std::size_t{8 + step % 8 + 1} << (step / 8 + 6);
}

static_assert(size_class(max_block) == size_class_count - 1);
static_assert(block_size(size_class(513)) == 576 && block_size(size_class(max_block)) == max_block);

}  // namespace lichen::mem

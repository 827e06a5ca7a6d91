// MemoryMap: which memory a machine has. Private to hal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lichen::hal::detail {

using Physical = std::uint64_t;

struct MemoryRange {
  Physical begin = 0;
  Physical end = 0;
};

// Usable memory. Ranges are whole pages, in no order, and do not overlap. What does not fit into
// the table any more is left unused.
class MemoryMap {
 public:
  static constexpr std::size_t most_ranges = 64;

  // What ends before it begins is nothing.
  void add(Physical begin, Physical end) noexcept;
  void remove(Physical begin, Physical end) noexcept;
  [[nodiscard]] std::span<const MemoryRange> ranges() const noexcept {
    return std::span{ranges_}.first(count_);
  }

 private:
  std::size_t count_ = 0;
  MemoryRange ranges_[most_ranges];
};

}  // namespace lichen::hal::detail

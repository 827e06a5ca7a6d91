#include "lichen/hal/bare/memory_map.hpp"

#include <algorithm>

#include "lichen/base/bits.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

namespace {

// Where the last page begins: an end behind it is none that can be told.
constexpr Physical last_page = ~Physical{0} - (page_size - 1);

Physical page_from(Physical address) noexcept {
  return base::align_up(std::min(address, last_page), page_size);
}

}  // namespace

void MemoryMap::add(Physical begin, Physical end) noexcept {
  begin = page_from(begin);
  end = base::align_down(end, page_size);
  if (begin >= end || count_ == most_ranges) return;
  remove(begin, end);
  if (count_ < most_ranges) ranges_[count_++] = {begin, end};
}

void MemoryMap::remove(Physical begin, Physical end) noexcept {
  if (begin >= end) return;
  begin = base::align_down(begin, page_size);
  end = page_from(end);
  for (std::size_t i = 0; i < count_;) {
    MemoryRange& range = ranges_[i];
    if (range.end <= begin || range.begin >= end) {
      ++i;
      continue;
    }
    const MemoryRange rest{end, range.end};
    range.end = std::min(range.end, begin);
    const bool front = range.begin < range.end;
    const bool back = rest.begin < rest.end;
    if (front && back) {
      if (count_ < most_ranges) ranges_[count_++] = rest;
      ++i;
    } else if (back) {
      range = rest;
      ++i;
    } else if (front) {
      ++i;
    } else {
      range = ranges_[--count_];
    }
  }
}

}  // namespace lichen::hal::detail

#include "lichen/hal/bare/memory.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/base/bits.hpp"
#include "lichen/hal/bare/granules.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/spin_lock.hpp"
#include "lichen/hal/hal.hpp"

// Where the linker has put what.
extern "C" {
extern const char __executable_start[];
extern const char lichen_text_end[];
extern const char lichen_rodata_end[];
extern const char lichen_image_end[];
}

namespace lichen::hal::detail {

namespace {

// Until the page frames are there memory is taken from behind the image and never given back.
struct Early {
  std::uintptr_t window = 0;  // where physical address 0 can be seen
  Physical next = 0;
  Physical end = 0;
};
constinit Early early;
constinit MemoryMap the_map;
constinit Physical image_at = 0;  // the physical address that image_base stands for

Physical take_early(std::size_t size, std::size_t alignment) noexcept {
  const Physical at = base::align_up(early.next, alignment);
  if (at + size > early.end) return 0;
  early.next = at + size;
  std::memset(direct(at), 0, size);
  return at;
}

Result<void> map_image(const char* begin, const char* end, PageUse use) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  return map(at, physical_of_image(begin), static_cast<std::size_t>(end - begin), use);
}

}  // namespace

MemoryMap& memory_map() noexcept { return the_map; }

std::byte* direct(Physical address) noexcept {
  return reinterpret_cast<std::byte*>((early.window ? early.window : direct_base) + address);
}

Physical physical_of_image(const void* address) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) - image_base + image_at;
}

void begin_memory(std::uintptr_t early_base, Physical early_end) noexcept {
  early.window = early_base;
  image_at = image_base - early_base;
  // What lies beyond cannot be seen.
  the_map.remove(window_base - direct_base, ~Physical{0});
  const Physical begin = physical_of_image(__executable_start);
  const Physical end = base::align_up(physical_of_image(lichen_image_end), granule_size);
  the_map.remove(begin, end);
  for (const MemoryRange& range : the_map.ranges())
    if (range.begin <= end && end < range.end) {
      early.next = end;
      early.end = std::min(range.end, early_end);
    }
}

Result<void> build_address_space() noexcept {
  if (early.end == 0) return Error::no_memory;
  TRY(map_image(__executable_start, lichen_text_end, PageUse::read_execute));
  TRY(map_image(lichen_text_end, lichen_rodata_end, PageUse::read));
  TRY(map_image(lichen_rodata_end, lichen_image_end, PageUse::read_write));
  for (const MemoryRange& range : the_map.ranges())
    TRY(map(direct_base + range.begin, range.begin, range.end - range.begin, PageUse::read_write));
  use_page_tables(page_table_root());
  early.window = 0;
  return {};
}

namespace {

struct Frames {
  SpinLock lock;
  Physical first = 0;  // of the region
  GranuleSet granules;
  std::size_t usable = 0;
  // Pages for page tables are cut from granules.
  Physical tables = 0;
  Physical tables_end = 0;
};
constinit Frames frames;

bool in_region(std::span<const std::byte> pages) noexcept {
  const std::uintptr_t offset =
      reinterpret_cast<std::uintptr_t>(pages.data()) - direct_base - frames.first;
  const std::size_t size = frames.granules.count() * granule_size;
  return !pages.empty() && base::is_aligned(pages.data(), page_size) &&
         base::is_aligned(pages.size(), page_size) && offset < size &&
         pages.size() <= size - offset;
}

PageUse use_of(Access access) noexcept {
  switch (access) {
    case Access::none: return PageUse::none;
    case Access::read: return PageUse::read;
    case Access::read_write: break;
  }
  return PageUse::read_write;
}

}  // namespace

Result<void> build_frames() noexcept {
  Physical begin = ~Physical{0};
  Physical end = 0;
  for (const MemoryRange& range : the_map.ranges()) {
    begin = std::min(begin, base::align_up(range.begin, granule_size));
    end = std::max(end, base::align_down(range.end, granule_size));
  }
  if (begin >= end) return Error::no_memory;
  const std::size_t words = base::divide_up((end - begin) / granule_size, 64);
  const Physical bits = take_early(words * sizeof(std::uint64_t), alignof(std::uint64_t));
  if (bits == 0) return Error::no_memory;
  frames.first = begin;
  frames.granules = GranuleSet{{reinterpret_cast<std::uint64_t*>(direct(bits)), words}};
  the_map.remove(physical_of_image(__executable_start), early.next);
  early.end = 0;
  frames.granules.mark(0, frames.granules.count());
  for (const MemoryRange& range : the_map.ranges()) {
    const Physical from = base::align_up(range.begin, granule_size);
    const Physical to = base::align_down(range.end, granule_size);
    if (from >= to) continue;
    frames.granules.give_back((from - begin) / granule_size, (to - from) / granule_size);
    frames.usable += to - from;
  }
  return {};
}

Physical take_table() noexcept {
  if (early.end != 0) return take_early(page_size, page_size);
  if (frames.tables == frames.tables_end) {
    auto granule = allocate_aligned(granule_size, granule_size);
    if (!granule) return 0;
    frames.tables = reinterpret_cast<std::uintptr_t>(granule->data()) - direct_base;
    frames.tables_end = frames.tables + granule_size;
  }
  const Physical table = frames.tables;
  frames.tables += page_size;
  std::memset(direct(table), 0, page_size);
  return table;
}

}  // namespace lichen::hal::detail

namespace lichen::hal {

using detail::frames;
using detail::GranuleSet;
using detail::SpinGuard;

std::span<std::byte> page_region() noexcept {
  return {detail::direct(frames.first), frames.granules.count() * granule_size};
}

std::size_t memory_size() noexcept { return frames.usable; }

Result<std::span<std::byte>> allocate_pages(std::size_t count) noexcept {
  if (count == 0) return Error::invalid_argument;
  if (count > SIZE_MAX / page_size) return Error::no_memory;
  return allocate_aligned(count * page_size, page_size);
}

Result<std::span<std::byte>> allocate_aligned(std::size_t size, std::size_t alignment) noexcept {
  if (size == 0 || !base::is_power_of_two(alignment)) return Error::invalid_argument;
  if (size > frames.usable) return Error::no_memory;
  const std::size_t step = std::max(alignment, granule_size) / granule_size;
  const SpinGuard guard{frames.lock};
  const std::size_t at = frames.granules.take(base::divide_up(size, granule_size), step,
                                              frames.first / granule_size % step);
  if (at == GranuleSet::none) return Error::no_memory;
  return std::span{detail::direct(frames.first + at * granule_size),
                   base::align_up(size, page_size)};
}

void free_pages(std::span<std::byte> pages) noexcept {
  if (!detail::in_region(pages) || !base::is_aligned(pages.data(), granule_size))
    panic("pages are freed that were never allocated");
  const auto at = static_cast<std::size_t>(pages.data() - page_region().data()) / granule_size;
  bool were_used = false;
  {
    const SpinGuard guard{frames.lock};
    were_used = frames.granules.give_back(at, base::divide_up(pages.size(), granule_size));
  }
  if (!were_used) panic("pages are freed twice");
}

Result<std::span<std::byte>> map_pages(std::span<std::byte> pages, Access access) noexcept {
  if (!detail::in_region(pages)) return Error::invalid_argument;
  std::byte* view = detail::reserve_window(pages.size());
  if (!view) return Error::no_memory;
  const auto physical = reinterpret_cast<std::uintptr_t>(pages.data()) - detail::direct_base;
  TRY(detail::map(reinterpret_cast<std::uintptr_t>(view), physical, pages.size(),
                  detail::use_of(access)));
  detail::flush_everywhere();
  return std::span{view, pages.size()};
}

void unmap_pages(std::span<std::byte> view) noexcept {
  if (detail::in_region(view)) panic("page frames are unmapped as if they were a view");
  detail::unmap(reinterpret_cast<std::uintptr_t>(view.data()), view.size());
  detail::flush_everywhere();
  detail::release_window(view.data(), view.size());
}

Result<void> protect_pages(std::span<std::byte> pages, Access access) noexcept {
  const Result<void> changed = detail::change_use(reinterpret_cast<std::uintptr_t>(pages.data()),
                                                  pages.size(), detail::use_of(access));
  detail::flush_everywhere();
  return changed;
}

Result<std::size_t> resident_pages(std::span<const std::byte> pages) noexcept {
  return pages.size() / page_size;
}

PageStatistics page_statistics() noexcept {
  const SpinGuard guard{frames.lock};
  const std::size_t held = frames.granules.used() * granule_size;
  const std::size_t all = frames.granules.count() * granule_size;
  return {.allocated = held - (all - frames.usable)};
}

}  // namespace lichen::hal

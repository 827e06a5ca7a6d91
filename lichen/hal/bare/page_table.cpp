#include "lichen/hal/bare/page_table.hpp"

#include <algorithm>

#include "lichen/base/bits.hpp"
#include "lichen/hal/bare/granules.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/spin_lock.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::hal::detail {

namespace {

constexpr std::size_t entries = 512;
constexpr unsigned top = page_levels - 1;

constinit Physical the_root = 0;
constinit SpinLock table_lock;

constinit SpinLock window_lock;
constexpr std::size_t window_granules = window_size / granule_size;
constinit std::uint64_t window_words[window_granules / 64]{};
constinit GranuleSet window{window_words};

constexpr std::size_t size_at(unsigned level) noexcept { return page_size << (9 * level); }

std::uint64_t* table_at(Physical address) noexcept {
  return reinterpret_cast<std::uint64_t*>(direct(address));
}

std::size_t index_at(std::uintptr_t at, unsigned level) noexcept {
  return (at >> (12 + 9 * level)) % entries;
}

// Smaller pages for what one large page maps.
bool split(std::uint64_t& entry, unsigned level) noexcept {
  const Physical table = take_table();
  if (table == 0) return false;
  std::uint64_t* below = table_at(table);
  for (std::size_t i = 0; i < entries; ++i)
    below[i] = smaller_page(entry, level, i * size_at(level - 1));
  entry = table_entry(table);
  return true;
}

// The entry for `at` at `level`; makes the tables above it. Null: no memory.
std::uint64_t* entry_for(std::uintptr_t at, unsigned level) noexcept {
  if (the_root == 0) the_root = take_table();
  if (the_root == 0) return nullptr;
  std::uint64_t* table = table_at(the_root);
  for (unsigned l = top; l > level; --l) {
    std::uint64_t& entry = table[index_at(at, l)];
    if (entry == 0) {
      const Physical below = take_table();
      if (below == 0) return nullptr;
      entry = table_entry(below);
    } else if (is_page(entry, l) && !split(entry, l)) {
      return nullptr;
    }
    table = table_at(address_in(entry));
  }
  return &table[index_at(at, level)];
}

unsigned largest_page(std::uintptr_t at, Physical physical, std::size_t size) noexcept {
  unsigned level = largest_page_level();
  while (level > 0 && (((at | physical) & (size_at(level) - 1)) != 0 || size < size_at(level)))
    --level;
  return level;
}

}  // namespace

Physical page_table_root() noexcept { return the_root; }

Result<void> map(std::uintptr_t at, Physical physical, std::size_t size, PageUse use) noexcept {
  const SpinGuard guard{table_lock};
  while (size > 0) {
    const unsigned level = largest_page(at, physical, size);
    std::uint64_t* entry = entry_for(at, level);
    if (!entry) return Error::no_memory;
    // As many of that size as fit into this table.
    const std::size_t step = size_at(level);
    do {
      *entry++ = page_entry(physical, level, use);
      at += step;
      physical += step;
      size -= std::min(size, step);
    } while (index_at(at, level) != 0 && largest_page(at, physical, size) == level && size > 0);
  }
  return {};
}

Result<void> change_use(std::uintptr_t at, std::size_t size, PageUse use) noexcept {
  const SpinGuard guard{table_lock};
  for (const std::uintptr_t end = at + size; at < end; at += page_size) {
    std::uint64_t* entry = entry_for(at, 0);
    if (!entry) return Error::no_memory;
    *entry = page_entry(address_in(*entry), 0, use);
  }
  return {};
}

void unmap(std::uintptr_t at, std::size_t size) noexcept {
  const SpinGuard guard{table_lock};
  for (const std::uintptr_t end = at + size; at < end; at += page_size)
    if (std::uint64_t* entry = entry_for(at, 0)) *entry = 0;
}

bool is_readable(std::uintptr_t at) noexcept {
  // Above the highest bit that is translated all are alike.
  constexpr unsigned unused = 64 - (12 + 9 * page_levels);
  if (static_cast<std::uintptr_t>(static_cast<std::intptr_t>(at << unused) >> unused) != at)
    return false;
  const std::uint64_t* table = table_at(the_root);
  for (unsigned level = top;; --level) {
    const std::uint64_t entry = table[index_at(at, level)];
    if (entry == 0) return false;
    if (level == 0 || is_page(entry, level)) return can_read(entry);
    table = table_at(address_in(entry));
  }
}

std::byte* reserve_window(std::size_t size, std::size_t alignment) noexcept {
  const std::size_t need = base::divide_up(size, granule_size);
  const SpinGuard guard{window_lock};
  const std::size_t at = window.take(need, base::divide_up(alignment, granule_size));
  return at == GranuleSet::none ? nullptr
                                : reinterpret_cast<std::byte*>(window_base + at * granule_size);
}

void release_window(const std::byte* at, std::size_t size) noexcept {
  const SpinGuard guard{window_lock};
  window.give_back((reinterpret_cast<std::uintptr_t>(at) - window_base) / granule_size,
                   base::divide_up(size, granule_size));
}

namespace {

Result<std::byte*> map_fixed(Physical physical, std::size_t size, PageUse use) noexcept {
  constexpr Physical end = Physical{1} << 52;
  if (size > window_size || physical > end - size) return Error::invalid_argument;
  const Physical first = base::align_down(physical, page_size);
  const std::size_t bytes = base::align_up(physical + size, page_size) - first;
  // So that large pages can be used.
  std::byte* at = reserve_window(bytes, bytes >= size_at(1) ? size_at(1) : 1);
  if (!at) return Error::no_memory;
  TRY(map(reinterpret_cast<std::uintptr_t>(at), first, bytes, use));
  flush_translations();
  return at + (physical - first);
}

}  // namespace

Result<std::byte*> map_device(Physical physical, std::size_t size) noexcept {
  return map_fixed(physical, size, PageUse::device);
}

Result<const std::byte*> map_firmware(Physical physical, std::size_t size) noexcept {
  return TRY(map_fixed(physical, size, PageUse::read));
}

}  // namespace lichen::hal::detail

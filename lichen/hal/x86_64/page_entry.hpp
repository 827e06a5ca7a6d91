// Entries of page tables, and the address space (Intel SDM volume 3, chapter 4.5).
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/hal/bare/page_table.hpp"

namespace lichen::hal::detail {

inline constexpr unsigned page_levels = 4;

inline constexpr std::uintptr_t direct_base = 0xffff'8000'0000'0000;  // all memory, linearly
inline constexpr std::uintptr_t window_base = 0xffff'c000'0000'0000;  // stacks, views, devices
inline constexpr std::size_t window_size = std::size_t{8} << 30;
inline constexpr std::uintptr_t image_base = 0xffff'ffff'8000'0000;

enum : std::uint64_t {
  entry_present = 1,
  entry_write = 1 << 1,
  entry_write_through = 1 << 3,
  entry_uncached = 1 << 4,
  entry_large = 1 << 7,
  entry_held = 1 << 9,  // ours: a page that nobody may touch
  entry_no_execute = std::uint64_t{1} << 63,
  entry_address = 0x000f'ffff'ffff'f000,
};

constexpr std::uint64_t page_entry(Physical physical, unsigned level, PageUse use) noexcept {
  const std::uint64_t large = level > 0 ? entry_large : 0;
  switch (use) {
    case PageUse::none: return physical | large | entry_held;
    case PageUse::read: return physical | large | entry_present | entry_no_execute;
    case PageUse::read_write:
      return physical | large | entry_present | entry_write | entry_no_execute;
    case PageUse::read_execute: return physical | large | entry_present;
    case PageUse::device: break;
  }
  return physical | large | entry_present | entry_write | entry_no_execute | entry_uncached |
         entry_write_through;
}
constexpr std::uint64_t table_entry(Physical table) noexcept {
  return table | entry_present | entry_write;
}
constexpr bool is_page(std::uint64_t entry, unsigned level) noexcept {
  return level == 0 || (entry & entry_large) != 0;
}
// For the entry of a page; the others for one that can be read.
constexpr bool can_read(std::uint64_t entry) noexcept { return (entry & entry_present) != 0; }
constexpr bool can_write(std::uint64_t entry) noexcept { return (entry & entry_write) != 0; }
constexpr bool can_execute(std::uint64_t entry) noexcept { return (entry & entry_no_execute) == 0; }
constexpr Physical address_in(std::uint64_t entry) noexcept { return entry & entry_address; }
// What a large page maps at `offset`, as a page of the next level.
constexpr std::uint64_t smaller_page(std::uint64_t entry, unsigned level,
                                     std::size_t offset) noexcept {
  return (level == 1 ? entry & ~std::uint64_t{entry_large} : entry) + offset;
}

// 2: pages of 1 GiB.
unsigned largest_page_level() noexcept;
void use_page_tables(Physical root) noexcept;

}  // namespace lichen::hal::detail

// Entries of page tables, and the address space: Sv39 (RISC-V privileged architecture 1.12, section
// 4.4), which every processor has that runs an operating system.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/hal/bare/page_table.hpp"

namespace lichen::hal::detail {

inline constexpr unsigned page_levels = 3;

inline constexpr std::uintptr_t direct_base = 0xffff'ffc0'0000'0000;  // all memory, linearly
inline constexpr std::uintptr_t window_base = 0xffff'ffe0'0000'0000;  // stacks, views, devices
inline constexpr std::size_t window_size = std::size_t{8} << 30;
inline constexpr std::uintptr_t image_base = 0xffff'ffff'8000'0000;

enum : std::uint64_t {
  entry_valid = 1,
  entry_read = 1 << 1,
  entry_write = 1 << 2,
  entry_execute = 1 << 3,
  entry_used = 1 << 6 | 1 << 7,  // accessed and dirty: nobody looks at them
  entry_held = 1 << 8,           // ours: a page that nobody may touch
};

constexpr std::uint64_t entry_number(Physical physical) noexcept { return physical >> 12 << 10; }

constexpr std::uint64_t page_entry(Physical physical, unsigned, PageUse use) noexcept {
  const std::uint64_t number = entry_number(physical);
  switch (use) {
    case PageUse::none: return number | entry_held;
    case PageUse::read: return number | entry_valid | entry_used | entry_read;
    case PageUse::read_execute:
      return number | entry_valid | entry_used | entry_read | entry_execute;
    case PageUse::read_write:
    case PageUse::device: break;  // what is memory and what is not the board knows
  }
  return number | entry_valid | entry_used | entry_read | entry_write;
}
constexpr std::uint64_t table_entry(Physical table) noexcept {
  return entry_number(table) | entry_valid;
}
constexpr bool is_page(std::uint64_t entry, unsigned) noexcept {
  return (entry & (entry_read | entry_write | entry_execute | entry_held)) != 0;
}
// For the entry of a page; the others for one that can be read.
constexpr bool can_read(std::uint64_t entry) noexcept { return (entry & entry_read) != 0; }
constexpr bool can_write(std::uint64_t entry) noexcept { return (entry & entry_write) != 0; }
constexpr bool can_execute(std::uint64_t entry) noexcept { return (entry & entry_execute) != 0; }
constexpr Physical address_in(std::uint64_t entry) noexcept {
  return (entry & 0x003f'ffff'ffff'fc00) >> 10 << 12;
}
// What a large page maps at `offset`, as a page of the next level.
constexpr std::uint64_t smaller_page(std::uint64_t entry, unsigned, std::size_t offset) noexcept {
  return entry + entry_number(offset);
}

inline unsigned largest_page_level() noexcept { return page_levels - 1; }
void use_page_tables(Physical root) noexcept;

}  // namespace lichen::hal::detail

// The firmware's tables (ACPI 6.4, section 5.2). Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/bits.hpp"

namespace lichen::hal::detail {

using Bytes = std::span<const std::byte>;

// Zero where the table is too short.
template <class T>
T field(Bytes bytes, std::size_t offset) noexcept {
  return offset + sizeof(T) <= bytes.size() ? base::load_little<T>(bytes.subspan(offset)) : T{};
}

// The whole table of a signature, with its header; empty: there is none. While the machine boots.
Bytes find_table(std::string_view signature) noexcept;
// The table at an address that another one names. Empty: there is none.
Bytes table_at(std::uint64_t address) noexcept;

// Calls visit(type, entry) for what follows `at` in a table: a type, a length, the rest.
template <class Visit>
void each_entry(Bytes table, std::size_t at, Visit visit) noexcept {
  while (at + 2 <= table.size()) {
    const auto length = field<std::uint8_t>(table, at + 1);
    if (length < 2 || length > table.size() - at) return;
    visit(field<std::uint8_t>(table, at), table.subspan(at, length));
    at += length;
  }
}

}  // namespace lichen::hal::detail

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

// The whole table of a signature, with its header; empty: there is none. First while the machine
// boots: afterwards they are mapped, and nothing is asked of anybody.
Bytes find_table(std::string_view signature) noexcept;
// The firmware's program (AML, in the table DSDT), which we do not run. The same holds.
Bytes firmware_program() noexcept;

// Where the text begins; the end of `bytes` if it is not there.
std::size_t find_text(Bytes bytes, std::string_view text) noexcept;

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

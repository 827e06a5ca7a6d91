// The firmware's tables (ACPI 6.4, section 5.2) as bytes that may be wrong in any way: how they are
// found, and what is in those that matter. Private to this folder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/bits.hpp"
#include "lichen/base/function_ref.hpp"
#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/memory_map.hpp"

namespace lichen::hal::detail {

using Bytes = std::span<const std::byte>;

// Zero where the table is too short.
template <class T>
T field(Bytes bytes, std::size_t offset) noexcept {
  return offset <= bytes.size() && sizeof(T) <= bytes.size() - offset
             ? base::load_little<T>(bytes.subspan(offset))
             : T{};
}

// Where the text begins; the end of `bytes` if it is not there.
std::size_t find_text(Bytes bytes, std::string_view text) noexcept;

// The root of tables in memory that is searched for it: at a multiple of 16 bytes. Empty: there is
// none.
Bytes find_root(Bytes area) noexcept;
inline constexpr std::size_t old_root_size = 20;
inline constexpr std::size_t root_size = 36;

// Yields so many bytes of physical memory, or none.
using SeeFirmware = base::FunctionRef<Bytes(Physical at, std::size_t size)>;

class FirmwareTables {
 public:
  // `see` is called again and again, and what it yields MUST stay.
  void read(Bytes root, SeeFirmware see) noexcept;
  // The whole first table of a signature, with its header; empty: there is none.
  [[nodiscard]] Bytes find(std::string_view signature) const noexcept;
  // The firmware's program (AML, in the table DSDT), which we do not run.
  [[nodiscard]] Bytes program() const noexcept { return program_; }

 private:
  std::array<Bytes, 32> tables_{};
  std::size_t count_ = 0;
  Bytes program_{};
};

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

// Shows the host bridges that the table MCFG names, and the devices that the firmware's program
// describes by a name and a list of resources that is written out, as that of QEMU's microvm does.
using ShowDevice = base::FunctionRef<void(const FoundDevice&)>;
void each_bridge(Bytes table, ShowDevice show) noexcept;
void each_described(Bytes program, ShowDevice show) noexcept;

// What to write for the state S5: the first number of the package \_S5 (20.2.4 and 20.2.5).
std::uint8_t off_type(Bytes program) noexcept;

}  // namespace lichen::hal::detail

// The firmware's tables of this machine. Private to this folder.
#pragma once

#include <string_view>

#include "lichen/hal/x86_64/acpi_tables.hpp"

namespace lichen::hal::detail {

// The whole table of a signature, with its header; empty: there is none. First while the machine
// boots: afterwards they are mapped, and nothing is asked of anybody.
Bytes find_table(std::string_view signature) noexcept;
// The firmware's program (AML, in the table DSDT), which we do not run. The same holds.
Bytes firmware_program() noexcept;

}  // namespace lichen::hal::detail

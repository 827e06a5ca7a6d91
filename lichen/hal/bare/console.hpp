// Console, power and entropy.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"

namespace lichen::hal {

// Writes to the first serial port, uncached; usable from handlers and from the first instruction
// on. What one call writes stays together.
void write_console(std::string_view text) noexcept;
// Ends the machine. Where it has a device that can tell the status to whoever started it, it does.
[[noreturn]] void exit_machine(int status) noexcept;
// A contract was broken: says so and ends the machine with panic_status.
[[noreturn]] void panic(std::string_view message) noexcept;
inline constexpr int panic_status = 99;
// From the processor's generator. Errors: not_supported (it has none), io_failed.
Result<void> random_bytes(std::span<std::byte> bytes) noexcept;

}  // namespace lichen::hal

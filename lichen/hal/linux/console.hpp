// Console, power and entropy.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"

namespace lichen::hal {

// Writes to the standard error stream, uncached; usable from handlers and from the first
// instruction on.
void write_console(std::string_view text) noexcept;
[[noreturn]] void exit_machine(int status) noexcept;
// A contract was broken: says so and aborts.
[[noreturn]] void panic(std::string_view message) noexcept;
// From the host's generator. Errors: io_failed.
Result<void> random_bytes(std::span<std::byte> bytes) noexcept;

}  // namespace lichen::hal

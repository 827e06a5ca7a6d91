// Console, power and entropy.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Writes to the first serial port, uncached; usable from handlers and from the first instruction
// on. What one call writes stays together.
void write_console(std::string_view text) noexcept;
// Another console, which shows the same: first what was written before there was one, 4 KiB at
// most. Both are called on any core, in handlers, too, seldom (then in the middle of themselves) on
// two at once; they MUST NOT write to the console. `flush` comes when the machine is about to end.
struct ConsoleView {
  void (*show)(void* context, std::string_view text) noexcept = nullptr;
  void (*flush)(void* context) noexcept = nullptr;
  void* context = nullptr;
};
// At most one; an empty one ends it. Then nobody calls the one before any more.
void set_console_view(const ConsoleView& view) noexcept;
// Ends the machine. Where it has a device that can tell the status to whoever started it, it does.
[[noreturn]] void exit_machine(int status) noexcept;
// A contract was broken: says so and ends the machine with panic_status.
[[noreturn]] void panic(std::string_view message) noexcept;
inline constexpr int panic_status = 99;
// Nobody can foresee them: from the processor's generator, else from a stream that add_entropy()
// has begun. Not in handlers. Errors: not_supported (there is neither), io_failed.
Result<void> random_bytes(std::span<std::byte> bytes) noexcept;
// Bytes that nobody knows, from the firmware or a device; 32 begin the stream. Not in handlers.
void add_entropy(std::span<const std::byte> bytes) noexcept;

// From now on the handler is called, on that core and by the rules for devices, when something has
// been typed; it MUST take all of it by read_console(). At most one handler. Errors: not_supported
// (the console is the firmware's, or without an interrupt), busy, and those of attach_line().
Result<void> attach_console(CoreId core, DeviceInterrupt handler, void* context) noexcept;
// MUST be called on that core.
void detach_console() noexcept;
// How many characters there were; as many as fit. Only for the handler.
std::size_t read_console(std::span<char> into) noexcept;

}  // namespace lichen::hal

// The first serial port, a 16550, and the ways in which a PC ends.
#include "lichen/hal/bare/console.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/serial_port.hpp"
#include "lichen/hal/x86_64/instructions.hpp"
#include "lichen/hal/x86_64/machine.hpp"

namespace lichen::hal::detail {

namespace {

constexpr std::uint16_t com1 = 0x3f8;
constexpr std::uint32_t com1_line = 4;
struct Registers {
  static std::uint8_t read(std::uint8_t which) noexcept { return in8(com1 + which); }
  static void write(std::uint8_t which, std::uint8_t value) noexcept { out8(com1 + which, value); }
};
constexpr SerialPort<Registers> port{Registers{}};

// QEMU's isa-debug-exit device, as the boot tests add it: a byte v ends it with status 2 v + 1.
constexpr std::uint16_t debug_exit = 0xf4;
// Keyboard controller: pulse the line that resets the processor.
constexpr std::uint16_t keyboard_command = 0x64;
constexpr std::uint8_t pulse_reset = 0xfe;

}  // namespace

Result<void> start_console() noexcept {
  port.start();
  return {};
}

void put_character(char character) noexcept { port.put(character); }

Result<std::uint32_t> console_line() noexcept {
  if (!port.is_there()) return Error::not_supported;
  return com1_line;
}
void tell_of_input(bool on) noexcept { port.tell_of_input(on); }
std::optional<char> take_character() noexcept { return port.take(); }

void end_machine(int status) noexcept {
  mask_interrupts();
  out32(debug_exit, static_cast<std::uint32_t>(status));
  power_off();
  out8(keyboard_command, pulse_reset);
  // Without either device: a fault for which there is no gate resets the processor.
  struct [[gnu::packed]] {
    std::uint16_t limit = 0;
    std::uint64_t base = 0;
  } const no_gates;
  asm volatile("lidt %0\n\tint3" : : "m"(no_gates));
  for (;;) asm volatile("cli\n\thlt");
}

// RDRAND may fail for a while (Intel SDM volume 1, 7.3.17.1: try ten times).
Result<void> fill_with_entropy(std::span<std::byte> bytes) noexcept {
  constexpr std::uint32_t rdrand = 1U << 30;
  if ((cpuid(1).c & rdrand) == 0) return Error::not_supported;
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    bool ok = false;
    for (int i = 0; i < 10 && !ok; ++i) asm volatile("rdrand %0" : "=r"(word), "=@ccc"(ok));
    if (!ok) return Error::io_failed;
    const std::size_t n = std::min(bytes.size(), sizeof(word));
    std::memcpy(bytes.data(), &word, n);
    bytes = bytes.subspan(n);
  }
  return {};
}

}  // namespace lichen::hal::detail

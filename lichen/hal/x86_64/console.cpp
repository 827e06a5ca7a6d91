// The first serial port, a 16550, and the ways in which a PC ends.
#include "lichen/hal/bare/console.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/x86_64/instructions.hpp"
#include "lichen/hal/x86_64/machine.hpp"

namespace lichen::hal::detail {

namespace {

// Registers and bits of the 16550 (PC16550D, National Semiconductor).
constexpr std::uint16_t com1 = 0x3f8;
constexpr std::uint16_t interrupt_enable = com1 + 1;
constexpr std::uint16_t fifo_control = com1 + 2;
constexpr std::uint16_t line_control = com1 + 3;
constexpr std::uint16_t modem_control = com1 + 4;
constexpr std::uint16_t line_status = com1 + 5;
constexpr std::uint8_t divisor_access = 0x80;
constexpr std::uint8_t eight_bits = 0x03;
constexpr std::uint8_t fifo_on_and_clear = 0x07;
constexpr std::uint8_t ready_to_send = 0x03;
constexpr std::uint8_t transmitter_empty = 0x20;

// QEMU's isa-debug-exit device, as the boot tests add it: a byte v ends it with status 2 v + 1.
constexpr std::uint16_t debug_exit = 0xf4;
// Keyboard controller: pulse the line that resets the processor.
constexpr std::uint16_t keyboard_command = 0x64;
constexpr std::uint8_t pulse_reset = 0xfe;

}  // namespace

Result<void> start_console() noexcept {
  out8(interrupt_enable, 0);
  out8(line_control, divisor_access);
  out8(com1, 1);  // 115,200 baud
  out8(interrupt_enable, 0);
  out8(line_control, eight_bits);
  out8(fifo_control, fifo_on_and_clear);
  out8(modem_control, ready_to_send);
  return {};
}

void put_character(char character) noexcept {
  // A port that is not there answers with ones.
  while ((in8(line_status) & transmitter_empty) == 0) __builtin_ia32_pause();
  out8(com1, static_cast<std::uint8_t>(character));
}

void end_machine(int status) noexcept {
  mask_interrupts();
  out32(debug_exit, static_cast<std::uint32_t>(status));
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

// The console: a serial port where the device tree names one, else the firmware's.
#include "lichen/hal/bare/console.hpp"

#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/serial_port.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/machine.hpp"
#include "lichen/hal/riscv64/sbi.hpp"

namespace lichen::hal::detail {

namespace {

constinit std::byte* registers = nullptr;

struct Registers {
  static std::byte* at(std::uint8_t which) noexcept {
    return registers + (std::size_t{which} << board().serial.register_shift);
  }
  static std::uint8_t read(std::uint8_t which) noexcept {
    return read_register<std::uint8_t>(at(which));
  }
  static void write(std::uint8_t which, std::uint8_t value) noexcept {
    write_register<std::uint8_t>(at(which), value);
  }
};
constexpr SerialPort<Registers> port{Registers{}};

}  // namespace

// The firmware has set its rate.
Result<void> start_console() noexcept {
  const BoardRange& where = board().serial.device.registers;
  if (where) registers = TRY(map_device(where.begin, where.size));
  return {};
}

void put_character(char character) noexcept {
  if (registers)
    port.put(character);
  else
    sbi_call(sbi_old_putchar, 0, static_cast<unsigned char>(character));
}

Result<std::uint32_t> console_line() noexcept {
  const std::uint32_t line = board().serial.device.line;
  if (!registers || line == 0) return Error::not_supported;
  return line;
}
void tell_of_input(bool on) noexcept { port.tell_of_input(on); }
std::optional<char> take_character() noexcept { return port.take(); }

}  // namespace lichen::hal::detail

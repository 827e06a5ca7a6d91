// A 16550 (PC16550D, National Semiconductor), the serial port of nearly every board. Private to
// hal.
#pragma once

#include <cstdint>
#include <optional>

#include "lichen/hal/bare/cores.hpp"

namespace lichen::hal::detail {

// `Registers` has read(number) and write(number, value), a byte each.
template <class Registers>
class SerialPort {
 public:
  constexpr explicit SerialPort(Registers registers) noexcept : registers_{registers} {}

  // 115,200 baud, eight bits, no interrupts.
  void start() const noexcept {
    registers_.write(interrupt_enable, 0);
    registers_.write(line_control, divisor_access);
    registers_.write(data, 1);
    registers_.write(interrupt_enable, 0);
    registers_.write(line_control, eight_bits);
    registers_.write(fifo_control, fifo_on_and_clear);
    registers_.write(modem_control, ready_to_send | interrupts_go_out);
  }
  // Where there is no port, nothing is kept.
  [[nodiscard]] bool is_there() const noexcept {
    constexpr std::uint8_t anything = 0x5a;
    registers_.write(scratch, anything);
    return registers_.read(scratch) == anything;
  }
  // A port that is not there answers with ones, and takes everything.
  void put(char character) const noexcept {
    while ((registers_.read(line_status) & transmitter_empty) == 0) pause();
    registers_.write(data, static_cast<std::uint8_t>(character));
  }
  // MUST be there.
  [[nodiscard]] std::optional<char> take() const noexcept {
    if ((registers_.read(line_status) & received) == 0) return std::nullopt;
    return static_cast<char>(registers_.read(data));
  }
  // The port's line is high while there is something to take.
  void tell_of_input(bool on) const noexcept {
    registers_.write(interrupt_enable, on ? received : 0);
  }

 private:
  enum : std::uint8_t {
    data = 0,
    interrupt_enable = 1,
    fifo_control = 2,
    line_control = 3,
    modem_control = 4,
    line_status = 5,
    scratch = 7,
  };
  static constexpr std::uint8_t divisor_access = 0x80;
  static constexpr std::uint8_t eight_bits = 0x03;
  static constexpr std::uint8_t fifo_on_and_clear = 0x07;
  static constexpr std::uint8_t ready_to_send = 0x03;
  static constexpr std::uint8_t interrupts_go_out = 0x08;  // what a PC has its second output for
  static constexpr std::uint8_t received = 0x01;
  static constexpr std::uint8_t transmitter_empty = 0x20;

  Registers registers_;
};

}  // namespace lichen::hal::detail

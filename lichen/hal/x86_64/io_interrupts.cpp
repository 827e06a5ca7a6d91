// Interrupts of devices: lines by the I/O APICs (Intel 82093AA data sheet), messages (Intel SDM
// volume 3, 10.11).
#include <array>

#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/x86_64/acpi.hpp"
#include "lichen/hal/x86_64/machine.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

namespace {

static_assert(vector_first_device + interrupt_sources <= vector_timer);

struct Controller {
  std::byte* registers = nullptr;
  std::uint32_t first_line = 0;
  std::uint32_t lines = 0;
};
constinit std::array<Controller, 8> controllers{};
constinit std::size_t controller_count = 0;

// Where lines of the first PC's bus come out, and how they are raised (ACPI 6.4, 5.2.12.5).
struct Override {
  std::uint32_t line = no_line;
  std::uint16_t flags = 0;
};
constexpr std::uint32_t old_lines = 16;
constinit std::array<Override, old_lines> overrides{};

constexpr std::size_t select_register = 0x00;
constexpr std::size_t data_register = 0x10;
constexpr std::uint32_t version = 0x01;
constexpr std::uint32_t redirection = 0x10;  // two registers for each line
constexpr std::uint32_t active_low = 1 << 13;
constexpr std::uint32_t by_level = 1 << 15;
constexpr std::uint32_t masked = 1 << 16;
// What the upper halves of redirections and addresses of messages have room for.
constexpr std::uint32_t most_processors = 256;

std::uint32_t read(const Controller& controller, std::uint32_t which) noexcept {
  write_register<std::uint32_t>(controller.registers + select_register, which);
  return read_register<std::uint32_t>(controller.registers + data_register);
}
void write(const Controller& controller, std::uint32_t which, std::uint32_t value) noexcept {
  write_register<std::uint32_t>(controller.registers + select_register, which);
  write_register<std::uint32_t>(controller.registers + data_register, value);
}

void add_controller(std::uint32_t address, std::uint32_t first_line) noexcept {
  if (controller_count == controllers.size()) return;
  const auto registers = map_device(address, page_size);
  if (!registers) return;
  Controller& added = controllers[controller_count++];
  added = {.registers = *registers, .first_line = first_line};
  const std::uint32_t word = read(added, version);
  if (word == UINT32_MAX) {  // nobody answers
    --controller_count;
    return;
  }
  added.lines = (word >> 16 & 0xff) + 1;
  for (std::uint32_t i = 0; i < added.lines; ++i) write(added, redirection + 2 * i, masked);
}

const Controller* controller_of(std::uint32_t line) noexcept {
  for (const Controller& controller : std::span{controllers}.first(controller_count))
    if (line >= controller.first_line && line - controller.first_line < controller.lines)
      return &controller;
  return nullptr;
}

struct Wiring {
  std::uint32_t line;
  std::uint32_t how;
};
// Without a word from the firmware old lines are raised by an edge to high, the others, which are
// PCI's, by a low level.
Wiring wiring_of(std::uint32_t line) noexcept {
  if (line >= old_lines) return {line, active_low | by_level};
  const Override& given = overrides[line];
  if (given.line == no_line) return {line, 0};
  enum : unsigned { low = 3, level = 3 << 2 };
  return {given.line, ((given.flags & low) == low ? active_low : 0) |
                          ((given.flags & level) == level ? by_level : 0)};
}

}  // namespace

// MADT: entries of type 1 (I/O APIC) and 2 (override). Without it there may be one where they all
// once were (Intel MultiProcessor Specification 1.4, 3.6.5).
Result<void> find_line_controllers() noexcept {
  const Bytes madt = find_table("APIC");
  if (madt.empty()) add_controller(0xfec0'0000, 0);
  each_entry(madt, 44, [](std::uint8_t type, Bytes entry) {
    if (type == 1) add_controller(field<std::uint32_t>(entry, 4), field<std::uint32_t>(entry, 8));
    if (type == 2 && field<std::uint8_t>(entry, 3) < old_lines)
      overrides[field<std::uint8_t>(entry, 3)] = {.line = field<std::uint32_t>(entry, 4),
                                                  .flags = field<std::uint16_t>(entry, 8)};
  });
  return {};
}

Result<void> open_line(std::uint32_t line, CoreId core, unsigned source) noexcept {
  if (controller_count == 0) return Error::not_supported;
  const Wiring wiring = wiring_of(line);
  const Controller* const controller = controller_of(wiring.line);
  if (!controller) return Error::invalid_argument;
  const std::uint32_t processor = processor_numbers()[core];
  if (processor >= most_processors) return Error::not_supported;
  const std::uint32_t at = redirection + 2 * (wiring.line - controller->first_line);
  write(*controller, at, masked);
  write(*controller, at + 1, processor << 24);
  write(*controller, at, wiring.how | (vector_first_device + source));
  return {};
}

void close_line(std::uint32_t line) noexcept {
  const std::uint32_t at = wiring_of(line).line;
  if (const Controller* const controller = controller_of(at))
    write(*controller, redirection + 2 * (at - controller->first_line), masked);
}

Result<Message> message_for(CoreId core, unsigned source) noexcept {
  const std::uint32_t processor = processor_numbers()[core];
  if (processor >= most_processors) return Error::not_supported;
  constexpr std::uint64_t interrupts = 0xfee0'0000;
  return Message{.address = interrupts | processor << 12, .data = vector_first_device + source};
}

}  // namespace lichen::hal::detail

#pragma clang attribute pop

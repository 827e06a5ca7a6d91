// Turning a PC off (ACPI 6.4, 4.8.3 and 7.4.3.5).
#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/x86_64/acpi.hpp"
#include "lichen/hal/x86_64/instructions.hpp"
#include "lichen/hal/x86_64/machine.hpp"

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

namespace {

constinit bool tables_known = false;
constinit std::byte* sleep_register = nullptr;  // where the machine has no ports for it

// For who turns the machine off beside it. A read of this port takes about a microsecond.
void take_a_breath() noexcept {
  constexpr std::uint16_t nobody = 0x80;
  for (int i = 0; i < 100'000; ++i) (void)in8(nobody);
}

}  // namespace

// FADT, 5.2.9: a machine of reduced hardware has a register for sleep.
Result<void> find_power() noexcept {
  const Bytes fixed = find_table("FACP");
  tables_known = !fixed.empty();
  constexpr std::uint32_t reduced_hardware = 1 << 20;
  constexpr std::uint8_t in_memory = 0;
  const auto at = field<std::uint64_t>(fixed, 248);
  if ((field<std::uint32_t>(fixed, 112) & reduced_hardware) == 0 || at == 0 ||
      field<std::uint8_t>(fixed, 244) != in_memory)
    return {};
  sleep_register = TRY(map_device(at, 1));
  return {};
}

void power_off() noexcept {
  if (!tables_known) return;
  const Bytes fixed = find_table("FACP");
  const std::uint8_t type = off_type(firmware_program());
  if (sleep_register) {
    constexpr std::uint8_t enable = 1 << 5;
    write_register<std::uint8_t>(sleep_register, static_cast<std::uint8_t>(type << 2 | enable));
    return take_a_breath();
  }
  constexpr std::uint16_t enable = 1 << 13;
  for (const std::size_t control : {64, 68})
    if (const auto port = static_cast<std::uint16_t>(field<std::uint32_t>(fixed, control)))
      out16(port, static_cast<std::uint16_t>(type << 10 | enable));
  take_a_breath();
}

}  // namespace lichen::hal::detail

#pragma clang attribute pop

// Which devices a PC has: what the firmware's tables and the command line name.
#include "lichen/hal/bare/devices.hpp"

#include <charconv>
#include <string_view>

#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/x86_64/acpi.hpp"
#include "lichen/hal/x86_64/machine.hpp"

namespace lichen::hal::detail {

namespace {

bool take_number(std::string_view& text, std::uint64_t& number, int base = 10) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{};
}

bool take_text(std::string_view& text, std::string_view wanted) noexcept {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(wanted.size());
  return true;
}

// SIZE@0xADDRESS:LINE[:NUMBER], the size with K, M or G: what monitors without the firmware's
// tables tell (Linux, admin-guide/kernel-parameters: virtio_mmio.device).
bool parse_device(std::string_view text, FoundDevice& device) noexcept {
  std::uint64_t line = 0;
  if (!take_number(text, device.registers.size)) return false;
  for (const auto& [unit, shift] : {std::pair{'K', 10}, {'M', 20}, {'G', 30}})
    if (text.starts_with(unit)) {
      device.registers.size <<= shift;
      text.remove_prefix(1);
      break;
    }
  if (!take_text(text, "@0x") || !take_number(text, device.registers.address, 16) ||
      !take_text(text, ":") || !take_number(text, line) || line >= no_line)
    return false;
  device.bus = DeviceBus::virtio_mmio;
  device.line = static_cast<std::uint32_t>(line);
  return text.empty() || text.starts_with(':');
}

}  // namespace

Result<void> find_devices() noexcept {
  // MCFG (PCI Firmware Specification 3.3, 4.1.2): from 44 on, 16 bytes for each range of buses.
  const Bytes bridges = find_table("MCFG");
  for (std::size_t at = 44; at + 16 <= bridges.size(); at += 16) {
    const auto segment = field<std::uint16_t>(bridges, at + 8);
    const auto first = field<std::uint8_t>(bridges, at + 10);
    const auto last = field<std::uint8_t>(bridges, at + 11);
    if (segment != 0 || last < first) continue;
    const std::uint64_t each = std::uint64_t{1} << 20;
    add_device({.bus = DeviceBus::pci_express,
                .registers = {.address = field<std::uint64_t>(bridges, at) + first * each,
                              .size = (last - first + 1) * each},
                .first_bus = first});
  }
  take_words("virtio_mmio.device=", [](std::string_view text) noexcept {
    FoundDevice device;
    if (parse_device(text, device)) add_device(device);
  });
  return {};
}

}  // namespace lichen::hal::detail

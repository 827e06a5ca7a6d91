// Which devices a PC has: what the firmware's tables and the command line name.
#include "lichen/hal/bare/devices.hpp"

#include <charconv>
#include <string_view>
#include <utility>

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

// Devices of the firmware's program (AML), which we do not run: QEMU's microvm describes its virtio
// devices there by a name and a list of resources that is written out (ACPI 6.4, 6.4.3.4 and
// 6.4.3.6), so it is enough to look for these.
constexpr std::string_view virtio_name = "LNRO0005";

void find_described(Bytes program) noexcept {
  using namespace std::string_view_literals;
  constexpr std::string_view memory_range = "\x86\x09\x00"sv;  // its length, fixed
  constexpr std::byte interrupt_list{0x89};
  for (std::size_t at = find_text(program, virtio_name); at < program.size();) {
    program = program.subspan(at + virtio_name.size());
    at = find_text(program, virtio_name);
    const Bytes one = program.first(at);
    const std::size_t range = find_text(one, memory_range);
    constexpr std::size_t range_size = 12;
    constexpr std::size_t list_size = 9;
    if (range + range_size + list_size > one.size()) continue;
    const Bytes list = one.subspan(range + range_size);
    if (list[0] != interrupt_list || field<std::uint8_t>(list, 4) == 0) continue;
    add_device({.bus = DeviceBus::virtio_mmio,
                .registers = {.address = field<std::uint32_t>(one, range + 4),
                              .size = field<std::uint32_t>(one, range + 8)},
                .line = field<std::uint32_t>(list, 5)});
  }
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
                .first_bus = first,
                .lines_are_written = true});
  }
  find_described(firmware_program());
  each_word("virtio_mmio.device=", [](std::string_view text) noexcept {
    FoundDevice device;
    if (parse_device(text, device)) add_device(device);
  });
  return {};
}

}  // namespace lichen::hal::detail

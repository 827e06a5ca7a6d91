// Which devices a PC has: what the firmware's tables and the command line name.
#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/x86_64/acpi.hpp"
#include "lichen/hal/x86_64/loader.hpp"
#include "lichen/hal/x86_64/machine.hpp"

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

Result<void> find_devices() noexcept {
  each_bridge(find_table("MCFG"), &add_device);
  each_described(firmware_program(), &add_device);
  each_word("virtio_mmio.device=", [](std::string_view text) noexcept {
    if (const auto device = parse_device_word(text)) add_device(*device);
  });
  return {};
}

}  // namespace lichen::hal::detail

#pragma clang attribute pop

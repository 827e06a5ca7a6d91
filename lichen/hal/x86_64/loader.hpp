// What a loader leaves to a PC, as PVH and Multiboot2 lay it out, read from the memory that it lies
// in. Private to this folder.
#pragma once

#include <optional>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/memory_map.hpp"
#include "lichen/hal/x86_64/acpi_tables.hpp"

namespace lichen::hal::detail {

// Views are of the memory that was read.
struct LoaderWord {
  std::string_view command_line{};
  Physical firmware_root = 0;
  Bytes copied_root{};  // instead of its address
};

// `memory` is what can be seen, from physical address 0 on: what is said to lie beyond is as if
// nothing had been said. Usable memory goes into the map. Errors: protocol_error (no such thing is
// there).
Result<LoaderWord> read_pvh(Bytes memory, Physical at, MemoryMap& map) noexcept;
inline constexpr std::uint32_t multiboot2_magic = 0x36d7'6289;
Result<LoaderWord> read_multiboot2(Bytes memory, Physical at, MemoryMap& map) noexcept;

// What follows "virtio_mmio.device=" in a command line: SIZE@0xADDRESS:LINE[:NUMBER], the size with
// K, M or G, which is how monitors without the firmware's tables tell of a device (Linux,
// admin-guide/kernel-parameters: virtio_mmio.device).
std::optional<FoundDevice> parse_device_word(std::string_view text) noexcept;

}  // namespace lichen::hal::detail

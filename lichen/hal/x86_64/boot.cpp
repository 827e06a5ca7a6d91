// From what the loader leaves to main().
#include "lichen/hal/bare/boot.hpp"

#include <cstring>

#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/x86_64/machine.hpp"

namespace lichen::hal::detail {

namespace {

// What entry.S has mapped at image_base: physical memory from 0.
constexpr Physical early_end = Physical{1} << 30;
// The first MiB belongs to the firmware, and to processors that start.
constexpr Physical low_end = Physical{1} << 20;

constinit std::uint32_t loader = 0;
constinit Physical information = 0;

template <class T>
const T& early(Physical address) noexcept {
  return *reinterpret_cast<const T*>(image_base + address);
}

std::string_view early_text(Physical address) noexcept {
  return address == 0 || address >= early_end ? std::string_view{} : &early<char>(address);
}

// Xen's public header arch-x86/hvm/start_info.h, version 1.
struct StartInfo {
  std::uint32_t magic, version, flags, module_count;
  std::uint64_t modules, command_line, firmware_root, memory_map;
  std::uint32_t memory_map_count, reserved;
};
struct StartMemory {
  std::uint64_t address, size;
  std::uint32_t type, reserved;
};
constexpr std::uint32_t pvh_magic = 0x336e'c578;
constexpr std::uint32_t usable_memory = 1;

Result<void> read_pvh() noexcept {
  const auto& info = early<StartInfo>(information);
  if (info.magic != pvh_magic || info.version < 1) return Error::protocol_error;
  set_command_line(early_text(info.command_line));
  set_firmware_root(info.firmware_root);
  for (std::uint32_t i = 0; i < info.memory_map_count; ++i) {
    const auto& range = early<StartMemory>(info.memory_map + i * sizeof(StartMemory));
    if (range.type == usable_memory) memory_map().add(range.address, range.address + range.size);
  }
  return {};
}

// Multiboot2, section 3.6: a size, then tags of a type and a size, each at a multiple of eight.
constexpr std::uint32_t multiboot2_magic = 0x36d7'6289;
struct Tag {
  std::uint32_t type, size;
};
struct MemoryTag {
  std::uint32_t type, size, entry_size, entry_version;
};
enum : std::uint32_t {
  tag_end = 0,
  tag_command_line = 1,
  tag_memory = 6,
  tag_acpi = 14,
  tag_acpi2 = 15
};

Result<void> read_multiboot2() noexcept {
  const Physical end = information + early<std::uint32_t>(information);
  for (Physical at = information + 8; at + sizeof(Tag) <= end;) {
    const Tag& tag = early<Tag>(at);
    if (tag.type == tag_end || tag.size < sizeof(Tag)) break;
    if (tag.type == tag_command_line) set_command_line(early_text(at + sizeof(Tag)));
    // The loader has left it in memory that it calls usable.
    if (tag.type == tag_acpi2 || tag.type == tag_acpi)
      copy_firmware_root({&early<std::byte>(at + sizeof(Tag)), tag.size - sizeof(Tag)});
    if (tag.type == tag_memory) {
      const auto& memory = early<MemoryTag>(at);
      for (Physical entry = at + sizeof(MemoryTag); entry + memory.entry_size <= at + tag.size;
           entry += memory.entry_size) {
        const auto& range = early<StartMemory>(entry);
        if (range.type == usable_memory)
          memory_map().add(range.address, range.address + range.size);
        if (memory.entry_size == 0) break;
      }
    }
    at += (tag.size + 7) & ~std::uint64_t{7};
  }
  return {};
}

Result<void> read_memory_map() noexcept {
  TRY(loader == multiboot2_magic ? read_multiboot2() : read_pvh());
  memory_map().remove(0, low_end);
  begin_memory(image_base, early_end);
  return {};
}

constexpr BootStep steps[] = {
    {"console", &start_console, {}},
    {"memory map", &read_memory_map, {}},
    {"address space", &build_address_space, {"memory map"}},
    {"frames", &build_frames, {"address space"}},
    {"thread", &start_thread, {"frames"}},
    {"vectors", &start_vectors, {}},
    {"gates", &start_gates, {"thread"}},
    {"processors", &find_processors, {"address space"}},
    {"interrupt controller", &start_interrupt_controller, {"gates", "address space"}},
    {"clock", &start_clock, {"interrupt controller", "address space"}},
    {"lines", &find_line_controllers, {"address space"}},
    {"power", &find_power, {"address space"}},
    {"devices", &find_devices, {"memory map", "address space"}},
};
static_assert(in_order(steps));

}  // namespace

// Called by entry.S, in the first GiB.
extern "C" [[gnu::used, noreturn]] void lichen_boot(std::uint32_t magic,
                                                    std::uint32_t address) noexcept {
  loader = magic;
  information = address;
  boot(steps);
  run_program();
}

}  // namespace lichen::hal::detail

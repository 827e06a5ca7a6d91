// From what the loader leaves to main().
#include "lichen/hal/bare/boot.hpp"

#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/x86_64/loader.hpp"
#include "lichen/hal/x86_64/machine.hpp"

namespace lichen::hal::detail {

namespace {

// What entry.S has mapped at image_base: physical memory from 0.
constexpr Physical early_end = Physical{1} << 30;
// The first MiB belongs to the firmware, and to processors that start.
constexpr Physical low_end = Physical{1} << 20;

constinit std::uint32_t loader = 0;
constinit Physical information = 0;

Result<void> read_memory_map() noexcept {
  const Bytes memory{reinterpret_cast<const std::byte*>(image_base), early_end};
  const LoaderWord word = TRY(
      (loader == multiboot2_magic ? read_multiboot2 : read_pvh)(memory, information, memory_map()));
  set_command_line(word.command_line);
  set_firmware_root(word.firmware_root);
  copy_firmware_root(word.copied_root);
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

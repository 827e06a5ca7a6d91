// From what the firmware leaves to main().
#include "lichen/hal/bare/boot.hpp"

#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/machine.hpp"

namespace lichen::hal::detail {

namespace {

// What entry.S has mapped at image_base: the first GiB of memory.
constexpr Physical load_base = 0x8000'0000;
constexpr Physical early_size = Physical{1} << 30;

constinit std::uint32_t own_hart = 0;
constinit Physical device_tree = 0;

Result<void> read_memory_map() noexcept {
  if (device_tree < load_base || device_tree >= load_base + early_size) return Error::out_of_range;
  constexpr std::uintptr_t early_base = image_base - load_base;
  const auto* tree = reinterpret_cast<const std::byte*>(early_base + device_tree);
  TRY(read_device_tree(tree, own_hart));
  begin_memory(early_base, load_base + early_size);
  return {};
}

constexpr BootStep steps[] = {
    {"device tree", &read_memory_map, {}},
    {"address space", &build_address_space, {"device tree"}},
    {"console", &start_console, {"address space"}},
    {"frames", &build_frames, {"address space"}},
    {"thread", &start_thread, {"frames"}},
    {"traps", &start_traps, {"thread"}},
    {"interrupt controller", &start_interrupt_controller, {"device tree", "traps"}},
    {"devices", &find_devices, {"device tree"}},
    {"power", &find_power, {"device tree", "frames"}},
    {"calendar", &find_calendar, {"device tree", "frames"}},
    {"clock", &start_clock, {"device tree", "traps"}},
};
static_assert(in_order(steps));

}  // namespace

// Called by entry.S, in the first GiB.
extern "C" [[gnu::used, noreturn]] void lichen_boot(std::uint64_t hart,
                                                    std::uint64_t tree) noexcept {
  own_hart = static_cast<std::uint32_t>(hart);
  device_tree = tree;
  boot(steps);
  run_program();
}

}  // namespace lichen::hal::detail

// What the device tree says becomes the machine's memory map, board and devices.
#include <algorithm>
#include <array>
#include <utility>

#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/console.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/riscv64/machine.hpp"

namespace lichen::hal::detail {

namespace {

constinit BoardTree the_board;
static_assert(BoardTree::most_harts <= max_cores);

}  // namespace

const BoardTree& board() noexcept { return the_board; }

Result<void> read_device_tree(const std::byte* bytes, std::uint32_t own_hart) noexcept {
  const std::size_t size = TRY(FlatTree::size_of({bytes, FlatTree::header_size}));
  const FlatTree tree = TRY(FlatTree::create({bytes, size}));
  TRY(read_board(tree, the_board));
  const std::span<BoardHart> harts = the_board.harts.all();
  const auto own = std::ranges::find(harts, own_hart, &BoardHart::id);
  if (own == harts.end() || the_board.clock_hertz == 0) return Error::protocol_error;
  std::swap(harts.front(), *own);
  MemoryMap& map = memory_map();
  for (const BoardRange& one : the_board.memory.all()) map.add(one.begin, one.begin + one.size);
  // Only now: what is reserved lies in memory that is named before or after it.
  for (const BoardRange& one : the_board.reserved.all())
    map.remove(one.begin, one.begin + one.size);
  // Where the tree is nobody will see it any more.
  set_command_line(std::exchange(the_board.words, {}));
  add_entropy(std::exchange(the_board.seed, {}));
  return {};
}

namespace {

DeviceWindow window(const BoardRange& one) noexcept { return {one.begin, one.size}; }
std::uint32_t line(std::uint32_t one) noexcept { return one == 0 ? no_line : one; }

void add_pci(const BoardPci& pci) noexcept {
  FoundDevice bridge{.bus = DeviceBus::pci_express,
                     .registers = window(pci.configuration),
                     .first_bus = static_cast<std::uint8_t>(pci.first_bus)};
  for (unsigned pin = 0; pin < 4; ++pin) {
    bool as_usual = true;
    for (unsigned device = 0; device < 4; ++device)
      as_usual = as_usual && pci.lines[device][pin] == pci.lines[0][(device + pin) % 4];
    if (as_usual) bridge.pin_lines[pin] = line(pci.lines[0][pin]);
  }
  for (const BoardPciWindow& one : pci.windows.all())
    if (!one.wide && one.bus == one.memory.begin) bridge.memory = window(one.memory);
  add_device(bridge);
}

}  // namespace

Result<void> find_devices() noexcept {
  for (const BoardDevice& one : the_board.virtio.all())
    add_device({.bus = DeviceBus::virtio_mmio,
                .registers = window(one.registers),
                .line = line(one.line)});
  if (the_board.pci.configuration) add_pci(the_board.pci);
  return {};
}

}  // namespace lichen::hal::detail

// Device trees of boards. Whatever the bytes, the reader stays inside them and ends, and what it
// takes from them is within the bounds that drivers rely on.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "lichen/hal/riscv64/board_tree.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::hal::detail;

namespace {

constexpr std::uint64_t address_end = std::uint64_t{1} << 56;

void check_range(const BoardRange& one) {
  CHECK(one.size == 0 || (one.begin < address_end && one.size <= address_end - one.begin));
}

void check_device(const BoardDevice& one, const BoardTree& board) {
  check_range(one.registers);
  CHECK(one.line <= std::max(board.plic.lines, board.aplic.lines));
}

void check_board(const BoardTree& board, TreeBytes tree) {
  for (const BoardRange& one : board.memory.all()) check_range(one);
  for (const BoardRange& one : board.reserved.all()) check_range(one);
  for (const BoardDevice& one : board.virtio.all()) {
    check_device(one, board);
    CHECK(one.registers);
  }
  CHECK(std::ranges::is_sorted(board.virtio.all(), {},
                               [](const BoardDevice& one) { return one.registers.begin; }));
  CHECK(board.plic.lines < 1024);
  check_range(board.plic.registers);
  CHECK(board.aplic.lines <= BoardAplic::most_lines);
  check_range(board.aplic.registers);
  CHECK(!board.aplic.registers || board.aplic.registers.size >= BoardAplic::first_hart);
  CHECK(board.message_identities < 2048);
  for (const BoardHart& hart : board.harts.all()) {
    CHECK(hart.messages < address_end && hart.messages % 4096 == 0);
    if (board.aplic.registers && hart.context != BoardHart::no_context)
      CHECK(hart.context < BoardAplic::most_harts &&
            (board.aplic.by_messages ||
             hart.context <
                 (board.aplic.registers.size - BoardAplic::first_hart) / BoardAplic::hart_size));
  }
  check_device(board.serial.device, board);
  check_device(board.calendar, board);
  CHECK(!board.serial.device ||
        board.serial.device.registers.size >> board.serial.register_shift >= 8);
  const BoardPci& pci = board.pci;
  check_range(pci.configuration);
  CHECK(!pci.configuration || pci.configuration.size >> 20 > pci.last_bus - pci.first_bus);
  for (const BoardPciWindow& window : pci.windows.all()) check_range(window.memory);
  for (const auto& device : pci.lines)
    for (const std::uint32_t line : device)
      CHECK(line <= std::max(board.plic.lines, board.aplic.lines));
  const auto* words = reinterpret_cast<const std::byte*>(board.words.data());
  CHECK(board.words.empty() ||
        (words >= tree.data() && words + board.words.size() <= tree.data() + tree.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::unique_ptr<std::byte[]> copy{new std::byte[size]};
  if (size > 0) std::memcpy(copy.get(), data, size);
  const TreeBytes bytes{copy.get(), size};
  const auto tree = FlatTree::create(bytes);
  if (!tree) return 0;
  BoardTree board;
  const auto read = read_board(*tree, board);
  if (read) check_board(board, bytes);
  std::size_t nodes = 0;
  const auto again = tree->each_node([&](std::span<const TreeNode>) { ++nodes; });
  CHECK(read.has_value() == again.has_value());
  CHECK(nodes <= size / 4);
  return 0;
}

// What the device tree says becomes the machine's memory map and board.
#include <algorithm>
#include <array>
#include <utility>

#include "lichen/hal/bare/boot.hpp"
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
  the_board.seed = {};
  return {};
}

}  // namespace lichen::hal::detail

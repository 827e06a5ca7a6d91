// The device tree (Devicetree Specification 0.4, chapter 5).
#include <algorithm>
#include <array>

#include "lichen/base/bits.hpp"
#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/riscv64/machine.hpp"

namespace lichen::hal::detail {

namespace {

using Bytes = std::span<const std::byte>;

constinit Board the_board;

enum Token : std::uint32_t { begin_node = 1, end_node = 2, property = 3, nothing = 4, end = 9 };
constexpr std::uint32_t magic = 0xd00d'feed;

std::uint32_t word(Bytes bytes, std::size_t at) noexcept {
  return at + 4 <= bytes.size() ? base::load_big<std::uint32_t>(bytes.subspan(at)) : 0;
}
std::uint64_t cells(Bytes bytes, std::size_t at, std::uint32_t count) noexcept {
  std::uint64_t value = 0;
  for (std::uint32_t i = 0; i < count; ++i) value = value << 32 | word(bytes, at + 4 * i);
  return value;
}
// Up to the first zero.
std::string_view text(Bytes bytes) noexcept {
  const auto* first = reinterpret_cast<const char*>(bytes.data());
  return {first, std::find(first, first + bytes.size(), '\0')};
}
// Whether one of a list of texts, each ended by a zero, is that one.
bool lists(Bytes bytes, std::string_view wanted) noexcept {
  while (!bytes.empty()) {
    const std::string_view one = text(bytes);
    if (one == wanted) return true;
    bytes = bytes.subspan(std::min(bytes.size(), one.size() + 1));
  }
  return false;
}

// A node with its properties, as far as anybody wants to know them.
struct Node {
  std::string_view name;
  std::uint32_t address_cells = 2;  // of its children
  std::uint32_t size_cells = 1;
  Bytes reg, compatible, status, isa, arguments, device_type;
  std::uint32_t timebase = 0;
};

template <class Visit>
void each_range(const Node& node, const Node& parent, Visit visit) noexcept {
  const std::uint32_t step = 4 * (parent.address_cells + parent.size_cells);
  for (std::size_t at = 0; step != 0 && at + step <= node.reg.size(); at += step) {
    const Physical begin = cells(node.reg, at, parent.address_cells);
    visit(begin, begin + cells(node.reg, at + 4 * parent.address_cells, parent.size_cells));
  }
}

void add_hart(std::uint32_t hart, const Node& node) noexcept {
  if (text(node.status) == "disabled" || hart == the_board.harts[0]) return;
  if (the_board.hart_count < max_cores) the_board.harts[the_board.hart_count++] = hart;
}

// All properties of `node` are known; those of its parents, too.
void take(const Node& node, const Node& parent, const Node& grandparent) noexcept {
  MemoryMap& map = memory_map();
  if (text(node.device_type) == "memory")
    each_range(node, parent, [&](Physical begin, Physical end) { map.add(begin, end); });
  if (node.name == "chosen") set_command_line(text(node.arguments));
  if (node.name == "cpus") the_board.clock_hertz = node.timebase;
  if (parent.name == "cpus" && text(node.device_type) == "cpu") {
    if (parent.timebase == 0 && node.timebase != 0) the_board.clock_hertz = node.timebase;
    the_board.has_timer_register = text(node.isa).find("_sstc") != std::string_view::npos;
    add_hart(static_cast<std::uint32_t>(cells(node.reg, 0, parent.address_cells)), node);
  }
  if (lists(node.compatible, "sifive,test1") && grandparent.name.empty())
    each_range(node, parent, [&](Physical begin, Physical) { the_board.test_device = begin; });
}

void assign(Node& node, std::string_view name, Bytes value) noexcept {
  if (name == "#address-cells") node.address_cells = word(value, 0);
  if (name == "#size-cells") node.size_cells = word(value, 0);
  if (name == "reg") node.reg = value;
  if (name == "compatible") node.compatible = value;
  if (name == "status") node.status = value;
  if (name == "riscv,isa") node.isa = value;
  if (name == "bootargs") node.arguments = value;
  if (name == "device_type") node.device_type = value;
  if (name == "timebase-frequency") node.timebase = word(value, 0);
}

// Calls visit(node, parent, grandparent) for each node, parents first.
template <class Visit>
bool walk(Bytes nodes, Bytes names, Visit visit) noexcept {
  constexpr std::size_t deepest = 16;
  std::array<Node, deepest> path{};
  std::size_t depth = 1;  // path[0] is above the root
  bool told = true;
  const auto tell = [&] {
    if (!told) visit(path[depth - 1], path[depth - 2], path[depth > 2 ? depth - 3 : 0]);
    told = true;
  };
  for (std::size_t at = 0; at + 4 <= nodes.size();) {
    const std::uint32_t token = word(nodes, at);
    at += 4;
    switch (token) {
      case begin_node: {
        tell();
        if (depth == deepest) return false;
        const std::string_view name = text(nodes.subspan(at));
        path[depth] = {};
        path[depth].name = name;
        ++depth;
        told = false;
        at += base::align_up(name.size() + 1, 4);
        break;
      }
      case property: {
        const std::size_t size = word(nodes, at);
        const std::size_t name_at = word(nodes, at + 4);
        at += 8;
        if (at > nodes.size() || size > nodes.size() - at || name_at >= names.size()) return false;
        assign(path[depth - 1], text(names.subspan(name_at)), nodes.subspan(at, size));
        at += base::align_up(size, 4);
        break;
      }
      case end_node:
        tell();
        if (--depth == 0) return false;
        break;
      case nothing: break;
      case end: return true;
      default: return false;
    }
  }
  return false;
}

}  // namespace

Board& board() noexcept { return the_board; }

Result<void> read_device_tree(const std::byte* tree, Physical at, std::uint32_t own_hart) noexcept {
  constexpr std::size_t header_size = 40;
  const Bytes header{tree, header_size};
  const std::size_t size = word(header, 4);
  constexpr std::size_t most = std::size_t{2} << 20;
  if (word(header, 0) != magic || size < header_size || size > most) return Error::protocol_error;
  const Bytes all{tree, size};
  const std::size_t nodes = word(header, 8);
  const std::size_t names = word(header, 12);
  const std::size_t reserved = word(header, 16);
  if (nodes > size || names > size || reserved > size) return Error::protocol_error;
  the_board.harts[0] = own_hart;
  the_board.hart_count = 1;
  if (!walk(all.subspan(nodes), all.subspan(names), &take)) return Error::protocol_error;
  // Only now: what is reserved lies in memory that is named before or after it.
  MemoryMap& map = memory_map();
  walk(all.subspan(nodes), all.subspan(names),
       [&](const Node& node, const Node& parent, const Node&) {
         if (parent.name == "reserved-memory")
           each_range(node, parent, [&](Physical begin, Physical end) { map.remove(begin, end); });
       });
  for (std::size_t i = reserved; i + 16 <= size; i += 16) {
    const Physical begin = cells(all, i, 2);
    const Physical bytes = cells(all, i + 8, 2);
    if (bytes == 0) break;
    map.remove(begin, begin + bytes);
  }
  map.remove(at, at + size);  // drivers will want to read it again
  return the_board.clock_hertz != 0 ? Result<void>{} : Error::protocol_error;
}

}  // namespace lichen::hal::detail

#include "lichen/hal/riscv64/flat_tree.hpp"

#include <algorithm>

#include "lichen/base/bits.hpp"

namespace lichen::hal::detail {

namespace {

// Words of the header, by number.
enum Header : std::uint8_t {
  header_magic,
  header_size_of_all,
  header_structure,
  header_names,
  header_reserved,
  header_version,
  header_readable_as,
  header_own_hart,
  header_names_size,
  header_structure_size,
};
constexpr std::uint32_t magic = 0xd00d'feed;
constexpr std::uint32_t version = 17;
constexpr std::size_t most_bytes = std::size_t{2} << 20;
constexpr std::uint32_t most_cells = 4;

}  // namespace

std::uint32_t cell(TreeBytes bytes, std::size_t index) noexcept {
  return index < bytes.size() / 4 ? base::load_big<std::uint32_t>(bytes.subspan(4 * index)) : 0;
}

std::uint64_t cells(TreeBytes bytes, std::size_t index, std::uint32_t count) noexcept {
  std::uint64_t value = 0;
  for (std::uint32_t i = 0; i < std::min(count, most_cells); ++i)
    value = value << 32 | cell(bytes, index + i);
  return value;
}

std::string_view tree_text(TreeBytes bytes) noexcept {
  const auto* first = reinterpret_cast<const char*>(bytes.data());
  return {first, std::find(first, first + bytes.size(), '\0')};
}

bool tree_lists(TreeBytes bytes, std::string_view wanted) noexcept {
  while (!bytes.empty()) {
    const std::string_view one = tree_text(bytes);
    if (one == wanted) return true;
    bytes = bytes.subspan(std::min(bytes.size(), one.size() + 1));
  }
  return false;
}

Result<std::size_t> FlatTree::size_of(TreeBytes header) noexcept {
  if (header.size() < header_size || cell(header, header_magic) != magic)
    return Error::protocol_error;
  const std::size_t size = cell(header, header_size_of_all);
  if (size < header_size) return Error::protocol_error;
  if (size > most_bytes) return Error::too_large;
  return size;
}

Result<FlatTree> FlatTree::create(TreeBytes bytes) noexcept {
  const std::size_t size = TRY(size_of(bytes));
  if (size > bytes.size()) return Error::protocol_error;
  const TreeBytes header = bytes.first(header_size);
  if (cell(header, header_version) < version || cell(header, header_readable_as) > version)
    return Error::not_supported;
  const TreeBytes all = bytes.first(size);
  const auto part = [&](std::size_t at, std::size_t length) -> Result<TreeBytes> {
    if (at > size || length > size - at) return Error::protocol_error;
    return all.subspan(at, length);
  };
  const std::size_t reserved = cell(header, header_reserved);
  const auto structure =
      TRY(part(cell(header, header_structure), cell(header, header_structure_size)));
  const auto names = TRY(part(cell(header, header_names), cell(header, header_names_size)));
  return FlatTree{structure, names, TRY(part(reserved, size - std::min(reserved, size)))};
}

Result<FlatTree::Property> FlatTree::read_property(TreeBytes from, std::size_t& at) const noexcept {
  const std::size_t size = cell(from, at / 4 + 1);
  const std::size_t name = cell(from, at / 4 + 2);
  const std::size_t begin = at + 12;
  if (begin > from.size() || size > from.size() - begin || name >= names_.size())
    return Error::protocol_error;
  at = begin + base::align_up(size, 4);
  return Property{tree_text(names_.subspan(name)), from.subspan(begin, size)};
}

Result<TreeNode> FlatTree::read_node(std::size_t& at, const TreeNode* parent) const noexcept {
  TreeNode node;
  if (parent) node.interrupt_parent = parent->interrupt_parent;
  node.name = tree_text(structure_.subspan(at));
  at += base::align_up(node.name.size() + 1, 4);
  const std::size_t begin = at;
  for (; at + 4 <= structure_.size();) {
    const std::uint32_t token = cell(structure_, at / 4);
    if (token == nothing) {
      at += 4;
      continue;
    }
    if (token != begin_property) {
      node.properties = structure_.subspan(begin, at - begin);
      return node;
    }
    const auto [name, value] = TRY(read_property(structure_, at));
    if (name == "#address-cells") node.address_cells = cell(value, 0);
    if (name == "#size-cells") node.size_cells = cell(value, 0);
    if (name == "interrupt-parent") node.interrupt_parent = cell(value, 0);
    if (node.address_cells > most_cells || node.size_cells > most_cells)
      return Error::protocol_error;
  }
  return Error::protocol_error;
}

std::optional<TreeBytes> FlatTree::property(const TreeNode& node,
                                            std::string_view name) const noexcept {
  for (std::size_t at = 0; at + 4 <= node.properties.size();) {
    if (cell(node.properties, at / 4) == nothing) {
      at += 4;
      continue;
    }
    const auto found = read_property(node.properties, at);  // it was read before
    if (!found) break;
    if (found->name == name) return found->value;
  }
  return std::nullopt;
}

}  // namespace lichen::hal::detail

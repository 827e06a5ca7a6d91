// A flattened device tree, as firmware hands it over (Devicetree Specification 0.4, chapter 5). It
// comes from outside: whatever the bytes are, reading stays inside them and ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"

namespace lichen::hal::detail {

using TreeBytes = std::span<const std::byte>;

// Cells are 32-bit words. What lies outside `bytes` reads as 0; more than two cells: the last two.
std::uint32_t cell(TreeBytes bytes, std::size_t index) noexcept;
std::uint64_t cells(TreeBytes bytes, std::size_t index, std::uint32_t count) noexcept;
// Up to the first zero.
std::string_view tree_text(TreeBytes bytes) noexcept;
// Whether one of a list of texts, each ended by a zero, is that one.
bool tree_lists(TreeBytes bytes, std::string_view wanted) noexcept;

struct TreeNode {
  std::string_view name;
  TreeBytes properties;
  std::uint32_t address_cells = 2;     // of its children; at most four
  std::uint32_t size_cells = 1;        // the same
  std::uint32_t interrupt_parent = 0;  // what its own interrupts go to, by phandle; 0: not said
};

class FlatTree {
 public:
  static constexpr std::size_t header_size = 40;
  static constexpr std::size_t deepest = 16;  // levels of nodes

  // How many bytes the whole has. Errors: protocol_error (no device tree), too_large (2 MiB).
  static Result<std::size_t> size_of(TreeBytes header) noexcept;
  // The bytes MUST stay while the tree is read. Errors: as above, not_supported (a version of the
  // format that is older than 17, or one that cannot be read as that).
  static Result<FlatTree> create(TreeBytes bytes) noexcept;

  // Calls visit(path) for each node, parents first: the root is path.front(), the node itself
  // path.back(); valid during the call. Errors: protocol_error (nodes before it have been visited),
  // limit_reached (too deep).
  template <class Visit>
  Result<void> each_node(Visit visit) const noexcept;
  std::optional<TreeBytes> property(const TreeNode& node, std::string_view name) const noexcept;
  // The same, where an absent one is as good as an empty one.
  TreeBytes value(const TreeNode& node, std::string_view name) const noexcept {
    return property(node, name).value_or(TreeBytes{});
  }
  // Calls visit(begin, size) for each range of memory that nobody may use.
  template <class Visit>
  void each_reserved(Visit visit) const noexcept;

 private:
  enum Token : std::uint32_t { begin_node = 1, end_node, begin_property, nothing, end = 9 };
  struct Property {
    std::string_view name;
    TreeBytes value;
  };
  FlatTree(TreeBytes structure, TreeBytes names, TreeBytes reserved) noexcept
      : structure_{structure}, names_{names}, reserved_{reserved} {}
  // At the token begin_property at byte `at`; moves behind it.
  Result<Property> read_property(TreeBytes from, std::size_t& at) const noexcept;
  // At the byte behind a token begin_node; moves behind the node's properties.
  Result<TreeNode> read_node(std::size_t& at, const TreeNode* parent) const noexcept;

  TreeBytes structure_, names_, reserved_;
};

template <class Visit>
Result<void> FlatTree::each_node(Visit visit) const noexcept {
  std::array<TreeNode, deepest> path;
  std::size_t depth = 0;
  for (std::size_t at = 0; at + 4 <= structure_.size();) {
    const std::uint32_t token = cell(structure_, at / 4);
    at += 4;
    switch (token) {
      case begin_node:
        if (depth == deepest) return Error::limit_reached;
        path[depth] = TRY(read_node(at, depth > 0 ? &path[depth - 1] : nullptr));
        ++depth;
        visit(std::span<const TreeNode>{path}.first(depth));
        break;
      case end_node:
        if (depth == 0) return Error::protocol_error;
        --depth;
        break;
      case nothing: break;
      case end: return depth == 0 ? Result<void>{} : Error::protocol_error;
      default: return Error::protocol_error;  // a property behind a child, too
    }
  }
  return Error::protocol_error;
}

template <class Visit>
void FlatTree::each_reserved(Visit visit) const noexcept {
  for (std::size_t i = 0; (i + 4) * 4 <= reserved_.size(); i += 4) {
    const std::uint64_t size = cells(reserved_, i + 2, 2);
    if (size == 0) break;
    visit(cells(reserved_, i, 2), size);
  }
}

}  // namespace lichen::hal::detail

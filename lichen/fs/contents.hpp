// Contents: the bytes of a file in memory. Sparse: blocks that were never written do not exist and
// read as zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/base/tree.hpp"
#include "lichen/fs/budget.hpp"
#include "lichen/fs/pooled.hpp"

namespace lichen::fs {

// Not thread-safe.
class Contents {
 public:
  static constexpr std::size_t block_size = 4'096;
  static constexpr std::uint64_t largest = std::numeric_limits<std::int64_t>::max();
  // What a block takes of the budget.
  static const std::size_t block_cost;

  // The budget MUST outlive the contents.
  explicit Contents(Budget& budget) noexcept : budget_{budget} {}
  Contents(const Contents&) = delete;
  Contents& operator=(const Contents&) = delete;
  ~Contents();

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  // Fewer than asked only at the end.
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) const noexcept;

  // Writing is two steps, so that a long write can be done piece by piece and yet lacks nothing
  // once it has begun: first all blocks it needs, then the bytes.
  //
  // Makes the blocks of this range that are missing. When that fails nothing has changed.
  // Error::no_space, no_memory, too_large.
  Result<void> reserve(std::uint64_t offset, std::uint64_t size) noexcept;
  // Gives back the blocks of the range that reserve() made and write() did not fill.
  void unreserve(std::uint64_t offset, std::uint64_t size) noexcept;
  // The range MUST have been reserved.
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept;

  // Error::too_large. Needs no memory.
  Result<void> truncate(std::uint64_t size) noexcept;

 private:
  struct Block : Pooled {
    ~Block();

    base::TreeNode node;
    std::uint64_t index = 0;     // its place in the file, in blocks
    std::byte* bytes = nullptr;  // block_size of them
    bool is_reserved = false;    // not written yet
  };

  Block* make_block(std::uint64_t index) noexcept;
  void drop(Block& block) noexcept;

  Budget& budget_;
  std::uint64_t size_ = 0;
  base::Tree<Block, &Block::node, &Block::index> blocks_;
};

}  // namespace lichen::fs

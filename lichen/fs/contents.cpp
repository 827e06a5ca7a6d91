#include "lichen/fs/contents.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>

#include "lichen/coro/hooks.hpp"

namespace lichen::fs {

const std::size_t Contents::block_cost = block_size + sizeof(Block);

Contents::Block::~Block() {
  if (bytes) coro::hooks::free_frame(bytes, block_size);
}

Contents::~Contents() {
  while (Block* block = blocks_.first()) drop(*block);
}

Contents::Block* Contents::make_block(std::uint64_t index) noexcept {
  std::unique_ptr<Block> block{new Block};
  if (!block) return nullptr;
  block->bytes = static_cast<std::byte*>(coro::hooks::allocate_frame(block_size));
  if (!block->bytes) return nullptr;
  std::memset(block->bytes, 0, block_size);
  block->index = index;
  block->is_reserved = true;
  blocks_.insert(*block);
  return block.release();
}

void Contents::drop(Block& block) noexcept {
  blocks_.erase(block);
  delete &block;
  budget_.give_back(block_cost);
}

std::size_t Contents::read(std::uint64_t offset, std::span<std::byte> into) const noexcept {
  if (offset >= size_) return 0;
  const std::size_t total = std::min<std::uint64_t>(into.size(), size_ - offset);
  into = into.first(total);
  const Block* block = blocks_.lower_bound(offset / block_size);
  while (!into.empty()) {
    const std::size_t within = offset % block_size;
    const std::size_t piece = std::min(into.size(), block_size - within);
    if (block && block->index == offset / block_size) {
      std::memcpy(into.data(), block->bytes + within, piece);
      block = blocks_.next(const_cast<Block&>(*block));
    } else {
      std::memset(into.data(), 0, piece);
    }
    offset += piece;
    into = into.subspan(piece);
  }
  return total;
}

Result<void> Contents::reserve(std::uint64_t offset, std::uint64_t size) noexcept {
  if (offset > largest || size > largest - offset) return Error::too_large;
  if (size == 0) return {};
  const std::uint64_t last = (offset + size - 1) / block_size;
  Block* known = blocks_.lower_bound(offset / block_size);
  for (std::uint64_t index = offset / block_size; index <= last; ++index) {
    if (known && known->index == index) {
      known = blocks_.next(*known);
      continue;
    }
    const bool has_room = budget_.take(block_cost);
    if (has_room && make_block(index)) continue;
    if (has_room) budget_.give_back(block_cost);
    unreserve(offset, size);
    return has_room ? Error::no_memory : Error::no_space;
  }
  return {};
}

void Contents::unreserve(std::uint64_t offset, std::uint64_t size) noexcept {
  if (size == 0) return;
  const std::uint64_t last = (offset + size - 1) / block_size;
  Block* block = blocks_.lower_bound(offset / block_size);
  while (block && block->index <= last) {
    Block* next = blocks_.next(*block);
    if (block->is_reserved) drop(*block);
    block = next;
  }
}

void Contents::write(std::uint64_t offset, std::span<const std::byte> from) noexcept {
  if (from.empty()) return;
  Block* block = blocks_.find(offset / block_size);
  while (!from.empty()) {
    assert(block && block->index == offset / block_size);
    const std::size_t within = offset % block_size;
    const std::size_t piece = std::min(from.size(), block_size - within);
    std::memcpy(block->bytes + within, from.data(), piece);
    block->is_reserved = false;
    offset += piece;
    from = from.subspan(piece);
    block = blocks_.next(*block);
  }
  size_ = std::max(size_, offset);
}

Result<void> Contents::truncate(std::uint64_t size) noexcept {
  if (size > largest) return Error::too_large;
  if (size < size_) {
    const std::size_t within = size % block_size;
    Block* block = blocks_.lower_bound(size / block_size);
    // What is cut off does not come back when the file grows again.
    if (within != 0 && block && block->index == size / block_size) {
      std::memset(block->bytes + within, 0, block_size - within);
      block = blocks_.next(*block);
    }
    while (block) {
      Block* next = blocks_.next(*block);
      drop(*block);
      block = next;
    }
  }
  size_ = size;
  return {};
}

}  // namespace lichen::fs

// FrameCache: the frames a core freed last, at hand for the next tasks it makes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/base/function_ref.hpp"
#include "lichen/mem/heap.hpp"

namespace lichen::sched {

// A stack of blocks for each 16 bytes of size, in front of the core's heap: a frame is made and
// ended in four loads and four stores, whichever core's heap the block came from. Bounded by count,
// so that a core which only ends what others made gives the blocks back. Belongs to its core.
class FrameCache {
 public:
  explicit FrameCache(mem::Heap& heap) noexcept : heap_{heap} {}
  FrameCache(const FrameCache&) = delete;
  FrameCache& operator=(const FrameCache&) = delete;
  ~FrameCache() { flush(); }

  // As mem::Heap.
  void* allocate(std::size_t size) noexcept {
    const std::size_t index = (size + granule - 1) / granule;
    if (!enabled || index >= classes) [[unlikely]]
      return allocate_slow(size);
    Stack& stack = stacks_[index];
    Block* block = stack.top;
    if (!block) [[unlikely]]
      return allocate_slow(index * granule);
    stack.top = block->next;
    --stack.count;
    return block;
  }
  void free(void* frame, std::size_t size) noexcept {
    const std::size_t index = (size + granule - 1) / granule;
    if (!enabled || index >= classes) [[unlikely]]
      return heap_.free(frame, size);
    Stack& stack = stacks_[index];
    if (stack.count >= limit) [[unlikely]]
      return heap_.free(frame, size);
    auto* block = static_cast<Block*>(frame);
    block->next = stack.top;
    stack.top = block;
    ++stack.count;
  }

  // Gives everything back to the heaps it came from.
  void flush() noexcept;
  // Blocks of a size that rest here: to the heap they look alive. Calls visit(size, count).
  void count(base::FunctionRef<void(std::size_t size, std::size_t count)> visit) const noexcept;

 private:
  // Checked heaps want to see every block come and go.
  static constexpr bool enabled = !mem::checked;
  static constexpr std::size_t granule = 16;
  static constexpr std::size_t classes = 65;     // up to 1,024 bytes
  static constexpr std::uint32_t limit = 1'024;  // blocks of a class

  struct Block {
    Block* next;
  };
  struct Stack {
    Block* top = nullptr;
    std::uint32_t count = 0;
  };

  [[gnu::noinline]] void* allocate_slow(std::size_t size) noexcept;

  mem::Heap& heap_;
  std::array<Stack, classes> stacks_{};
};

}  // namespace lichen::sched

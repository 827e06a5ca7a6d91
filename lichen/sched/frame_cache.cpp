#include "lichen/sched/frame_cache.hpp"

#include <utility>

namespace lichen::sched {

void* FrameCache::allocate_slow(std::size_t size) noexcept {
  if (void* block = heap_.allocate(size)) [[likely]]
    return block;
  // The owner's limit is reached: what rests here counts against it.
  flush();
  return heap_.allocate(size);
}

void FrameCache::flush() noexcept {
  for (std::size_t index = 1; index < classes; ++index) {
    Stack stack = std::exchange(stacks_[index], {});
    while (stack.top) heap_.free(std::exchange(stack.top, stack.top->next), index * granule);
  }
}

void FrameCache::count(base::FunctionRef<void(std::size_t, std::size_t)> visit) const noexcept {
  for (std::size_t index = 1; index < classes; ++index)
    if (stacks_[index].count > 0) visit(index * granule, stacks_[index].count);
}

}  // namespace lichen::sched

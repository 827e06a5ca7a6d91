#include "lichen/hal/linux/stacks.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "lichen/base/bits.hpp"
#include "lichen/hal/linux/console.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

struct StackPool::State {
  std::size_t size = 0;    // of a stack
  std::size_t stride = 0;  // with its guard
  std::span<std::byte> memory;
  std::mutex mutex;
  std::vector<std::uint32_t> free;
  std::size_t count = 0;
};

StackPool::StackPool(std::unique_ptr<State> state) noexcept : state_{std::move(state)} {}

StackPool::~StackPool() {
  if (state_->free.size() != state_->count) panic("a stack pool is destroyed while a stack is out");
  munmap(state_->memory.data(), state_->memory.size());
}

Result<std::unique_ptr<StackPool>> StackPool::create(std::size_t count, std::size_t size) noexcept {
  constexpr std::size_t most = std::size_t{1} << 40;
  if (count == 0 || count > UINT32_MAX || size == 0 || size > most) return Error::invalid_argument;
  std::unique_ptr<State> state{new (std::nothrow) State};
  if (!state) return Error::no_memory;
  state->size = base::align_up(size, page_size);
  state->stride = state->size + page_size;
  if (state->stride > (most << 6) / count) return Error::invalid_argument;
  void* memory = mmap(nullptr, state->stride * count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return Error::no_memory;
  state->memory = {static_cast<std::byte*>(memory), state->stride * count};
  state->count = count;
  for (std::size_t i = 0; i < count; ++i)
    if (mprotect(state->memory.data() + i * state->stride, page_size, PROT_NONE) != 0) {
      munmap(memory, state->memory.size());
      return Error::no_memory;
    }
  state->free.reserve(count);
  for (std::size_t i = count; i-- > 0;) state->free.push_back(static_cast<std::uint32_t>(i));
  std::unique_ptr<StackPool> pool{new (std::nothrow) StackPool{std::move(state)}};
  if (!pool) return Error::no_memory;
  return pool;
}

Result<std::span<std::byte>> StackPool::take() noexcept {
  const std::lock_guard lock{state_->mutex};
  if (state_->free.empty()) return Error::limit_reached;
  const std::uint32_t index = state_->free.back();
  state_->free.pop_back();
  return state_->memory.subspan(index * state_->stride + page_size, state_->size);
}

void StackPool::give_back(std::span<std::byte> stack) noexcept {
  const auto offset = static_cast<std::size_t>(stack.data() - state_->memory.data());
  if (offset >= state_->memory.size() || offset % state_->stride != page_size)
    panic("a stack is given back to a pool that it is not from");
  const std::lock_guard lock{state_->mutex};
  state_->free.push_back(static_cast<std::uint32_t>(offset / state_->stride));
}

std::size_t StackPool::taken() const noexcept {
  const std::lock_guard lock{state_->mutex};
  return state_->count - state_->free.size();
}

std::size_t StackPool::left() const noexcept {
  const std::lock_guard lock{state_->mutex};
  return state_->free.size();
}

bool StackPool::in_guard(std::uintptr_t address) const noexcept {
  const std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(state_->memory.data());
  return offset < state_->memory.size() && offset % state_->stride < page_size;
}

}  // namespace lichen::hal

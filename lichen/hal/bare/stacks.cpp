#include "lichen/hal/bare/stacks.hpp"

#include <new>
#include <utility>
#include <vector>

#include "lichen/base/bits.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/spin_lock.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::hal {

struct StackPool::State {
  std::size_t size = 0;    // of a stack
  std::size_t stride = 0;  // with its guard
  std::size_t count = 0;
  std::byte* window = nullptr;
  detail::SpinLock lock;
  std::vector<std::uint32_t> free;
  std::vector<std::span<std::byte>> frames;  // of each stack that was ever taken

  [[nodiscard]] std::byte* stack(std::size_t index) const noexcept {
    return window + index * stride + page_size;
  }
};

StackPool::StackPool(std::unique_ptr<State> state) noexcept : state_{std::move(state)} {}

StackPool::~StackPool() {
  if (state_->free.size() != state_->count) panic("a stack pool is destroyed while a stack is out");
  for (std::size_t i = 0; i < state_->count; ++i)
    if (!state_->frames[i].empty())
      detail::unmap(reinterpret_cast<std::uintptr_t>(state_->stack(i)), state_->size);
  detail::flush_everywhere();
  for (auto frames : state_->frames)
    if (!frames.empty()) free_pages(frames);
  detail::release_window(state_->window, state_->stride * state_->count);
}

Result<std::unique_ptr<StackPool>> StackPool::create(std::size_t count, std::size_t size) noexcept {
  constexpr std::size_t most = std::size_t{1} << 40;
  if (count == 0 || count > UINT32_MAX || size == 0 || size > most) return Error::invalid_argument;
  std::unique_ptr<State> state{new (std::nothrow) State};
  if (!state) return Error::no_memory;
  state->size = base::align_up(size, page_size);
  state->stride = state->size + page_size;
  if (state->stride > (most << 6) / count) return Error::invalid_argument;
  state->window = detail::reserve_window(state->stride * count);
  if (!state->window) return Error::no_memory;
  state->count = count;
  state->frames.resize(count);
  state->free.reserve(count);
  for (std::size_t i = count; i-- > 0;) state->free.push_back(static_cast<std::uint32_t>(i));
  std::unique_ptr<StackPool> pool{new (std::nothrow) StackPool{std::move(state)}};
  if (!pool) return Error::no_memory;
  return pool;
}

Result<std::span<std::byte>> StackPool::take() noexcept {
  const detail::SpinGuard guard{state_->lock};
  if (state_->free.empty()) return Error::limit_reached;
  const std::uint32_t index = state_->free.back();
  std::span<std::byte>& frames = state_->frames[index];
  if (frames.empty()) {
    const auto fresh = TRY(allocate_aligned(state_->size, page_size));
    const auto physical = reinterpret_cast<std::uintptr_t>(fresh.data()) - detail::direct_base;
    if (auto mapped = detail::map(reinterpret_cast<std::uintptr_t>(state_->stack(index)), physical,
                                  state_->size, detail::PageUse::read_write);
        !mapped) {
      free_pages(fresh);
      return mapped.error();
    }
    detail::flush_translations();
    frames = fresh;
  }
  state_->free.pop_back();
  return std::span{state_->stack(index), state_->size};
}

void StackPool::give_back(std::span<std::byte> stack) noexcept {
  const auto offset = static_cast<std::size_t>(stack.data() - state_->window);
  if (offset >= state_->stride * state_->count || offset % state_->stride != page_size)
    panic("a stack is given back to a pool that it is not from");
  const detail::SpinGuard guard{state_->lock};
  state_->free.push_back(static_cast<std::uint32_t>(offset / state_->stride));
}

std::size_t StackPool::taken() const noexcept {
  const detail::SpinGuard guard{state_->lock};
  return state_->count - state_->free.size();
}

std::size_t StackPool::left() const noexcept {
  const detail::SpinGuard guard{state_->lock};
  return state_->free.size();
}

bool StackPool::in_guard(std::uintptr_t address) const noexcept {
  const std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(state_->window);
  return offset < state_->stride * state_->count && offset % state_->stride < page_size;
}

}  // namespace lichen::hal

// Pooled: objects from the frame pools, as coroutine frames are, so that they count against the
// budget of the machine; `new` yields null where it is exhausted.
#pragma once

#include <cstddef>

#include "lichen/coro/hooks.hpp"

namespace lichen::fs {

struct Pooled {
  static void* operator new(std::size_t size) noexcept { return coro::hooks::allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    coro::hooks::free_frame(memory, size);
  }
  static void* operator new(std::size_t, void* place) noexcept { return place; }
  static void operator delete(void*, void*) noexcept {}
};

}  // namespace lichen::fs

// The C++ library's heap on a bare machine: one heap of ours for all cores, under a lock. For what
// is seldom allocated; frames of coroutines come from the heaps of the cores.
#include "lichen/mem/heap.hpp"

#include <cstddef>
#include <new>

#include "lichen/coro/lock.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::image {

namespace {

// Never destroyed: memory is in use until the machine ends.
struct Shared {
  mem::Account account;
  mem::Heap heap{account};
};
Shared& shared() noexcept {
  alignas(Shared) static std::byte storage[sizeof(Shared)];
  static Shared* const the_shared = new (storage) Shared;
  return *the_shared;
}

// A task that holds it is not preempted: this is no app text.
constinit std::atomic<bool> locked{false};

class Guard {
 public:
  Guard() noexcept {
    while (locked.exchange(true, std::memory_order_acquire)) hal::pause();
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() { locked.store(false, std::memory_order_release); }
};

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  const Guard guard;
  return shared().heap.allocate_aligned(size, alignment);
}

void* allocate_or_end(std::size_t size, std::size_t alignment) noexcept {
  void* block = allocate(size, alignment);
  if (!block) hal::panic("operator new: no memory");
  return block;
}

void release(void* block) noexcept {
  if (!block) return;
  const Guard guard;
  shared().heap.free(block);
}

constexpr std::size_t default_alignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

}  // namespace lichen::image

using namespace lichen::image;

void* operator new(std::size_t size) { return allocate_or_end(size, default_alignment); }
void* operator new[](std::size_t size) { return allocate_or_end(size, default_alignment); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_end(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_or_end(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, default_alignment);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, default_alignment);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { release(block); }

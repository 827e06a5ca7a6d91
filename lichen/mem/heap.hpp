// Heap: the blocks of one core for one owner. Allocating and freeing on that core touch no atomic,
// no clock and no shared cache line; blocks may be freed on any core.
//
// Memory comes from the machine in slabs of 64 KiB, each cut into blocks of one size class. What a
// slab knows lies outside of it, in a table with one cache line for each granule of the page
// region: the line is found from a block's address by a shift and an add, headers do not fall on
// the same cache sets, and blocks are as aligned as their size.
//
//   current ──(all blocks used)──> full ──(a block is freed)──> partial ──(picked)──> current
//                                                                  └──(last block freed)──> empty
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "lichen/mem/account.hpp"
#include "lichen/mem/size_class.hpp"

// Checked heaps fill freed blocks, delay their reuse, and panic on a second free or a write after
// free.
#ifndef LICHEN_POISON
#define LICHEN_POISON 0
#endif

namespace lichen::mem {

#if LICHEN_POISON || __has_feature(address_sanitizer)
inline constexpr bool checked = true;
#else
inline constexpr bool checked = false;
#endif

class Heap;

namespace detail {

struct Block {
  Block* next;
};

// Belongs to the core of its heap, except `heap`, which does not change while a block of it lives.
struct alignas(64) Slab {
  Heap* heap;
  Block* free;
  std::int32_t used;       // blocks that are not in the free list, among those cut so far
  std::int32_t notify_at;  // a free that brings `used` down to this has more to do
  std::uint32_t cut;       // blocks that have ever been in the free list
  std::uint32_t size_class;
  Slab* next;  // in the list of the partial slabs of the class
  Slab* previous;
  Slab* next_owned;  // in the list of all slabs of the heap
  Slab* previous_owned;
};
static_assert(sizeof(Slab) == 64);

inline constexpr unsigned granule_shift = 16;
// Where the slab of address 0 would be. Set by the first heap, before it hands out a block.
inline constinit std::uintptr_t slab_table = 0;

inline Slab* slab_of(const void* block) noexcept {
  return reinterpret_cast<Slab*>(
      slab_table + (reinterpret_cast<std::uintptr_t>(block) >> granule_shift) * sizeof(Slab));
}

}  // namespace detail

struct ClassStatistics {
  std::size_t block_size = 0;
  std::size_t live = 0;      // blocks handed out; those freed on other cores count until collected
  std::size_t capacity = 0;  // blocks that fit into the slabs held
  std::size_t slabs = 0;
};

struct HeapStatistics {
  std::array<ClassStatistics, size_class_count> classes{};
  std::size_t large_live = 0;      // blocks above max_block
  std::size_t bytes_held = 0;      // what the account is charged for this heap
  std::size_t slabs_cached = 0;    // empty, kept for reuse
  std::uint64_t system_calls = 0;  // how often memory went from or to the machine
};

class Heap {
 public:
  explicit Heap(Account& account) noexcept;
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  // All memory goes back at once; blocks that still live are counted in the account. Nothing may
  // free into this heap any more.
  ~Heap();

  // At least `size` bytes, aligned to 16; null when the account's limit or the machine's memory is
  // reached. MUST be called on the heap's core.
  [[nodiscard]] void* allocate(std::size_t size) noexcept {
    if constexpr (checked) return allocate_checked(size);
    return take(size);
  }
  // The same, aligned to a power of two up to 32 KiB; above that, null.
  [[nodiscard]] void* allocate_aligned(std::size_t size, std::size_t alignment) noexcept;

  // Gives back a block of any heap; null is nothing. MUST be called on the core of this heap.
  void free(void* block) noexcept {
    if (!block) return;
    if constexpr (checked) return free_checked(block);
    put(static_cast<detail::Block*>(block));
  }
  void free(void* block, [[maybe_unused]] std::size_t size) noexcept { free(block); }

  // Gives back a block of any heap from a thread that has no heap of its own.
  static void free_from_outside(void* block) noexcept;

  // Takes in what other cores freed. Done on its own when a class runs out; for cores that go idle.
  void collect() noexcept;
  // Gives empty slabs back to the machine.
  void trim() noexcept;

  // MUST be called on the heap's core.
  [[nodiscard]] HeapStatistics statistics() const noexcept;
  [[nodiscard]] Account& account() const noexcept { return account_; }

 private:
  using Block = detail::Block;
  using Slab = detail::Slab;

  void* take(std::size_t size) noexcept {
    if (size > max_block) [[unlikely]]
      return allocate_large(size);
    const unsigned size_class = mem::size_class(size);
    Slab* slab = current_[size_class];
    Block* block = slab->free;
    if (!block) [[unlikely]]
      return allocate_slow(size_class);
    slab->free = block->next;
    ++slab->used;
    return block;
  }
  void put(Block* block) noexcept {
    Slab* slab = detail::slab_of(block);
    if (slab->heap != this) [[unlikely]]
      return slab->heap->push_remote(block);
    block->next = slab->free;
    slab->free = block;
    if (--slab->used == slab->notify_at) [[unlikely]]
      notified(*slab);
  }

  [[gnu::noinline]] void* allocate_slow(unsigned size_class) noexcept;
  [[gnu::noinline]] void* allocate_large(std::size_t size) noexcept;
  [[gnu::noinline]] void push_remote(Block* block) noexcept;
  [[gnu::noinline]] void notified(Slab& slab) noexcept;
  void* allocate_checked(std::size_t size) noexcept;
  void free_checked(void* block) noexcept;
  static void mark_freed(void* block) noexcept;
  void leave_quarantine(void* block) noexcept;
  bool flush_quarantine() noexcept;

  Slab* acquire_slab(unsigned size_class) noexcept;
  bool extend(Slab& slab) noexcept;
  void release_slab(Slab& slab) noexcept;
  void give_back(Slab& slab) noexcept;
  void own(Slab& slab) noexcept;
  void disown(Slab& slab) noexcept;
  void add_partial(Slab& slab) noexcept;
  void remove_partial(Slab& slab) noexcept;

  static constexpr std::size_t max_cached = 16;  // 1 MiB
  static constexpr std::size_t quarantine_length = checked ? 256 : 1;

  std::array<Slab*, size_class_count> current_;
  std::array<Slab*, size_class_count> partial_{};
  Account& account_;
  Slab* owned_ = nullptr;
  Slab* cached_ = nullptr;
  std::size_t cached_count_ = 0;
  std::size_t bytes_held_ = 0;
  std::uint64_t system_calls_ = 0;
  std::array<void*, quarantine_length> quarantine_{};
  std::size_t quarantine_at_ = 0;
  alignas(64) std::atomic<Block*> remote_{nullptr};  // the only line that other cores write
};

}  // namespace lichen::mem

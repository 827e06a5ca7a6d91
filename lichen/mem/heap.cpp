#include "lichen/mem/heap.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "lichen/base/bits.hpp"
#include "lichen/hal/hal.hpp"

#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif

namespace lichen::mem {

using detail::Block;
using detail::Slab;

namespace {

static_assert(hal::granule_size == std::size_t{1} << detail::granule_shift);
constexpr std::uint32_t large_class = size_class_count;
constexpr std::int32_t never = -1;

// Stands for "no slab": has no free block and is never written.
constinit Slab no_slab{};

// One line for each granule of the page region; a line takes memory when its granule is first used.
bool prepare_table() noexcept {
  static const bool prepared = [] {
    const auto region = hal::page_region();
    if (region.empty()) return false;
    auto table = hal::allocate_pages(
        base::divide_up((region.size() >> detail::granule_shift) * sizeof(Slab), hal::page_size));
    if (!table) return false;
    detail::slab_table =
        reinterpret_cast<std::uintptr_t>(table->data()) -
        (reinterpret_cast<std::uintptr_t>(region.data()) >> detail::granule_shift) * sizeof(Slab);
    return true;
  }();
  return prepared;
}

std::byte* memory_of(const Slab& slab) noexcept {
  const std::uintptr_t index =
      (reinterpret_cast<std::uintptr_t>(&slab) - detail::slab_table) / sizeof(Slab);
  return reinterpret_cast<std::byte*>(index << detail::granule_shift);
}

std::uint32_t capacity(unsigned size_class) noexcept {
  return static_cast<std::uint32_t>(hal::granule_size / block_size(size_class));
}

// A large block's slab keeps its length, in pages, in `cut`.
std::size_t bytes_of(const Slab& slab) noexcept {
  return slab.size_class == large_class ? slab.cut * hal::page_size : hal::granule_size;
}

void forbid([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t size) noexcept {
#if __has_feature(address_sanitizer)
  ASAN_POISON_MEMORY_REGION(memory, size);
#endif
}
void permit([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t size) noexcept {
#if __has_feature(address_sanitizer)
  ASAN_UNPOISON_MEMORY_REGION(memory, size);
#endif
}

// What a freed block is filled with: no canonical address, and no likely number.
constexpr std::uint64_t freed = 0xdead'f4ee'b10c'dead;

std::span<std::uint64_t> words_of(void* block, unsigned size_class) noexcept {
  return {static_cast<std::uint64_t*>(block), block_size(size_class) / sizeof(std::uint64_t)};
}

bool all_freed(std::span<const std::uint64_t> words) noexcept {
  return std::ranges::all_of(words, [](std::uint64_t word) { return word == freed; });
}

}  // namespace

Heap::Heap(Account& account) noexcept : account_{account} {
  current_.fill(&no_slab);
  prepare_table();
}

Heap::~Heap() {
  flush_quarantine();
  collect();
  std::uint64_t leaked = 0;
  while (owned_) {
    leaked += static_cast<std::uint64_t>(owned_->used);
    give_back(*owned_);
  }
  if (leaked != 0) account_.leaked_.fetch_add(leaked, std::memory_order_relaxed);
}

void* Heap::allocate_slow(unsigned size_class) noexcept {
  collect();
  for (;;) {
    Slab* slab = current_[size_class];
    if (slab != &no_slab) {
      if (slab->free || extend(*slab)) {
        Block* block = slab->free;
        slab->free = block->next;
        ++slab->used;
        return block;
      }
      slab->notify_at = slab->used - 1;  // full: hears of the first free
    }
    if (Slab* partial = partial_[size_class]) {
      remove_partial(*partial);
      partial->notify_at = never;
      current_[size_class] = partial;
      continue;
    }
    current_[size_class] = &no_slab;
    Slab* fresh = acquire_slab(size_class);
    if (fresh)
      current_[size_class] = fresh;
    else if (!flush_quarantine())
      return nullptr;
  }
}

// Links some more blocks, about a page of them, so that the rest of the slab stays untouched.
bool Heap::extend(Slab& slab) noexcept {
  const std::size_t size = block_size(slab.size_class);
  const std::uint32_t left = capacity(slab.size_class) - slab.cut;
  if (left == 0) return false;
  const auto count =
      std::min(left, static_cast<std::uint32_t>(std::max<std::size_t>(1, hal::page_size / size)));
  std::byte* block = memory_of(slab) + slab.cut * size;
  slab.free = reinterpret_cast<Block*>(block);
  for (std::uint32_t i = 0; i < count; ++i, block += size) {
    if constexpr (checked) {
      permit(block, size);
      std::ranges::fill(words_of(block, slab.size_class), freed);
      forbid(block + sizeof(Block), size - sizeof(Block));
    }
    reinterpret_cast<Block*>(block)->next =
        i + 1 < count ? reinterpret_cast<Block*>(block + size) : nullptr;
  }
  slab.cut += count;
  return true;
}

Slab* Heap::acquire_slab(unsigned size_class) noexcept {
  Slab* slab = cached_;
  if (slab) {
    cached_ = slab->next;
    --cached_count_;
  } else {
    if (detail::slab_table == 0) return nullptr;
    if (!account_.charge(hal::granule_size)) return nullptr;
    auto memory = hal::allocate_aligned(hal::granule_size, hal::granule_size);
    if (!memory) {
      account_.discharge(hal::granule_size);
      return nullptr;
    }
    ++system_calls_;
    bytes_held_ += hal::granule_size;
    slab = detail::slab_of(memory->data());
    own(*slab);
  }
  slab->free = nullptr;
  slab->used = 0;
  slab->notify_at = never;
  slab->cut = 0;
  slab->size_class = size_class;
  return slab;
}

// A slab that is not current has a block back: it was full, or is empty now.
void Heap::notified(Slab& slab) noexcept {
  if (slab.size_class == large_class) return give_back(slab);
  const bool was_full = slab.notify_at != 0;
  if (slab.used == 0) {
    if (!was_full) remove_partial(slab);
    return release_slab(slab);
  }
  slab.notify_at = 0;
  add_partial(slab);
}

void Heap::release_slab(Slab& slab) noexcept {
  slab.cut = 0;
  if (cached_count_ == max_cached) return give_back(slab);
  slab.next = cached_;
  cached_ = &slab;
  ++cached_count_;
}

void Heap::give_back(Slab& slab) noexcept {
  const std::size_t bytes = bytes_of(slab);
  permit(memory_of(slab), bytes);
  disown(slab);
  bytes_held_ -= bytes;
  ++system_calls_;
  account_.discharge(bytes);
  hal::free_pages({memory_of(slab), bytes});
}

void Heap::trim() noexcept {
  flush_quarantine();
  collect();
  cached_count_ = 0;
  for (Slab* slab = std::exchange(cached_, nullptr); slab;)
    give_back(*std::exchange(slab, slab->next));
}

void* Heap::allocate_large(std::size_t size) noexcept {
  constexpr std::size_t most = std::size_t{1} << 40;
  if (size > most || detail::slab_table == 0) return nullptr;
  collect();
  const std::size_t bytes = base::align_up(size, hal::page_size);
  if (!account_.charge(bytes)) {
    trim();
    if (!account_.charge(bytes)) return nullptr;
  }
  auto memory = hal::allocate_aligned(bytes, hal::granule_size);
  if (!memory) {
    account_.discharge(bytes);
    return nullptr;
  }
  ++system_calls_;
  bytes_held_ += bytes;
  Slab* slab = detail::slab_of(memory->data());
  own(*slab);
  slab->free = nullptr;
  slab->used = 1;
  slab->notify_at = 0;
  slab->cut = static_cast<std::uint32_t>(bytes / hal::page_size);
  slab->size_class = large_class;
  return memory->data();
}

void* Heap::allocate_aligned(std::size_t size, std::size_t alignment) noexcept {
  if (!base::is_power_of_two(alignment) || alignment > max_block) return nullptr;
  // Slabs start at a granule, so a block is as aligned as its size; so is a large one.
  if (alignment <= 16 || size > max_block) return allocate(size);
  unsigned size_class = mem::size_class(std::max(size, alignment));
  while (block_size(size_class) % alignment != 0) ++size_class;
  return allocate(block_size(size_class));
}

void Heap::push_remote(Block* block) noexcept {
  Block* head = remote_.load(std::memory_order_relaxed);
  do {
    block->next = head;
  } while (!remote_.compare_exchange_weak(head, block, std::memory_order_release,
                                          std::memory_order_relaxed));
}

void Heap::collect() noexcept {
  if (remote_.load(std::memory_order_relaxed) == nullptr) return;
  Block* block = remote_.exchange(nullptr, std::memory_order_acquire);
  while (block) put(std::exchange(block, block->next));
}

void Heap::free_from_outside(void* block) noexcept {
  if (!block) return;
  if constexpr (checked) mark_freed(block);
  detail::slab_of(block)->heap->push_remote(static_cast<Block*>(block));
}

// Fills a block and leaves only its link accessible.
void Heap::mark_freed(void* block) noexcept {
  const Slab* slab = detail::slab_of(block);
  if (!slab->heap) hal::panic("a block is freed that no heap has handed out");
  if (slab->size_class == large_class) return;
  auto words = words_of(block, slab->size_class);
  permit(block, words.size_bytes());
  if (all_freed(words.subspan(1))) hal::panic("a block is freed twice");
  std::ranges::fill(words, freed);
  forbid(words.data() + 1, words.size_bytes() - sizeof(Block));
}

void* Heap::allocate_checked(std::size_t size) noexcept {
  void* block = take(size);
  if (!block || size > max_block) return block;
  auto words = words_of(block, mem::size_class(size));
  permit(block, words.size_bytes());
  if (!all_freed(words.subspan(1))) hal::panic("a block was written to after it was freed");
  words[1] = 0;  // so that a block that is never written to does not look freed
  return block;
}

void Heap::free_checked(void* block) noexcept {
  mark_freed(block);
  const Slab* slab = detail::slab_of(block);
  // A block of another heap goes home at once: its heap may end before this one.
  if (slab->heap != this || slab->size_class == large_class) return put(static_cast<Block*>(block));
  forbid(block, sizeof(Block));
  void*& place = quarantine_[quarantine_at_];
  quarantine_at_ = (quarantine_at_ + 1) % quarantine_length;
  if (void* oldest = std::exchange(place, block)) leave_quarantine(oldest);
}

void Heap::leave_quarantine(void* block) noexcept {
  permit(block, sizeof(Block));
  put(static_cast<Block*>(block));
}

bool Heap::flush_quarantine() noexcept {
  if constexpr (!checked) return false;
  bool any = false;
  for (void*& block : quarantine_)
    if (block) {
      leave_quarantine(std::exchange(block, nullptr));
      any = true;
    }
  return any;
}

void Heap::own(Slab& slab) noexcept {
  slab.heap = this;
  slab.previous_owned = nullptr;
  slab.next_owned = owned_;
  if (owned_) owned_->previous_owned = &slab;
  owned_ = &slab;
}

void Heap::disown(Slab& slab) noexcept {
  (slab.previous_owned ? slab.previous_owned->next_owned : owned_) = slab.next_owned;
  if (slab.next_owned) slab.next_owned->previous_owned = slab.previous_owned;
  slab.heap = nullptr;
}

void Heap::add_partial(Slab& slab) noexcept {
  Slab*& head = partial_[slab.size_class];
  slab.previous = nullptr;
  slab.next = head;
  if (head) head->previous = &slab;
  head = &slab;
}

void Heap::remove_partial(Slab& slab) noexcept {
  (slab.previous ? slab.previous->next : partial_[slab.size_class]) = slab.next;
  if (slab.next) slab.next->previous = slab.previous;
}

HeapStatistics Heap::statistics() const noexcept {
  HeapStatistics result;
  result.bytes_held = bytes_held_;
  result.slabs_cached = cached_count_;
  result.system_calls = system_calls_;
  for (unsigned i = 0; i < size_class_count; ++i) result.classes[i].block_size = block_size(i);
  for (const Slab* slab = owned_; slab; slab = slab->next_owned) {
    if (slab->size_class == large_class) {
      ++result.large_live;
      continue;
    }
    if (slab->cut == 0) continue;  // cached
    ClassStatistics& entry = result.classes[slab->size_class];
    entry.live += static_cast<std::size_t>(slab->used);
    entry.capacity += capacity(slab->size_class);
    ++entry.slabs;
  }
  return result;
}

}  // namespace lichen::mem

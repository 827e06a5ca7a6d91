// Page frames come from one memfd behind one large reserved range of addresses.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <vector>

#include "lichen/base/bits.hpp"
#include "lichen/hal/linux/machine.hpp"

namespace lichen::hal {

namespace {

// Blocks are powers of two, naturally aligned. A freed block is handed out again for the same order
// only: addresses are plentiful (the range is far larger than memory) and untouched pages cost nothing,
// so nothing is coalesced.
class FrameStore {
 public:
  std::byte* allocate(std::size_t bytes) noexcept {
    const auto order = static_cast<unsigned>(std::countr_zero(bytes));
    pthread_mutex_lock(&mutex_);
    std::byte* block = nullptr;
    if (base_ || reserve()) {
      auto& free = free_[order];
      if (!free.empty()) {
        block = base_ + free.back() * page_size;
        free.pop_back();
      } else if (const std::size_t at = base::align_up(next_, bytes); at + bytes <= size_ && at >= next_) {
        keep_gap(next_, at);
        block = base_ + at;
        next_ = at + bytes;
      }
    }
    pthread_mutex_unlock(&mutex_);
    return block;
  }

  void free(std::byte* block, std::size_t bytes) noexcept {
    const auto offset = static_cast<std::size_t>(block - base_);
    // The frames go back to the host; the addresses read as zeroes from now on.
    fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
              static_cast<off_t>(bytes));
    pthread_mutex_lock(&mutex_);
    free_[static_cast<unsigned>(std::countr_zero(bytes))].push_back(offset / page_size);
    pthread_mutex_unlock(&mutex_);
  }

 private:
  // The range shrinks until the host lends it: an address-space limit may be in force.
  bool reserve() noexcept {
    file_ = memfd_create("lichen frames", MFD_CLOEXEC);
    if (file_ < 0) return false;
    for (std::size_t size = largest_range; size >= smallest_range; size /= 2) {
      if (ftruncate(file_, static_cast<off_t>(size)) != 0) continue;
      void* range =
          mmap(nullptr, size + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (range == MAP_FAILED) continue;
      auto* aligned = reinterpret_cast<std::byte*>(
          base::align_up(reinterpret_cast<std::uintptr_t>(range), alignment));
      if (mmap(aligned, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, file_,
               0) == MAP_FAILED) {
        munmap(range, size + alignment);
        continue;
      }
      base_ = aligned;
      size_ = size;
      return true;
    }
    close(file_);
    file_ = -1;
    return false;
  }

  // What alignment skips is cut into blocks of its own.
  void keep_gap(std::size_t from, std::size_t to) noexcept {
    while (from < to) {
      const auto order = static_cast<unsigned>(std::countr_zero(from));
      std::size_t bytes = std::size_t{1} << order;
      while (from + bytes > to) bytes /= 2;
      free_[static_cast<unsigned>(std::countr_zero(bytes))].push_back(from / page_size);
      from += bytes;
    }
  }

  static constexpr std::size_t alignment = std::size_t{1} << 30;
  static constexpr std::size_t largest_range = std::size_t{1} << 38;
  static constexpr std::size_t smallest_range = std::size_t{1} << 28;

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  int file_ = -1;
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
  std::size_t next_ = page_size;  // the first page stays unused: no block has order of zero
  std::array<std::vector<std::size_t>, 64> free_;  // page numbers by order
};

// Lives until the process ends: frames are used by threads of unknown order at exit.
FrameStore& store() noexcept {
  static FrameStore* const instance = new FrameStore;
  return *instance;
}

std::atomic<std::size_t> in_use{0};

std::size_t block_size(std::size_t bytes) noexcept {
  return std::bit_ceil(bytes < page_size ? page_size : bytes);
}

}  // namespace

std::byte* allocate_pages(std::size_t bytes, std::size_t alignment) noexcept {
  if (bytes == 0 || bytes > (std::size_t{1} << 40)) return nullptr;
  const std::size_t size = block_size(bytes);
  std::byte* pages = store().allocate(size < alignment ? alignment : size);
  if (pages) in_use.fetch_add(size < alignment ? alignment : size, std::memory_order_relaxed);
  return pages;
}

void free_pages(std::byte* pages, std::size_t bytes) noexcept {
  if (!pages) return;
  // The alignment may have asked for more than the size did; the block is as long as its address is
  // aligned at most, so the caller's size decides.
  const std::size_t size = block_size(bytes);
  in_use.fetch_sub(size, std::memory_order_relaxed);
  store().free(pages, size);
}

Result<void> protect_pages(std::byte* pages, std::size_t bytes, Access access) noexcept {
  int protection = PROT_NONE;
  switch (access) {
    case Access::none: break;
    case Access::read: protection = PROT_READ; break;
    case Access::read_write: protection = PROT_READ | PROT_WRITE; break;
    case Access::read_execute: protection = PROT_READ | PROT_EXEC; break;
  }
  if (mprotect(pages, bytes, protection) != 0) return Error::invalid_argument;
  return {};
}

std::size_t pages_in_use() noexcept { return in_use.load(std::memory_order_relaxed); }

}  // namespace lichen::hal

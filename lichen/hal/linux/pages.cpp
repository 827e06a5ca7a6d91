#include "lichen/hal/linux/pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <mutex>

#include "lichen/base/bits.hpp"
#include "lichen/base/error_map.hpp"
#include "lichen/hal/linux/console.hpp"

namespace lichen::hal {

namespace {

constexpr std::size_t reserve = std::size_t{64} << 30;
constexpr std::size_t granules = reserve / granule_size;
// Punching a hole costs some 0.8 us a page, so free granules wait for company.
constexpr std::size_t max_dirty = (std::size_t{8} << 20) / granule_size;

class Bits {
 public:
  [[nodiscard]] bool test(std::size_t i) const noexcept { return words_[i / 64] >> (i % 64) & 1; }
  void set(std::size_t i) noexcept { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
  void clear(std::size_t i) noexcept { words_[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }
  // The first clear (set) bit at or after `from`; `granules` if there is none.
  [[nodiscard]] std::size_t find(bool value, std::size_t from) const noexcept {
    for (std::size_t i = from; i < granules; i = base::align_down(i, 64) + 64) {
      const std::uint64_t word = (value ? words_[i / 64] : ~words_[i / 64]) >> (i % 64);
      if (word != 0) return i + static_cast<std::size_t>(std::countr_zero(word));
    }
    return granules;
  }

 private:
  std::array<std::uint64_t, granules / 64> words_{};
};

struct Region {
  std::byte* memory = nullptr;
  int fd = -1;
  std::mutex mutex;
  Bits used;
  Bits dirty;                  // free, and may hold memory
  std::size_t first_free = 0;  // no granule below is free
  std::size_t used_count = 0;
  std::size_t dirty_count = 0;
  std::size_t shown = 0;  // granules from the start that core files hold

  Region() noexcept {
    fd = memfd_create("lichen", MFD_CLOEXEC);
    if (fd < 0) return;
    if (ftruncate(fd, static_cast<off_t>(reserve)) != 0) return;
    void* address = mmap(nullptr, reserve + granule_size, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) return;
    auto* start = reinterpret_cast<std::byte*>(
        base::align_up(reinterpret_cast<std::uintptr_t>(address), granule_size));
    if (mmap(start, reserve, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
             0) == MAP_FAILED)
      return;
    // Advice: without effect where the host has no huge pages for shared memory.
    (void)madvise(start, reserve, MADV_HUGEPAGE);
    // A core file shall hold what was in use, not the whole range; see show_in_core_files().
    (void)madvise(start, reserve, MADV_DONTDUMP);
    memory = start;
  }

  // In large steps, so that the range stays two mappings for the host.
  void show_in_core_files(std::size_t end) noexcept {
    if (end <= shown) return;
    constexpr std::size_t step = (std::size_t{16} << 20) / granule_size;
    const std::size_t until = std::min(base::align_up(end, step), granules);
    (void)madvise(memory + shown * granule_size, (until - shown) * granule_size, MADV_DODUMP);
    shown = until;
  }
};

// Never destroyed: memory is in use until the process ends.
Region& region() noexcept {
  alignas(Region) static std::byte storage[sizeof(Region)];
  static Region* const the_region = new (storage) Region;
  return *the_region;
}

bool contains(const Region& region, std::span<const std::byte> pages) noexcept {
  const auto start = reinterpret_cast<std::uintptr_t>(pages.data());
  const auto first = reinterpret_cast<std::uintptr_t>(region.memory);
  return region.memory && !pages.empty() && base::is_aligned(start, page_size) &&
         base::is_aligned(pages.size(), page_size) && start >= first && start - first < reserve &&
         pages.size() <= reserve - (start - first);
}

int protection(Access access) noexcept {
  switch (access) {
    case Access::none: return PROT_NONE;
    case Access::read: return PROT_READ;
    case Access::read_write: break;
  }
  return PROT_READ | PROT_WRITE;
}

}  // namespace

std::span<std::byte> page_region() noexcept {
  Region& all = region();
  return {all.memory, all.memory ? reserve : 0};
}

Result<std::span<std::byte>> allocate_pages(std::size_t count) noexcept {
  if (count == 0) return Error::invalid_argument;
  if (count > reserve / page_size) return Error::no_memory;
  return allocate_aligned(count * page_size, page_size);
}

Result<std::span<std::byte>> allocate_aligned(std::size_t size, std::size_t alignment) noexcept {
  if (size == 0 || !base::is_power_of_two(alignment)) return Error::invalid_argument;
  if (size > reserve || alignment > reserve) return Error::no_memory;
  Region& all = region();
  if (!all.memory) return Error::no_memory;
  const std::size_t bytes = base::align_up(size, page_size);
  const std::size_t need = base::divide_up(bytes, granule_size);
  const auto first = reinterpret_cast<std::uintptr_t>(all.memory);
  const std::lock_guard lock{all.mutex};
  std::size_t at = all.first_free = all.used.find(false, all.first_free);
  while (at < granules) {
    const std::uintptr_t address = base::align_up(first + at * granule_size, alignment);
    at = (address - first) / granule_size;
    if (at >= granules || need > granules - at) break;
    // One granule is the common case and needs no second search.
    const std::size_t end = need == 1 ? at + (all.used.test(at) ? 0 : 1) : all.used.find(true, at);
    if (end - at >= need) {
      for (std::size_t i = at; i < at + need; ++i) {
        all.used.set(i);
        if (all.dirty.test(i)) {
          all.dirty.clear(i);
          --all.dirty_count;
        }
      }
      all.used_count += need;
      all.show_in_core_files(at + need);
      return std::span{all.memory + at * granule_size, bytes};
    }
    at = all.used.find(false, end);
  }
  return Error::no_memory;
}

void free_pages(std::span<std::byte> pages) noexcept {
  Region& all = region();
  if (!contains(all, pages) || !base::is_aligned(pages.data(), granule_size))
    panic("pages are freed that were never allocated");
  const auto at = static_cast<std::size_t>(pages.data() - all.memory) / granule_size;
  const std::size_t count = base::divide_up(pages.size(), granule_size);
  bool trim = false;
  {
    const std::lock_guard lock{all.mutex};
    for (std::size_t i = at; i < at + count; ++i) {
      if (!all.used.test(i)) panic("pages are freed twice");
      all.used.clear(i);
      all.dirty.set(i);
    }
    all.used_count -= count;
    all.dirty_count += count;
    all.first_free = std::min(all.first_free, at);
    trim = all.dirty_count > max_dirty;
  }
  if (trim) trim_pages();
}

void trim_pages() noexcept {
  Region& all = region();
  std::unique_lock lock{all.mutex};
  for (std::size_t at = 0; (at = all.dirty.find(true, at)) < granules;) {
    std::size_t end = at;
    // Held as used meanwhile, so that the lock need not be.
    for (; end < granules && all.dirty.test(end); ++end) {
      all.dirty.clear(end);
      all.used.set(end);
    }
    all.dirty_count -= end - at;
    lock.unlock();
    const bool gone = fallocate(all.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(at * granule_size),
                                static_cast<off_t>((end - at) * granule_size)) == 0;
    lock.lock();
    for (std::size_t i = at; i < end; ++i) {
      all.used.clear(i);
      if (!gone) all.dirty.set(i);
    }
    if (!gone) all.dirty_count += end - at;
    all.first_free = std::min(all.first_free, at);
    at = end;
  }
}

Result<std::span<std::byte>> map_pages(std::span<std::byte> frames, Access access) noexcept {
  Region& all = region();
  if (!contains(all, frames)) return Error::invalid_argument;
  void* view = mmap(nullptr, frames.size(), protection(access), MAP_SHARED | MAP_NORESERVE, all.fd,
                    frames.data() - all.memory);
  if (view == MAP_FAILED) return Error::no_memory;
  return std::span{static_cast<std::byte*>(view), frames.size()};
}

void unmap_pages(std::span<std::byte> view) noexcept {
  if (contains(region(), view)) panic("page frames are unmapped as if they were a view");
  munmap(view.data(), view.size());
}

Result<void> protect_pages(std::span<std::byte> pages, Access access) noexcept {
  if (mprotect(pages.data(), pages.size(), protection(access)) != 0) return from_errno(errno);
  return {};
}

Result<std::size_t> resident_pages(std::span<const std::byte> pages) noexcept {
  std::size_t count = 0;
  std::array<unsigned char, 1024> there;
  while (!pages.empty()) {
    const std::size_t chunk = std::min(pages.size(), there.size() * page_size);
    if (mincore(const_cast<std::byte*>(pages.data()), chunk, there.data()) != 0)
      return from_errno(errno);
    for (std::size_t i = 0; i < base::divide_up(chunk, page_size); ++i) count += there[i] & 1;
    pages = pages.subspan(chunk);
  }
  return count;
}

PageStatistics page_statistics() noexcept {
  Region& all = region();
  const std::lock_guard lock{all.mutex};
  return {.allocated = all.used_count * granule_size, .dirty = all.dirty_count * granule_size};
}

}  // namespace lichen::hal

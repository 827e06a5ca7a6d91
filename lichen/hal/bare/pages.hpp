// Page frames: all memory that the firmware names usable, seen through one linear mapping. Handed
// out in granules of 64 KiB; there is no paging out, so what is allocated holds memory.
#pragma once

#include <cstddef>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

inline constexpr std::size_t granule_size = 64 * 1024;

// The address space that page frames come from, holes in the machine's memory included. Never
// changes.
std::span<std::byte> page_region() noexcept;

// Whole pages, starting at a granule, contiguous in physical memory, contents unspecified. Errors:
// invalid_argument, no_memory.
Result<std::span<std::byte>> allocate_pages(std::size_t count) noexcept;
// The same with a start aligned to `alignment`, a power of two. `size` in bytes.
Result<std::span<std::byte>> allocate_aligned(std::size_t size, std::size_t alignment) noexcept;
// Takes back what one of the two returned, whole.
void free_pages(std::span<std::byte> pages) noexcept;
// Nothing to do: there is nobody else who could use them.
inline void trim_pages() noexcept {}

// A second view of allocated frames, which MUST be unmapped before they are freed. Errors:
// invalid_argument (not whole pages of the region), no_memory.
Result<std::span<std::byte>> map_pages(std::span<std::byte> frames, Access access) noexcept;
void unmap_pages(std::span<std::byte> view) noexcept;
// For allocated frames and views; frames MUST be readable and writable again before they are freed.
// When it returns no core has the old right any more. Errors: no_memory.
Result<void> protect_pages(std::span<std::byte> pages, Access access) noexcept;
// How many of these whole pages hold memory: all.
Result<std::size_t> resident_pages(std::span<const std::byte> pages) noexcept;

struct PageStatistics {
  std::size_t allocated = 0;  // bytes handed out
  std::size_t dirty = 0;      // always 0
};
PageStatistics page_statistics() noexcept;
// Bytes that allocate_pages() could hand out when the machine had booted.
std::size_t memory_size() noexcept;

}  // namespace lichen::hal

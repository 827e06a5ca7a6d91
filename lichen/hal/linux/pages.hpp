// Page frames: one memfd, mapped once as a whole. Address space is handed out in granules of 64
// KiB; a page takes memory when it is first touched.
#pragma once

#include <cstddef>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

inline constexpr std::size_t granule_size = 64 * 1024;

// The address space that page frames come from. Never changes; empty if the host refuses to give
// any.
std::span<std::byte> page_region() noexcept;

// Whole pages, starting at a granule, contents unspecified. Errors: invalid_argument, no_memory.
Result<std::span<std::byte>> allocate_pages(std::size_t count) noexcept;
// The same with a start aligned to `alignment`, a power of two. `size` in bytes.
Result<std::span<std::byte>> allocate_aligned(std::size_t size, std::size_t alignment) noexcept;
// Takes back what one of the two returned, whole. Its memory goes to the host in batches.
void free_pages(std::span<std::byte> pages) noexcept;
// Gives the memory of all free pages to the host now.
void trim_pages() noexcept;

// A second view of allocated frames, which MUST be unmapped before they are freed. Errors:
// invalid_argument (not whole pages of the region), no_memory.
Result<std::span<std::byte>> map_pages(std::span<std::byte> frames, Access access) noexcept;
void unmap_pages(std::span<std::byte> view) noexcept;
// For allocated frames and views; frames MUST be readable and writable again before they are freed.
Result<void> protect_pages(std::span<std::byte> pages, Access access) noexcept;
// How many of these whole pages hold memory.
Result<std::size_t> resident_pages(std::span<const std::byte> pages) noexcept;

struct PageStatistics {
  std::size_t allocated = 0;  // bytes of address space handed out
  std::size_t dirty = 0;      // bytes free but not yet given to the host
};
PageStatistics page_statistics() noexcept;

// The hand-off of page faults comes with address spaces; until then a fault is the host's to
// report.

}  // namespace lichen::hal

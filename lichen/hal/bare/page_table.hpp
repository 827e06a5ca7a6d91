// Page tables: trees of tables with 512 entries, whose leaves are pages of 4 KiB, 2 MiB or 1 GiB.
// x86-64 and RISC-V differ in their entries only (page_entry.hpp of the processor). There is one
// address space. Private to hal.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/bare/memory.hpp"

namespace lichen::hal::detail {

// No page is both writable and executable.
enum class PageUse : std::uint8_t { none, read, read_write, read_execute, device };

// Whole pages. What was mapped there before MUST have been unmapped. Errors: no_memory.
Result<void> map(std::uintptr_t at, Physical physical, std::size_t size, PageUse use) noexcept;
// For mapped pages; the caller flushes. Splits large pages. Errors: no_memory.
Result<void> change_use(std::uintptr_t at, std::size_t size, PageUse use) noexcept;
// For mapped pages of 4 KiB; the caller flushes.
void unmap(std::uintptr_t at, std::size_t size) noexcept;
Physical page_table_root() noexcept;
// Whether what lies there can be read. Without the lock, for who reports a fault.
bool is_readable(std::uintptr_t at) noexcept;

// Address space apart from memory, in granules, so that it can be reused. Null: there is none left.
std::byte* reserve_window(std::size_t size, std::size_t alignment = 1) noexcept;
void release_window(const std::byte* at, std::size_t size) noexcept;

// Memory-mapped registers and tables of the firmware; stays mapped. Errors: no_memory,
// invalid_argument (beyond what can be addressed).
Result<std::byte*> map_device(Physical physical, std::size_t size) noexcept;
Result<const std::byte*> map_firmware(Physical physical, std::size_t size) noexcept;

}  // namespace lichen::hal::detail

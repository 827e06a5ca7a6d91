// The machine's memory, from what the firmware tells to page frames. Private to hal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/hal/bare/memory_map.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

MemoryMap& memory_map() noexcept;

// The steps of the boot. First what the firmware tells has to be in the map; `early_base` is where
// the early tables show the physical address 0, and how much of it.
void begin_memory(std::uintptr_t early_base, Physical early_end) noexcept;
// The final page tables: the image as its segments say, all memory linearly.
Result<void> build_address_space() noexcept;
// Whatever is left becomes page frames.
Result<void> build_frames() noexcept;

// Where a physical address of usable memory can be read and written.
std::byte* direct(Physical address) noexcept;
Physical physical_of_image(const void* address) noexcept;

// Zeroed, for page tables; 0: there is none left. Never given back.
Physical take_table() noexcept;

}  // namespace lichen::hal::detail

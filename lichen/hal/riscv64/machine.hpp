// The parts of a RISC-V board among each other. Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/hal/bare/local.hpp"
#include "lichen/hal/bare/memory.hpp"
#include "lichen/hal/riscv64/board_tree.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

// As traps.S lays it down.
struct TrapFrame {
  std::uint64_t pc;     // in the place of x0
  std::uint64_t x[31];  // x1 to x31
  std::uint64_t f[20];  // f0 to f7, f10 to f17, f28 to f31
  std::uint64_t fcsr, sstatus, unused, next_stack;
};
static_assert(sizeof(TrapFrame) == 448);

// What the device tree says; the hart that booted comes first.
const BoardTree& board() noexcept;

// Reads the tree where the early tables show it. Errors: protocol_error, too_large, limit_reached,
// not_supported.
Result<void> read_device_tree(const std::byte* bytes, std::uint32_t own_hart) noexcept;

// Steps of the boot; what they need is in boot.cpp.
Result<void> start_thread() noexcept;
Result<void> start_traps() noexcept;
Result<void> start_clock() noexcept;
Result<void> start_interrupt_controller() noexcept;
Result<void> find_power() noexcept;
Result<void> start_console() noexcept;
Result<void> find_calendar() noexcept;
Result<void> find_devices() noexcept;

// The same for a hart that was started later.
void load_traps(CoreId core) noexcept;
void enable_external_interrupts(CoreId core) noexcept;

void take_external_interrupt(TrapFrame& frame) noexcept;
// What other cores have told this one.
void take_signals(TrapFrame& frame) noexcept;
// Makes a core call that; false: there is no such way.
bool send_by_message(CoreId core) noexcept;

}  // namespace lichen::hal::detail

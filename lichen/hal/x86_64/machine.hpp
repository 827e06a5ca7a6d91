// The parts of a PC among each other. Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/hal/bare/local.hpp"
#include "lichen/hal/bare/memory.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

// As traps.S lays it down.
struct TrapFrame {
  std::uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  std::uint64_t vector, error;
  std::uint64_t rip, cs, rflags, rsp, ss;
};

// Vectors of our own; below 32 are the processor's.
enum Vector : std::uint8_t {
  vector_first_device = 0x30,
  vector_timer = 0xe0,
  vector_preempt = 0xe1,
  vector_wake = 0xe2,
  vector_flush = 0xe3,
  vector_spurious = 0xff,
};

// Steps of the boot; what they need is in boot.cpp.
Result<void> start_console() noexcept;
Result<void> start_thread() noexcept;
Result<void> start_vectors() noexcept;
Result<void> start_gates() noexcept;
Result<void> find_processors() noexcept;
Result<void> start_interrupt_controller() noexcept;
Result<void> start_clock() noexcept;
Result<void> find_line_controllers() noexcept;
Result<void> find_devices() noexcept;
Result<void> find_power() noexcept;

// The same for a processor that was started later.
void load_gates(CoreId core) noexcept;
void enable_vectors() noexcept;
void enable_interrupt_controller() noexcept;

// Where the firmware's root of tables is; 0: look for it.
void set_firmware_root(Physical address) noexcept;
// The same, where it does not stay where it is.
void copy_firmware_root(std::span<const std::byte> root) noexcept;
// The numbers by which interrupts reach the processors; the one that booted comes first.
std::span<const std::uint32_t> processor_numbers() noexcept;

// Returns if it cannot.
void power_off() noexcept;

void acknowledge_interrupt() noexcept;
// Another core has called flush_everywhere().
void answer_flush() noexcept;
// Hands the interrupt controller a command for another one.
void send_command(std::uint32_t processor, std::uint32_t command) noexcept;
// The controller's timer counts with a rate of its own, which has to be measured unless it takes
// deadlines of the clock. Begin, read, then tell how much time went by.
[[nodiscard]] bool timer_follows_clock() noexcept;
void begin_timer_calibration() noexcept;
std::uint32_t read_timer_counts() noexcept;
void calibrate_timer(std::uint32_t counts, std::uint64_t ns) noexcept;

std::uint64_t clock_ticks(std::uint64_t ns) noexcept;
void spin_for(std::uint64_t ns) noexcept;

}  // namespace lichen::hal::detail

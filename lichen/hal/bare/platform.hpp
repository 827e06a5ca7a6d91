// What a processor and its board offer to the rest of a bare machine. Private to hal.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/local.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

// The registers of an interrupted flow; the processor says what is in it.
std::uintptr_t& stack_pointer_of(TrapFrame& frame) noexcept;
std::uintptr_t& instruction_of(TrapFrame& frame) noexcept;
// Where the innermost function's frame is, and what every function leaves there of its caller.
struct CallRecord {
  std::uintptr_t outer_frame;
  std::uintptr_t return_address;
};
std::uintptr_t frame_pointer_of(const TrapFrame& frame) noexcept;
std::uintptr_t call_record_at(std::uintptr_t frame_pointer) noexcept;
// Where a function returns to that has just been called and has done nothing yet; 0: not known.
std::uintptr_t return_address_of(const TrapFrame& frame) noexcept;
// All that a coroutine frame's address may be in.
std::span<const std::uintptr_t> registers_of(const TrapFrame& frame) noexcept;
inline std::uintptr_t instruction_of(const TrapFrame& frame) noexcept {
  return instruction_of(const_cast<TrapFrame&>(frame));
}
void print_registers(const TrapFrame& frame) noexcept;

// Whether the processor takes interrupts now.
void mask_interrupts() noexcept;
void unmask_interrupts() noexcept;
// With interrupts masked: unmasks them and sleeps until one has come, in such a way that none is
// missed in between.
void unmask_and_sleep() noexcept;

std::uint64_t read_clock_ns() noexcept;
// Signal::timer on this core at that moment, or some time before; no_deadline: no more.
void set_timer(std::uint64_t deadline_ns) noexcept;

unsigned processor_count() noexcept;
// Those that have been started: the cores below that number.
unsigned started_processors() noexcept;
// Makes another processor call serve_cores(core) with this thread pointer, on this stack. Errors:
// timed_out, io_failed.
Result<void> start_processor(CoreId core, std::uintptr_t thread_pointer,
                             std::span<std::byte> stack) noexcept;

// Starts cores until there are that many. Not on two cores at once. Errors: no_memory, timed_out.
Result<void> start_processors(unsigned count) noexcept;
// What a started core has to do; only for one that has nothing to do. Whoever is the last wakes
// core 0.
struct Job {
  base::FunctionRef<void(CoreId)> entry;
  std::atomic<unsigned> not_done;
};
void give_job(CoreId core, Job& job) noexcept;
// What a processor that was started goes on with.
[[noreturn]] void serve_cores(CoreId core) noexcept;
void send_signal(CoreId core, Signal signal) noexcept;

// Forgets what this core knows of translations.
void flush_translations() noexcept;
// Whether the processor keeps as many of them as were of use between one flush and the next: QEMU's
// TCG does. Who never flushes has the fewest there are, 64, and each access to one more page costs
// as much as some hundred instructions.
bool keeps_what_was_used() noexcept;
// The same on all cores that have been started, and waits until they have done it. MUST be called
// with interrupts on, or while there is one core only.
void flush_everywhere() noexcept;

// Devices. Sources of interrupts are numbered by us: each is a line, or a message.
inline constexpr unsigned interrupt_sources = 128;
// While the machine boots; what does not fit into the table any more is left out.
void add_device(const FoundDevice& device) noexcept;
// From now on the line calls take_device_interrupt(source) on that core. A line that was closed is
// not taken any more. Errors: invalid_argument (no such line), not_supported.
Result<void> open_line(std::uint32_t line, CoreId core, unsigned source) noexcept;
void close_line(std::uint32_t line) noexcept;
// The same by a message. Errors: not_supported.
Result<Message> message_for(CoreId core, unsigned source) noexcept;

// What the processor's thread pointer points to, beside the thread's variables, which are `size`
// bytes at `variables`. Returns the thread pointer.
inline constexpr std::size_t thread_control_size = 64;
std::uintptr_t lay_thread_control(std::byte* variables, std::size_t size) noexcept;

void put_character(char character) noexcept;
// What comes in. The line that the console raises while there is something to take. Errors:
// not_supported; then the other two MUST NOT be called.
Result<std::uint32_t> console_line() noexcept;
void tell_of_input(bool on) noexcept;
std::optional<char> take_character() noexcept;
[[noreturn]] void end_machine(int status) noexcept;
Result<void> fill_with_entropy(std::span<std::byte> bytes) noexcept;
// Since 1970-01-01 00:00 UTC. On one core at a time. Errors: not_found (there is no such clock).
Result<std::int64_t> read_calendar_ns() noexcept;

}  // namespace lichen::hal::detail

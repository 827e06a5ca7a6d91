// Traps, threads and translations of a hart.
#include <array>
#include <atomic>
#include <cstring>

#include "lichen/base/format.hpp"
#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/machine.hpp"
#include "lichen/hal/riscv64/sbi.hpp"

namespace lichen::hal::detail {

namespace {

constexpr std::uint64_t is_interrupt = std::uint64_t{1} << 63;
enum Cause : std::uint64_t { software_interrupt = 1, timer_interrupt = 5, external_interrupt = 9 };
enum : std::uint64_t { software_bit = 1 << 1, timer_bit = 1 << 5, interrupts_enabled = 1 << 1 };

constexpr std::size_t stack_size = std::size_t{12} * 1024;
// What the software interrupt is to tell, a bit for each signal.
struct alignas(cache_line) Pending {
  std::atomic<unsigned> signals{0};
};
constinit std::array<Pending, max_cores> pending{};

// Privileged architecture 1.12, table 4.2.
constexpr std::array<const char*, 16> exception_names{"misaligned instruction",
                                                      "no memory to fetch an instruction from",
                                                      "illegal instruction",
                                                      "breakpoint",
                                                      "misaligned read",
                                                      "a read where no memory is",
                                                      "misaligned write",
                                                      "a write where no memory is",
                                                      "call from user mode",
                                                      "call from supervisor mode",
                                                      "reserved",
                                                      "reserved",
                                                      "an instruction is fetched where none may be",
                                                      "a read where none is allowed",
                                                      "reserved",
                                                      "a write where none is allowed"};

void take_software_interrupt(TrapFrame& frame) noexcept {
  asm volatile("csrc sip, %0" : : "r"(software_bit) : "memory");
  take_signals(frame);
}

}  // namespace

void take_signals(TrapFrame& frame) noexcept {
  const unsigned signals = pending[local().core].signals.exchange(0);
  for (const Signal signal : {Signal::wake, Signal::preempt})
    if (signals >> static_cast<unsigned>(signal) & 1) take_interrupt(signal, frame);
}

extern "C" {
void lichen_trap_entry() noexcept;

[[gnu::used]] void lichen_trap(TrapFrame& frame, std::uint64_t cause,
                               std::uintptr_t address) noexcept {
  if (cause == (is_interrupt | timer_interrupt)) return take_interrupt(Signal::timer, frame);
  if (cause == (is_interrupt | software_interrupt)) return take_software_interrupt(frame);
  if (cause == (is_interrupt | external_interrupt)) return take_external_interrupt(frame);
  if ((cause & is_interrupt) != 0) return;  // nobody asked for it
  const bool at_memory = cause == 1 || (cause >= 4 && cause <= 7) || cause >= 12;
  take_fault(cause < exception_names.size() ? exception_names[cause] : "unknown exception",
             at_memory, at_memory ? address : 0, frame);
}
}

std::uintptr_t& stack_pointer_of(TrapFrame& frame) noexcept { return frame.x[1]; }
std::uintptr_t& instruction_of(TrapFrame& frame) noexcept { return frame.pc; }

std::uintptr_t frame_pointer_of(const TrapFrame& frame) noexcept { return frame.x[7]; }
// RISC-V psABI, frame pointer convention.
std::uintptr_t call_record_at(std::uintptr_t frame_pointer) noexcept {
  return frame_pointer - 2 * sizeof(std::uintptr_t);
}
std::uintptr_t return_address_of(const TrapFrame& frame) noexcept { return frame.x[0]; }
std::span<const std::uintptr_t> registers_of(const TrapFrame& frame) noexcept { return frame.x; }

void print_registers(const TrapFrame& f) noexcept {
  static constexpr const char* names[] = {"ra", "sp",  "gp",  "tp", "t0", "t1", "t2", "s0",
                                          "s1", "a0",  "a1",  "a2", "a3", "a4", "a5", "a6",
                                          "a7", "s2",  "s3",  "s4", "s5", "s6", "s7", "s8",
                                          "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
  std::array<char, 64> room;
  for (std::size_t i = 0; i < std::size(names); ++i)
    write_console(base::format_to(room, "  {:<3} {:016x}{}", std::string_view{names[i]}, f.x[i],
                                  i % 4 == 3 ? "\n" : "")
                      .text);
  write_console(base::format_to(room, "\n  pc  {:016x}  sstatus {:x}\n", f.pc, f.sstatus).text);
}

Result<void> start_traps() noexcept {
  load_traps(0);
  return {};
}

// Two stacks: one for traps, and one for traps in their handlers.
void load_traps(CoreId core) noexcept {
  std::byte* const area = processor_area(core).data();
  static_assert(2 * stack_size <= granule_size / 2);
  std::byte* const traps = area + stack_size;
  std::byte* const nested = traps + stack_size;
  for (std::byte* const stack : {traps, nested})
    std::memcpy(stack - sizeof(nested), &nested, sizeof(nested));
  asm volatile("csrw sscratch, %0" : : "r"(traps));
  asm volatile("csrw stvec, %0" : : "r"(&lichen_trap_entry));
  asm volatile("csrw sie, %0" : : "r"(software_bit | timer_bit) : "memory");
}

// Thread pointer: the thread's variables (RISC-V psABI, thread-local storage).
std::uintptr_t lay_thread_control(std::byte* variables, std::size_t) noexcept {
  return reinterpret_cast<std::uintptr_t>(variables);
}

[[clang::no_stack_protector]] void use_thread(std::uintptr_t thread_pointer) noexcept {
  asm volatile("mv tp, %0" : : "r"(thread_pointer) : "memory");
}

Result<void> start_thread() noexcept {
  use_thread(TRY(make_thread(0)));
  return {};
}

void mask_interrupts() noexcept {
  asm volatile("csrc sstatus, %0" : : "r"(interrupts_enabled) : "memory");
}
void unmask_interrupts() noexcept {
  asm volatile("csrs sstatus, %0" : : "r"(interrupts_enabled) : "memory");
}
// wfi ends when an interrupt is pending, masked or not.
void unmask_and_sleep() noexcept {
  asm volatile("wfi\n\tcsrs sstatus, %0" : : "r"(interrupts_enabled) : "memory");
}

void use_page_tables(Physical root) noexcept {
  constexpr std::uint64_t sv39 = std::uint64_t{8} << 60;
  asm volatile("sfence.vma\n\tcsrw satp, %0\n\tsfence.vma" : : "r"(sv39 | root >> 12) : "memory");
}
void flush_translations() noexcept { asm volatile("sfence.vma" : : : "memory"); }
// The only board there is is QEMU's.
bool keeps_what_was_used() noexcept { return true; }

void flush_everywhere() noexcept {
  flush_translations();
  constexpr std::uintptr_t all = ~std::uintptr_t{0};
  constexpr std::uintptr_t remote_sfence_vma = 1;
  if (started_processors() > 1) sbi_call(sbi_fence, remote_sfence_vma, 0, all, 0, all);
}

void send_signal(CoreId core, Signal signal) noexcept {
  pending[core].signals.fetch_or(1U << static_cast<unsigned>(signal));
  if (send_by_message(core)) return;
  constexpr std::uintptr_t send = 0;
  sbi_call(sbi_interrupt, send, 1, board().harts.all()[core].id);
}

}  // namespace lichen::hal::detail

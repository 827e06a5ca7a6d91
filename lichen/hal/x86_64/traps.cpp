// Segments, gates, and what comes through them.
#include <array>
#include <cstring>
#include <string_view>

#include "lichen/base/format.hpp"
#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/processor/redirect.hpp"
#include "lichen/hal/x86_64/instructions.hpp"
#include "lichen/hal/x86_64/machine.hpp"

namespace lichen::hal::detail {

namespace {

// Intel SDM volume 3, 6.14.1.
struct Gate {
  std::uint16_t offset_low;
  std::uint16_t selector;
  std::uint8_t stack;  // of the task state, from 1
  std::uint8_t type;
  std::uint16_t offset_middle;
  std::uint32_t offset_high;
  std::uint32_t reserved;
};
static_assert(sizeof(Gate) == 16);

// 7.7.
struct [[gnu::packed]] TaskState {
  std::uint32_t reserved0;
  std::uint64_t stacks[3];
  std::uint64_t reserved1;
  std::uint64_t interrupt_stacks[7];
  std::uint64_t reserved2;
  std::uint16_t reserved3;
  std::uint16_t io_map;
};
static_assert(sizeof(TaskState) == 104);

struct [[gnu::packed]] TablePointer {
  std::uint16_t limit;
  std::uint64_t base;
};

enum Stack : std::uint8_t { interrupt_stack = 1, fault_stack = 2, double_fault_stack = 3 };
constexpr std::size_t stack_count = 3;
constexpr std::size_t stack_size = std::size_t{8} * 1024;

// What each processor has of this, at the start of its area.
struct Segments {
  std::array<std::uint64_t, 4> descriptors;  // null, code, task state (two words)
  TaskState task;
  alignas(64) std::array<std::array<std::byte, stack_size>, stack_count> stacks;
};

constinit std::array<Gate, 256> gates{};

constexpr unsigned page_fault = 14;
constexpr unsigned double_fault = 8;
constexpr unsigned exceptions = 32;

// Intel SDM volume 3, table 6-1.
constexpr std::array<const char*, exceptions> exception_names{"division by zero",
                                                              "debug exception",
                                                              "non-maskable interrupt",
                                                              "breakpoint",
                                                              "overflow",
                                                              "bound exceeded",
                                                              "illegal instruction",
                                                              "no floating point",
                                                              "double fault",
                                                              "coprocessor overrun",
                                                              "invalid task state",
                                                              "segment not present",
                                                              "stack fault",
                                                              "general protection",
                                                              "page fault",
                                                              "reserved",
                                                              "floating-point error",
                                                              "misaligned access",
                                                              "machine check",
                                                              "vector floating-point error",
                                                              "virtualization exception",
                                                              "control protection",
                                                              "reserved",
                                                              "reserved",
                                                              "reserved",
                                                              "reserved",
                                                              "reserved",
                                                              "reserved",
                                                              "hypervisor injection",
                                                              "VMM communication",
                                                              "security exception",
                                                              "reserved"};

std::uint64_t fault_address() noexcept {
  std::uint64_t address;
  asm volatile("movq %%cr2, %0" : "=r"(address));
  return address;
}

const char* name_of(const TrapFrame& frame) noexcept {
  enum : std::uint64_t { present = 1, write = 2, fetch = 16 };
  if (frame.vector != page_fault) return exception_names[frame.vector];
  if (frame.error & fetch) return "an instruction is fetched where none may be";
  if (frame.error & write)
    return frame.error & present ? "a write where none is allowed" : "a write where no memory is";
  return frame.error & present ? "a read where none is allowed" : "a read where no memory is";
}

}  // namespace

extern "C" {
extern const char lichen_gates[];  // 16 bytes each
void lichen_load_segments(const TablePointer& descriptors, const TablePointer& gates) noexcept;

[[gnu::used]] void lichen_trap(TrapFrame& frame) noexcept {
  switch (frame.vector) {
    case vector_timer: acknowledge_interrupt(); return take_interrupt(Signal::timer, frame);
    case vector_preempt: acknowledge_interrupt(); return take_interrupt(Signal::preempt, frame);
    case vector_wake: acknowledge_interrupt(); return take_interrupt(Signal::wake, frame);
    case vector_flush: acknowledge_interrupt(); return answer_flush();
    case vector_spurious: return;
    default: break;
  }
  if (frame.vector - vector_first_device < interrupt_sources) {
    take_device_interrupt(static_cast<unsigned>(frame.vector - vector_first_device), frame);
    // Only now: a line that is raised by its level is low again.
    return acknowledge_interrupt();
  }
  if (frame.vector >= exceptions) return;  // nobody asked for it
  const bool at_memory = frame.vector == page_fault || frame.vector == double_fault;
  take_fault(name_of(frame), at_memory, at_memory ? fault_address() : 0, frame);
}
}

std::uintptr_t& stack_pointer_of(TrapFrame& frame) noexcept { return frame.rsp; }
std::uintptr_t& instruction_of(TrapFrame& frame) noexcept { return frame.rip; }

std::uintptr_t frame_pointer_of(const TrapFrame& frame) noexcept { return frame.rbp; }
std::uintptr_t call_record_at(std::uintptr_t frame_pointer) noexcept { return frame_pointer; }
std::uintptr_t return_address_of(const TrapFrame& frame) noexcept {
  const bool readable = frame.rsp % sizeof(std::uintptr_t) == 0 && is_readable(frame.rsp);
  return readable ? *reinterpret_cast<const std::uintptr_t*>(frame.rsp) : 0;
}
std::span<const std::uintptr_t> registers_of(const TrapFrame& frame) noexcept {
  return {&frame.r15, &frame.rax + 1};
}

void print_registers(const TrapFrame& f) noexcept {
  std::array<char, 480> room;
  write_console(base::format_to(room,
                                "  rax {:016x}  rbx {:016x}  rcx {:016x}  rdx {:016x}\n"
                                "  rsi {:016x}  rdi {:016x}  rbp {:016x}  rsp {:016x}\n"
                                "  r8  {:016x}  r9  {:016x}  r10 {:016x}  r11 {:016x}\n"
                                "  r12 {:016x}  r13 {:016x}  r14 {:016x}  r15 {:016x}\n",
                                f.rax, f.rbx, f.rcx, f.rdx, f.rsi, f.rdi, f.rbp, f.rsp, f.r8, f.r9,
                                f.r10, f.r11, f.r12, f.r13, f.r14, f.r15)
                    .text);
  write_console(base::format_to(room, "  rip {:016x}  flags {:08x}  vector {}  error {:#x}\n",
                                f.rip, f.rflags, f.vector, f.error)
                    .text);
}

Result<void> start_gates() noexcept {
  for (std::size_t i = 0; i < gates.size(); ++i) {
    constexpr std::uint8_t interrupt_gate = 0x8e;  // present, ring 0, interrupts off
    const auto at = reinterpret_cast<std::uintptr_t>(lichen_gates) + 16 * i;
    const bool fault = i < exceptions;
    gates[i] = {.offset_low = static_cast<std::uint16_t>(at),
                .selector = 8,
                .stack = i == double_fault ? double_fault_stack
                         : fault           ? fault_stack
                                           : interrupt_stack,
                .type = interrupt_gate,
                .offset_middle = static_cast<std::uint16_t>(at >> 16),
                .offset_high = static_cast<std::uint32_t>(at >> 32),
                .reserved = 0};
  }
  load_gates(0);
  return {};
}

void load_gates(CoreId core) noexcept {
  const std::span<std::byte> area = processor_area(core);
  static_assert(sizeof(Segments) <= granule_size / 2);
  auto& segments = *reinterpret_cast<Segments*>(area.data());
  for (std::size_t i = 0; i < stack_count; ++i)
    segments.task.interrupt_stacks[i] =
        reinterpret_cast<std::uintptr_t>(segments.stacks[i].data() + stack_size);
  segments.task.io_map = sizeof(TaskState);
  const auto task = reinterpret_cast<std::uintptr_t>(&segments.task);
  constexpr std::uint64_t code = 0x00af'9a00'0000'ffff;  // 64-bit, ring 0
  constexpr std::uint64_t available_task = 0x0000'8900'0000'0000;
  segments.descriptors = {0, code,
                          available_task | (sizeof(TaskState) - 1) | (task & 0xff'ffff) << 16 |
                              (task >> 24 & 0xff) << 56,
                          task >> 32};
  lichen_load_segments(
      {.limit = sizeof(segments.descriptors) - 1,
       .base = reinterpret_cast<std::uintptr_t>(segments.descriptors.data())},
      {.limit = sizeof(gates) - 1, .base = reinterpret_cast<std::uintptr_t>(gates.data())});
}

// Thread pointer: the end of the thread's variables (System V ABI, TLS variant II), which holds its
// own address and, at 0x28, what the stack protector compares.
std::uintptr_t lay_thread_control(std::byte* variables, std::size_t size) noexcept {
  auto* const control = reinterpret_cast<std::uintptr_t*>(variables + size);
  constexpr std::size_t canary = 0x28 / sizeof(std::uintptr_t);
  control[0] = reinterpret_cast<std::uintptr_t>(control);
  asm volatile("movq %%fs:0x28, %0" : "=r"(control[canary]));
  return reinterpret_cast<std::uintptr_t>(control);
}

void use_thread(std::uintptr_t thread_pointer) noexcept {
  constexpr std::uint32_t fs_base = 0xc000'0100;
  write_msr(fs_base, thread_pointer);
}

Result<void> start_thread() noexcept {
  use_thread(TRY(make_thread(0)));
  return {};
}

// Whatever vector registers there are (Intel SDM volume 1, chapter 13).
void enable_vectors() noexcept {
  constexpr std::uint32_t has_xsave = 1U << 26;
  if ((cpuid(1).c & has_xsave) == 0) return;
  std::uint64_t cr4;
  asm volatile("movq %%cr4, %0" : "=r"(cr4));
  asm volatile("movq %0, %%cr4" : : "r"(cr4 | 1 << 18));
  constexpr std::uint32_t wanted = 0xe7;  // x87, SSE, AVX, AVX-512
  const std::uint32_t there = cpuid(13).a & wanted;
  // AVX-512 goes as a whole, and with AVX.
  const std::uint32_t enable = (there & 0xe4) == 0xe4 ? there : there & 0x07;
  asm volatile("xsetbv" : : "c"(0), "a"(enable), "d"(0));
}

Result<void> start_vectors() noexcept {
  enable_vectors();
  find_vector_state();
  return {};
}

void mask_interrupts() noexcept { asm volatile("cli" : : : "memory"); }
void unmask_interrupts() noexcept { asm volatile("sti" : : : "memory"); }
// The instruction after sti is still not interrupted.
void unmask_and_sleep() noexcept { asm volatile("sti\n\thlt" : : : "memory"); }

unsigned largest_page_level() noexcept {
  constexpr std::uint32_t gigabyte_pages = 1U << 26;
  static const unsigned level = (cpuid(0x8000'0001).d & gigabyte_pages) != 0 ? 2 : 1;
  return level;
}

void use_page_tables(Physical root) noexcept { write_cr3(root); }
void flush_translations() noexcept { write_cr3(read_cr3()); }

bool keeps_what_was_used() noexcept {
  constexpr std::uint32_t hypervisor = 1U << 31;
  if ((cpuid(1).c & hypervisor) == 0) return false;
  Cpuid leaf;
  __cpuid(0x4000'0000, leaf.a, leaf.b, leaf.c, leaf.d);
  constexpr std::string_view name = "TCGTCGTCGTCG";
  const std::array<std::uint32_t, 3> said{leaf.b, leaf.c, leaf.d};
  return std::memcmp(said.data(), name.data(), name.size()) == 0;
}

}  // namespace lichen::hal::detail

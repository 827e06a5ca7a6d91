// The host's record of an interrupted flow.
#include "lichen/hal/processor/redirect.hpp"

#include <ucontext.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "lichen/hal/linux/local.hpp"
#include "lichen/hal/linux/unwind.hpp"

// Where a flow makes a call of the host's that it is to do something after: its stack is that of a
// redirected flow already, so nothing of its own comes in between.
asm(R"(
.text
.globl lichen_call_host
.hidden lichen_call_host
.type lichen_call_host, @function
.p2align 4
lichen_call_host:
  .cfi_startproc
  .cfi_signal_frame
  .cfi_def_cfa %rsp, 144
  .cfi_offset %rip, -136
  syscall
  jmp lichen_redirected
  .cfi_endproc
.size lichen_call_host, .-lichen_call_host
)");
extern "C" void lichen_call_host() noexcept;

namespace lichen::hal::detail {

[[gnu::used]] void lichen_run_redirected(void (*entry)() noexcept) noexcept {
  const int error = errno;
  entry();
  errno = error;
}

namespace {

[[gnu::constructor]] void begin() noexcept { find_vector_state(); }

std::uintptr_t reg(void* record, int index) noexcept {
  return static_cast<std::uintptr_t>(static_cast<ucontext_t*>(record)->uc_mcontext.gregs[index]);
}

void set_reg(void* record, int index, std::uintptr_t value) noexcept {
  static_cast<ucontext_t*>(record)->uc_mcontext.gregs[index] = static_cast<greg_t>(value);
}

constexpr std::uintptr_t system_call_size = 2;  // bytes of the instruction

}  // namespace

std::uintptr_t address_of_interrupted(void* record) noexcept { return reg(record, REG_RIP); }
std::uintptr_t stack_pointer_of_interrupted(void* record) noexcept { return reg(record, REG_RSP); }

Registers registers_of(void* record) noexcept {
  constexpr std::array<int, register_count> in_dwarf_order{
      REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
      REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  Registers registers{};
  for (std::size_t i = 0; i < register_count; ++i) registers[i] = reg(record, in_dwarf_order[i]);
  return registers;
}

void redirect_interrupted(void* record, void (*entry)() noexcept) noexcept {
  std::uintptr_t stack_pointer = reg(record, REG_RSP);
  std::uintptr_t instruction = reg(record, REG_RIP);
  redirect(stack_pointer, instruction, entry);
  set_reg(record, REG_RSP, stack_pointer);
  set_reg(record, REG_RIP, instruction);
}

void redirect_around_call(void* record, void (*before)() noexcept,
                          void (*after)() noexcept) noexcept {
  const auto there = reinterpret_cast<std::uintptr_t>(&lichen_call_host);
  if (reg(record, REG_RIP) != there) {
    set_reg(record, REG_RIP, reg(record, REG_RIP) + system_call_size);
    redirect_interrupted(record, after);
    set_reg(record, REG_RIP, there);
  }
  redirect_interrupted(record, before);
}

void undo_redirection(Registers& registers) noexcept {
  if (registers[instruction_register] != reinterpret_cast<std::uintptr_t>(&lichen_call_host))
    return;
  constexpr std::uintptr_t frame = 144;
  std::uintptr_t& stack_pointer = registers[stack_pointer_register];
  registers[instruction_register] =
      reinterpret_cast<const std::uintptr_t*>(stack_pointer)[1] - system_call_size;
  stack_pointer += frame;
}

}  // namespace lichen::hal::detail

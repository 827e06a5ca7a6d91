// The host's record of an interrupted flow.
#include "lichen/hal/processor/redirect.hpp"

#include <ucontext.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "lichen/hal/linux/local.hpp"
#include "lichen/hal/linux/unwind.hpp"

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

}  // namespace

std::uintptr_t address_of_interrupted(void* record) noexcept { return reg(record, REG_RIP); }

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
  auto& registers = static_cast<ucontext_t*>(record)->uc_mcontext.gregs;
  registers[REG_RSP] = static_cast<greg_t>(stack_pointer);
  registers[REG_RIP] = static_cast<greg_t>(instruction);
}

}  // namespace lichen::hal::detail

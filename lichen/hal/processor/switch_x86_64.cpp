#include <cstdint>

#include "lichen/base/bits.hpp"
#include "lichen/hal/processor/switch.hpp"

// void lichen_switch(void** save, void* load): what the System V x86-64 ABI (section 3.2.1) has a
// callee preserve goes onto the old stack and comes from the new one: rbx, rbp, r12 to r15, the
// control bits of mxcsr and of the x87. lichen_start is where a new stack begins: r12 holds the
// function, r13 its argument.
asm(R"(
.text
.globl lichen_switch
.hidden lichen_switch
.type lichen_switch, @function
.p2align 4
lichen_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
.size lichen_switch, .-lichen_switch

.globl lichen_start
.hidden lichen_start
.type lichen_start, @function
.p2align 4
lichen_start:
  .cfi_startproc
  .cfi_undefined %rip
  movq %r13, %rdi
  call *%r12
  ud2
  .cfi_endproc
.size lichen_start, .-lichen_start
)");

extern "C" void lichen_start() noexcept;

namespace lichen::hal::detail {

void* lay_first_frame(std::span<std::byte> stack, void (*function)(void*) noexcept,
                      void* argument) noexcept {
  const auto end = reinterpret_cast<std::uintptr_t>(stack.data() + stack.size());
  // Sixteen-aligned at the call in lichen_start, as the ABI wants.
  auto* frame = reinterpret_cast<std::uintptr_t*>(base::align_down(end, 16)) - 10;
  constexpr std::uint32_t mxcsr = 0x1f80;  // all exceptions masked, round to nearest
  constexpr std::uint32_t x87 = 0x037f;    // the same, extended precision
  frame[0] = std::uint64_t{x87} << 32 | mxcsr;
  frame[1] = frame[2] = 0;                                // r15, r14
  frame[3] = reinterpret_cast<std::uintptr_t>(argument);  // r13
  frame[4] = reinterpret_cast<std::uintptr_t>(function);  // r12
  frame[5] = frame[6] = 0;                                // rbx, rbp
  frame[7] = reinterpret_cast<std::uintptr_t>(&lichen_start);
  frame[8] = frame[9] = 0;
  return frame;
}

}  // namespace lichen::hal::detail

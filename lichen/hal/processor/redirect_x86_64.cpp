#include <cpuid.h>

#include <cstdint>

#include "lichen/hal/processor/redirect.hpp"

// lichen_redirected is where the flow goes on. Its stack holds, from the top: the function to call,
// the address it stood at, the 128 bytes of its red zone (System V x86-64 ABI, section 3.2.2).
// Everything the flow may have in use is saved: flags, general registers, and through XSAVE what
// is enabled (Intel SDM volume 1, chapter 13), or FXSAVE on processors without it. The
// unwind information is that of a signal frame.
asm(R"(
.text
.globl lichen_redirected
.hidden lichen_redirected
.type lichen_redirected, @function
.p2align 4
lichen_redirected:
  .cfi_startproc
  .cfi_signal_frame
  .cfi_def_cfa %rsp, 144
  .cfi_offset %rip, -136
  pushfq
  .cfi_adjust_cfa_offset 8
  pushq %rax
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rax, 0
  pushq %rcx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rcx, 0
  pushq %rdx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rdx, 0
  pushq %rbx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rbx, 0
  pushq %rbp
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rbp, 0
  pushq %rsi
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rsi, 0
  pushq %rdi
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rdi, 0
  pushq %r8
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r8, 0
  pushq %r9
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r9, 0
  pushq %r10
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r10, 0
  pushq %r11
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r11, 0
  pushq %r12
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r12, 0
  pushq %r13
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r13, 0
  pushq %r14
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r14, 0
  pushq %r15
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r15, 0
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  cld
  movq 128(%rsp), %rbx
  subq lichen_vector_state_size(%rip), %rsp
  andq $-64, %rsp
  cmpb $0, lichen_has_xsave(%rip)
  je 1f
  xorl %eax, %eax
  movq %rax, 512(%rsp)
  movq %rax, 520(%rsp)
  movq %rax, 528(%rsp)
  movq %rax, 536(%rsp)
  movq %rax, 544(%rsp)
  movq %rax, 552(%rsp)
  movq %rax, 560(%rsp)
  movq %rax, 568(%rsp)
  decl %eax
  movl %eax, %edx
  xsave64 (%rsp)
  movq %rbx, %rdi
  call lichen_run_redirected
  movl $-1, %eax
  movl %eax, %edx
  xrstor64 (%rsp)
  jmp 2f
1:
  fxsave64 (%rsp)
  movq %rbx, %rdi
  call lichen_run_redirected
  fxrstor64 (%rsp)
2:
  movq %rbp, %rsp
  .cfi_def_cfa_register %rsp
  popq %r15
  .cfi_adjust_cfa_offset -8
  popq %r14
  .cfi_adjust_cfa_offset -8
  popq %r13
  .cfi_adjust_cfa_offset -8
  popq %r12
  .cfi_adjust_cfa_offset -8
  popq %r11
  .cfi_adjust_cfa_offset -8
  popq %r10
  .cfi_adjust_cfa_offset -8
  popq %r9
  .cfi_adjust_cfa_offset -8
  popq %r8
  .cfi_adjust_cfa_offset -8
  popq %rdi
  .cfi_adjust_cfa_offset -8
  popq %rsi
  .cfi_adjust_cfa_offset -8
  popq %rbp
  .cfi_adjust_cfa_offset -8
  popq %rbx
  .cfi_adjust_cfa_offset -8
  popq %rdx
  .cfi_adjust_cfa_offset -8
  popq %rcx
  .cfi_adjust_cfa_offset -8
  popq %rax
  .cfi_adjust_cfa_offset -8
  popfq
  .cfi_adjust_cfa_offset -8
  leaq 8(%rsp), %rsp
  .cfi_adjust_cfa_offset -8
  ret $128
  .cfi_endproc
.size lichen_redirected, .-lichen_redirected
)");

extern "C" {
// Read by the code above.
[[gnu::used, gnu::visibility("hidden")]] constinit std::uint64_t lichen_vector_state_size = 512;
[[gnu::used, gnu::visibility("hidden")]] constinit bool lichen_has_xsave = false;
}

namespace lichen::hal::detail {

// Intel SDM volume 2, CPUID: leaf 1, ECX bit 27 (OSXSAVE); leaf 13, EBX: bytes that XSAVE of all
// that is enabled takes.
void find_vector_state() noexcept {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & bit_OSXSAVE) == 0) return;
  if (!__get_cpuid_count(13, 0, &a, &b, &c, &d) || b < 576) return;
  lichen_vector_state_size = b;
  lichen_has_xsave = true;
}

void redirect(std::uintptr_t& stack_pointer, std::uintptr_t& instruction,
              void (*entry)() noexcept) noexcept {
  constexpr std::uintptr_t red_zone = 128;
  auto* stack = reinterpret_cast<std::uintptr_t*>(stack_pointer - red_zone);
  *--stack = instruction;
  *--stack = reinterpret_cast<std::uintptr_t>(entry);
  stack_pointer = reinterpret_cast<std::uintptr_t>(stack);
  instruction = reinterpret_cast<std::uintptr_t>(&lichen_redirected);
}

}  // namespace lichen::hal::detail

// The gates of the interrupt descriptor table. All go through stacks of their own (IST), so that
// the red zone of the interrupted flow stays what it was. The frame they lay down is
// lichen::hal::detail::TrapFrame.

.text
.balign 16
.globl lichen_gates
lichen_gates:
vector = 0
.rept 256
.balign 16
  // These push an error code of their own (Intel SDM volume 3, 6.13).
  .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
  pushq $0
  .endif
  pushq $vector
  jmp lichen_gate
  vector = vector + 1
.endr

.type lichen_gate, @function
lichen_gate:
  .cfi_startproc
  .cfi_signal_frame
  .cfi_def_cfa %rsp, 24
  .cfi_offset %rip, -8
  pushq %rax
  pushq %rcx
  pushq %rdx
  pushq %rbx
  pushq %rbp
  pushq %rsi
  pushq %rdi
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  cld
  movq %rsp, %rbp
  // What handlers may use of the vector state; wider registers they leave alone.
  subq $512, %rsp
  andq $-16, %rsp
  fxsave64 (%rsp)
  movq %rbp, %rdi
  call lichen_trap
  fxrstor64 (%rsp)
  movq %rbp, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rdi
  popq %rsi
  popq %rbp
  popq %rbx
  popq %rdx
  popq %rcx
  popq %rax
  addq $16, %rsp
  iretq
  .cfi_endproc
.size lichen_gate, .-lichen_gate

// void lichen_load_segments(const Pointer& gdt, const Pointer& idt): the code segment is 8, the
// task register 16.
.globl lichen_load_segments
.type lichen_load_segments, @function
lichen_load_segments:
  lgdt (%rdi)
  lidt (%rsi)
  movl $16, %eax
  ltr %ax
  popq %rdi
  pushq $8
  pushq %rdi
  lretq
.size lichen_load_segments, .-lichen_load_segments

.section .note.GNU-stack, "", @progbits

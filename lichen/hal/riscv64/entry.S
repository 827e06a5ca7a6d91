// Where the machine begins: supervisor mode without address translation, as SBI firmware leaves it
// (a0: the hart's id, a1: the device tree). Turns translation on, with the GiB that the image is in
// mapped where it lies and at image_base, and calls lichen_boot().

#define LOAD_BASE 0x80000000
#define IMAGE_OFFSET 0xffffffff00000000   // image_base - LOAD_BASE
#define PAGE_ALL 0xcf                     // valid, read, write, execute, accessed, dirty
#define SATP_SV39 (8 << 60)
#define SSTATUS_FS_INITIAL (1 << 13)

.macro translate root
  srli t0, \root, 12
  li t1, SATP_SV39
  or t0, t0, t1
  sfence.vma
  csrw satp, t0
  sfence.vma
.endm

.section .text.boot, "ax"
.globl lichen_entry
.type lichen_entry, @function
lichen_entry:
  csrw sie, zero
  csrci sstatus, 2
  // OpenSBI before 1.3 may send a hart that is being started here: it says so to the hart before it
  // has said where to begin.
  la t0, lichen_begun
  li t1, 1
  amoswap.w.aqrl t1, t1, (t0)
  bnez t1, lichen_processor_start
  la t2, lichen_early_root
  li t0, ((LOAD_BASE >> 12) << 10) | PAGE_ALL
  sd t0, 16(t2)                 // entry 2: where it lies
  li t1, 510 * 8                // entry 510: image_base
  add t1, t1, t2
  sd t0, (t1)
  translate t2
  la t0, 1f
  li t1, IMAGE_OFFSET
  add t0, t0, t1
  jr t0
1:
  // Until there is something better a trap stands still, here where it can be seen.
  la t0, early_trap
  csrw stvec, t0
  li t0, SSTATUS_FS_INITIAL
  csrs sstatus, t0
  // What the stack protector compares; no string runs over its first byte.
  rdtime t0
  la t1, lichen_entered         // when the machine began
  sd t0, (t1)
  li t1, 0x9e3779b97f4a7c15
  mul t0, t0, t1
  andi t0, t0, -256
  la t1, __stack_chk_guard
  sd t0, (t1)
  la tp, lichen_early_thread
  la sp, early_stack_end
  li fp, 0
  call lichen_boot
  unimp
.balign 4
early_trap:
  wfi
  j early_trap

// Another hart, started by the firmware: a1 is the physical address of lichen_next.
.globl lichen_processor_start
.type lichen_processor_start, @function
lichen_processor_start:
  csrw sie, zero
  csrci sstatus, 2
  la t2, lichen_early_root
  translate t2
  la t0, 1f
  li t1, IMAGE_OFFSET
  add t0, t0, t1
  jr t0
1:
  li t0, SSTATUS_FS_INITIAL
  csrs sstatus, t0
  la t3, lichen_next
  ld t2, 0(t3)
  translate t2
  ld tp, 8(t3)
  ld sp, 16(t3)
  ld a0, 24(t3)
  li fp, 0
  call lichen_run_processor
  unimp

.bss
.balign 4
lichen_begun:                   // whether a hart was here already
  .skip 4
.balign 4096
.globl lichen_early_root
lichen_early_root:
  .skip 4096
early_stack:
  .skip 16384
early_stack_end:
.globl lichen_early_thread
lichen_early_thread:
  .skip 1024                    // what a thread has of its own lies above its pointer

.balign 8
.globl lichen_entered
lichen_entered:
  .skip 8

.section .note.GNU-stack, "", @progbits

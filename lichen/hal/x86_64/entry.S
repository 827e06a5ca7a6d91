// Where the machine begins: 32-bit protected mode without paging, as the PVH boot protocol (Xen
// docs/misc/pvh.pandoc: ebx holds the address of hvm_start_info) and Multiboot2 (section 3.3: eax
// holds a magic number, ebx the address of the information) leave it. Ends in 64-bit mode, with the
// first GiB of memory mapped where it lies and at image_base, and calls lichen_boot().

#define IMAGE_BASE 0xffffffff80000000
#define PHYSICAL(symbol) (symbol - IMAGE_BASE)
#define PRESENT_WRITE 0x3
#define PRESENT_WRITE_LARGE 0x83

#define CR0 0x80010023          // paging, write protection, native FPU errors, monitor FPU, protection
#define CR4 0x6a0               // SSE and its exceptions, global pages, PAE
#define EFER 0xc0000080
#define EFER_NX_LONG 0x900      // no-execute pages, long mode
#define FS_BASE 0xc0000100
#define FIRMWARE_ROOM 0x48000

// ELF notes: name "Xen", type XEN_ELFNOTE_PHYS32_ENTRY.
.section .note.pvh, "a", @note
.balign 4
.long 4, 8, 18
.asciz "Xen"
.balign 4
.quad PHYSICAL(lichen_pvh_entry)

// Multiboot2, section 3.1: the header, with the entry address and the wish that modules begin at
// whole pages.
.section .multiboot2, "a"
.balign 8
multiboot2_header:
.long 0xe85250d6, 0, multiboot2_end - multiboot2_header
.long -(0xe85250d6 + (multiboot2_end - multiboot2_header))
.short 3, 0                     // entry address
.long 12
.long PHYSICAL(lichen_multiboot2_entry)
.balign 8
.short 6, 0                     // module alignment
.long 8
.balign 8
.short 0, 0
.long 8
multiboot2_end:

.section .text.boot, "ax"
.code32
.globl lichen_pvh_entry
.type lichen_pvh_entry, @function
lichen_pvh_entry:
  cli
  cld
  // Firmware in too little memory writes over the end of the image, which is there already: then
  // only code, which comes first, can be trusted. Of the memory map (hvm_start_info from version 1
  // on, 24 bytes a range) one range has to hold all of us, and behind that what SeaBIOS has used
  // and calls free again (256 KiB and a little).
  cmpl $0, 4(%ebx)
  je 4f
  movl 40(%ebx), %esi
  movl 48(%ebx), %ecx
  jecxz 2f
1:
  cmpl $1, 16(%esi)             // usable
  jne 3f
  cmpl $0, 4(%esi)
  jne 3f
  cmpl $PHYSICAL(__executable_start), (%esi)
  ja 3f
  movl (%esi), %eax
  addl 8(%esi), %eax
  jc 4f                         // it ends beyond 4 GiB
  cmpl $0, 12(%esi)
  jne 4f
  cmpl $PHYSICAL(lichen_image_end) + FIRMWARE_ROOM, %eax
  jae 4f
3:
  addl $24, %esi
  loop 1b
2:
  movl $PHYSICAL(too_little_memory), %esi
  movl $too_little_memory_end - too_little_memory, %ecx
1:
  movl $0x10000, %edi           // so often COM1 is asked whether it takes another one
  movw $0x3fd, %dx
2:
  inb %dx, %al
  testb $0x20, %al
  jnz 3f
  decl %edi
  jnz 2b
3:
  movw $0x3f8, %dx
  outsb
  loop 1b
  movl $99, %eax                // as after a crash
  movw $0xf4, %dx
  outl %eax, %dx
2:
  hlt
  jmp 2b
too_little_memory:
  .ascii "lichen: the image does not fit into the memory of this machine, which needs more\r\n"
too_little_memory_end:
4:
  xorl %eax, %eax
.globl lichen_multiboot2_entry
.type lichen_multiboot2_entry, @function
lichen_multiboot2_entry:
  cli
  cld
  movl %eax, %ebp               // who started us
  movl %ebx, %esi               // what it tells us

  // Three tables: both halves of the address space lead to the same GiB in pages of 2 MiB.
  movl $PHYSICAL(early_directory), %eax
  orl $PRESENT_WRITE, %eax
  movl %eax, PHYSICAL(early_pointers)
  movl %eax, PHYSICAL(early_pointers) + 510 * 8
  movl $PHYSICAL(early_pointers), %eax
  orl $PRESENT_WRITE, %eax
  movl %eax, PHYSICAL(lichen_early_root)
  movl %eax, PHYSICAL(lichen_early_root) + 511 * 8
  movl $PHYSICAL(early_directory), %edi
  movl $PRESENT_WRITE_LARGE, %eax
  movl $512, %ecx
1:
  movl %eax, (%edi)
  addl $0x200000, %eax
  addl $8, %edi
  loop 1b

  movl $CR4, %eax
  movl %eax, %cr4
  movl $PHYSICAL(lichen_early_root), %eax
  movl %eax, %cr3
  movl $EFER, %ecx
  rdmsr
  orl $EFER_NX_LONG, %eax
  wrmsr
  movl $CR0, %eax
  movl %eax, %cr0
  lgdtl PHYSICAL(early_gdt_pointer)
  ljmpl $8, $PHYSICAL(1f)

.code64
1:
  movabsq $1f, %rax
  jmpq *%rax
1:
  xorl %eax, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs
  // A thread pointer, with what the stack protector compares.
  rdtsc
  shlq $32, %rdx
  orq %rdx, %rax
  movq %rax, lichen_entered     // when the machine began
  movabsq $0x9e3779b97f4a7c15, %rcx
  imulq %rcx, %rax
  movb $0, %al                  // so that no string runs over it
  movq %rax, lichen_early_thread + 0x28
  movq $lichen_early_thread, %rax
  movq %rax, lichen_early_thread
  movq %rax, %rdx
  shrq $32, %rdx
  movl $FS_BASE, %ecx
  wrmsr
  movq $early_stack_end, %rsp
  movl %ebp, %edi
  movl %esi, %esi
  xorl %ebp, %ebp
  call lichen_boot
  ud2

// Where another processor begins: real mode, at the start of a page below 1 MiB to which this is
// copied. lichen_next_* say where it goes on.
#define HERE(symbol) (0x8000 + symbol - lichen_trampoline)
.section .rodata.trampoline, "a"
.balign 16
.code16
.globl lichen_trampoline
lichen_trampoline:
  cli
  cld
  xorw %ax, %ax
  movw %ax, %ds
  lgdtl HERE(trampoline_gdt_pointer)
  movl $CR4, %eax
  movl %eax, %cr4
  movl $PHYSICAL(lichen_early_root), %eax
  movl %eax, %cr3
  movl $EFER, %ecx
  rdmsr
  orl $EFER_NX_LONG, %eax
  wrmsr
  movl $CR0, %eax
  movl %eax, %cr0
  ljmpl $8, $HERE(1f)
.code64
1:
  movabsq $lichen_processor_entry, %rax
  jmpq *%rax
.balign 8
trampoline_gdt_pointer:
  .short 15
  .long HERE(2f)
.balign 8
2:
  .quad 0
  .quad 0x00af9a000000ffff
.globl lichen_trampoline_end
lichen_trampoline_end:

.text
.type lichen_processor_entry, @function
lichen_processor_entry:
  xorl %eax, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs
  movq lichen_next_root(%rip), %rax
  movq %rax, %cr3
  movq lichen_next_thread(%rip), %rax
  movq %rax, %rdx
  shrq $32, %rdx
  movl $FS_BASE, %ecx
  wrmsr
  movq lichen_next_stack(%rip), %rsp
  movl lichen_next_core(%rip), %edi
  xorl %ebp, %ebp
  call lichen_run_processor
  ud2

.section .rodata.early, "a"
.balign 8
early_gdt:
  .quad 0
  .quad 0x00af9a000000ffff      // 64-bit code
early_gdt_pointer:
  .short 15
  .quad PHYSICAL(early_gdt)

.bss
.balign 4096
.globl lichen_early_root
lichen_early_root:
  .skip 4096
early_pointers:
  .skip 4096
early_directory:
  .skip 4096
early_stack:
  .skip 16384
early_stack_end:
  .skip 1024                    // what a thread has of its own lies below its pointer
.globl lichen_early_thread
lichen_early_thread:
  .skip 64
.globl lichen_entered
lichen_entered:
  .skip 8

.section .note.GNU-stack, "", @progbits

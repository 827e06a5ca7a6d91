// Where all traps arrive. They go to stacks of their own: sscratch holds the end of the one that
// the next trap uses. Its last word says which one a trap in the middle of that one is to use. The
// frame is lichen::hal::detail::TrapFrame.

#define FRAME 448
#define X(n) (8 * (n))          // x0's place holds the instruction's address
#define F(n) (256 + 8 * (n))
#define FCSR F(20)
#define SSTATUS F(21)

.text
.balign 4
.globl lichen_trap_entry
.type lichen_trap_entry, @function
lichen_trap_entry:
  csrrw sp, sscratch, sp
  addi sp, sp, -FRAME
  sd t0, X(5)(sp)
  ld t0, FRAME - 8(sp)
  csrrw t0, sscratch, t0
  sd t0, X(2)(sp)
  sd x1, X(1)(sp)
  sd x3, X(3)(sp)
  sd x4, X(4)(sp)
  sd x6, X(6)(sp)
  sd x7, X(7)(sp)
  sd x8, X(8)(sp)
  sd x9, X(9)(sp)
  sd x10, X(10)(sp)
  sd x11, X(11)(sp)
  sd x12, X(12)(sp)
  sd x13, X(13)(sp)
  sd x14, X(14)(sp)
  sd x15, X(15)(sp)
  sd x16, X(16)(sp)
  sd x17, X(17)(sp)
  sd x18, X(18)(sp)
  sd x19, X(19)(sp)
  sd x20, X(20)(sp)
  sd x21, X(21)(sp)
  sd x22, X(22)(sp)
  sd x23, X(23)(sp)
  sd x24, X(24)(sp)
  sd x25, X(25)(sp)
  sd x26, X(26)(sp)
  sd x27, X(27)(sp)
  sd x28, X(28)(sp)
  sd x29, X(29)(sp)
  sd x30, X(30)(sp)
  sd x31, X(31)(sp)
  csrr t0, sepc
  sd t0, X(0)(sp)
  csrr t0, sstatus
  sd t0, SSTATUS(sp)
  // What handlers need not preserve.
  fsd f0, F(0)(sp)
  fsd f1, F(1)(sp)
  fsd f2, F(2)(sp)
  fsd f3, F(3)(sp)
  fsd f4, F(4)(sp)
  fsd f5, F(5)(sp)
  fsd f6, F(6)(sp)
  fsd f7, F(7)(sp)
  fsd f10, F(8)(sp)
  fsd f11, F(9)(sp)
  fsd f12, F(10)(sp)
  fsd f13, F(11)(sp)
  fsd f14, F(12)(sp)
  fsd f15, F(13)(sp)
  fsd f16, F(14)(sp)
  fsd f17, F(15)(sp)
  fsd f28, F(16)(sp)
  fsd f29, F(17)(sp)
  fsd f30, F(18)(sp)
  fsd f31, F(19)(sp)
  frcsr t0
  sd t0, FCSR(sp)
  mv a0, sp
  csrr a1, scause
  csrr a2, stval
  li fp, 0
  call lichen_trap
  ld t0, FCSR(sp)
  fscsr t0
  fld f0, F(0)(sp)
  fld f1, F(1)(sp)
  fld f2, F(2)(sp)
  fld f3, F(3)(sp)
  fld f4, F(4)(sp)
  fld f5, F(5)(sp)
  fld f6, F(6)(sp)
  fld f7, F(7)(sp)
  fld f10, F(8)(sp)
  fld f11, F(9)(sp)
  fld f12, F(10)(sp)
  fld f13, F(11)(sp)
  fld f14, F(12)(sp)
  fld f15, F(13)(sp)
  fld f16, F(14)(sp)
  fld f17, F(15)(sp)
  fld f28, F(16)(sp)
  fld f29, F(17)(sp)
  fld f30, F(18)(sp)
  fld f31, F(19)(sp)
  ld t0, SSTATUS(sp)
  csrw sstatus, t0
  ld t0, X(0)(sp)
  csrw sepc, t0
  addi t0, sp, FRAME
  csrw sscratch, t0
  ld x1, X(1)(sp)
  ld x3, X(3)(sp)
  ld x4, X(4)(sp)
  ld x5, X(5)(sp)
  ld x6, X(6)(sp)
  ld x7, X(7)(sp)
  ld x8, X(8)(sp)
  ld x9, X(9)(sp)
  ld x10, X(10)(sp)
  ld x11, X(11)(sp)
  ld x12, X(12)(sp)
  ld x13, X(13)(sp)
  ld x14, X(14)(sp)
  ld x15, X(15)(sp)
  ld x16, X(16)(sp)
  ld x17, X(17)(sp)
  ld x18, X(18)(sp)
  ld x19, X(19)(sp)
  ld x20, X(20)(sp)
  ld x21, X(21)(sp)
  ld x22, X(22)(sp)
  ld x23, X(23)(sp)
  ld x24, X(24)(sp)
  ld x25, X(25)(sp)
  ld x26, X(26)(sp)
  ld x27, X(27)(sp)
  ld x28, X(28)(sp)
  ld x29, X(29)(sp)
  ld x30, X(30)(sp)
  ld x31, X(31)(sp)
  ld sp, X(2)(sp)
  sret
.size lichen_trap_entry, .-lichen_trap_entry

.section .note.GNU-stack, "", @progbits

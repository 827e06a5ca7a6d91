#include <cstdint>

#include "lichen/hal/processor/redirect.hpp"

// lichen_redirected is where the flow goes on, in supervisor mode. Its stack holds the function to
// call and the address it stood at. Everything the flow may have in use is saved but the thread
// pointer, which is the core's. No register is left over to jump back with: it returns as from a
// trap, with interrupts on.
asm(R"(
.text
.globl lichen_redirected
.hidden lichen_redirected
.type lichen_redirected, @function
.p2align 2
lichen_redirected:
  addi sp, sp, -512
  sd x1, 0(sp)
  sd x3, 16(sp)
  sd x5, 32(sp)
  sd x6, 40(sp)
  sd x7, 48(sp)
  sd x8, 56(sp)
  sd x9, 64(sp)
  sd x10, 72(sp)
  sd x11, 80(sp)
  sd x12, 88(sp)
  sd x13, 96(sp)
  sd x14, 104(sp)
  sd x15, 112(sp)
  sd x16, 120(sp)
  sd x17, 128(sp)
  sd x18, 136(sp)
  sd x19, 144(sp)
  sd x20, 152(sp)
  sd x21, 160(sp)
  sd x22, 168(sp)
  sd x23, 176(sp)
  sd x24, 184(sp)
  sd x25, 192(sp)
  sd x26, 200(sp)
  sd x27, 208(sp)
  sd x28, 216(sp)
  sd x29, 224(sp)
  sd x30, 232(sp)
  sd x31, 240(sp)
  fsd f0, 248(sp)
  fsd f1, 256(sp)
  fsd f2, 264(sp)
  fsd f3, 272(sp)
  fsd f4, 280(sp)
  fsd f5, 288(sp)
  fsd f6, 296(sp)
  fsd f7, 304(sp)
  fsd f8, 312(sp)
  fsd f9, 320(sp)
  fsd f10, 328(sp)
  fsd f11, 336(sp)
  fsd f12, 344(sp)
  fsd f13, 352(sp)
  fsd f14, 360(sp)
  fsd f15, 368(sp)
  fsd f16, 376(sp)
  fsd f17, 384(sp)
  fsd f18, 392(sp)
  fsd f19, 400(sp)
  fsd f20, 408(sp)
  fsd f21, 416(sp)
  fsd f22, 424(sp)
  fsd f23, 432(sp)
  fsd f24, 440(sp)
  fsd f25, 448(sp)
  fsd f26, 456(sp)
  fsd f27, 464(sp)
  fsd f28, 472(sp)
  fsd f29, 480(sp)
  fsd f30, 488(sp)
  fsd f31, 496(sp)
  frcsr t0
  sd t0, 504(sp)
  ld a0, 512(sp)
  call lichen_run_redirected
  ld t0, 504(sp)
  fscsr t0
  fld f0, 248(sp)
  fld f1, 256(sp)
  fld f2, 264(sp)
  fld f3, 272(sp)
  fld f4, 280(sp)
  fld f5, 288(sp)
  fld f6, 296(sp)
  fld f7, 304(sp)
  fld f8, 312(sp)
  fld f9, 320(sp)
  fld f10, 328(sp)
  fld f11, 336(sp)
  fld f12, 344(sp)
  fld f13, 352(sp)
  fld f14, 360(sp)
  fld f15, 368(sp)
  fld f16, 376(sp)
  fld f17, 384(sp)
  fld f18, 392(sp)
  fld f19, 400(sp)
  fld f20, 408(sp)
  fld f21, 416(sp)
  fld f22, 424(sp)
  fld f23, 432(sp)
  fld f24, 440(sp)
  fld f25, 448(sp)
  fld f26, 456(sp)
  fld f27, 464(sp)
  fld f28, 472(sp)
  fld f29, 480(sp)
  fld f30, 488(sp)
  fld f31, 496(sp)
  csrci sstatus, 2
  ld t0, 520(sp)
  csrw sepc, t0
  li t0, 0x120
  csrs sstatus, t0
  ld x1, 0(sp)
  ld x3, 16(sp)
  ld x5, 32(sp)
  ld x6, 40(sp)
  ld x7, 48(sp)
  ld x8, 56(sp)
  ld x9, 64(sp)
  ld x10, 72(sp)
  ld x11, 80(sp)
  ld x12, 88(sp)
  ld x13, 96(sp)
  ld x14, 104(sp)
  ld x15, 112(sp)
  ld x16, 120(sp)
  ld x17, 128(sp)
  ld x18, 136(sp)
  ld x19, 144(sp)
  ld x20, 152(sp)
  ld x21, 160(sp)
  ld x22, 168(sp)
  ld x23, 176(sp)
  ld x24, 184(sp)
  ld x25, 192(sp)
  ld x26, 200(sp)
  ld x27, 208(sp)
  ld x28, 216(sp)
  ld x29, 224(sp)
  ld x30, 232(sp)
  ld x31, 240(sp)
  addi sp, sp, 528
  sret
.size lichen_redirected, .-lichen_redirected
)");

namespace lichen::hal::detail {

// There is none but the floating-point registers.
void find_vector_state() noexcept {}

void redirect(std::uintptr_t& stack_pointer, std::uintptr_t& instruction,
              void (*entry)() noexcept) noexcept {
  auto* stack = reinterpret_cast<std::uintptr_t*>(stack_pointer);
  *--stack = instruction;
  *--stack = reinterpret_cast<std::uintptr_t>(entry);
  stack_pointer = reinterpret_cast<std::uintptr_t>(stack);
  instruction = reinterpret_cast<std::uintptr_t>(&lichen_redirected);
}

}  // namespace lichen::hal::detail

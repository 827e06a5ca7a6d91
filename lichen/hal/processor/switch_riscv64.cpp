#include <cstdint>

#include "lichen/base/bits.hpp"
#include "lichen/hal/processor/switch.hpp"

// void lichen_switch(void** save, void* load): what the RISC-V psABI (integer and floating-point
// calling convention) has a callee preserve goes onto the old stack and comes from the new one: ra,
// s0 to s11, fs0 to fs11. lichen_start is where a new stack begins: s0 holds the function, s1 its
// argument.
asm(R"(
.text
.globl lichen_switch
.hidden lichen_switch
.type lichen_switch, @function
.p2align 2
lichen_switch:
  addi sp, sp, -208
  sd ra, 0(sp)
  sd s0, 8(sp)
  sd s1, 16(sp)
  sd s2, 24(sp)
  sd s3, 32(sp)
  sd s4, 40(sp)
  sd s5, 48(sp)
  sd s6, 56(sp)
  sd s7, 64(sp)
  sd s8, 72(sp)
  sd s9, 80(sp)
  sd s10, 88(sp)
  sd s11, 96(sp)
  fsd fs0, 104(sp)
  fsd fs1, 112(sp)
  fsd fs2, 120(sp)
  fsd fs3, 128(sp)
  fsd fs4, 136(sp)
  fsd fs5, 144(sp)
  fsd fs6, 152(sp)
  fsd fs7, 160(sp)
  fsd fs8, 168(sp)
  fsd fs9, 176(sp)
  fsd fs10, 184(sp)
  fsd fs11, 192(sp)
  sd sp, 0(a0)
  mv sp, a1
  ld ra, 0(sp)
  ld s0, 8(sp)
  ld s1, 16(sp)
  ld s2, 24(sp)
  ld s3, 32(sp)
  ld s4, 40(sp)
  ld s5, 48(sp)
  ld s6, 56(sp)
  ld s7, 64(sp)
  ld s8, 72(sp)
  ld s9, 80(sp)
  ld s10, 88(sp)
  ld s11, 96(sp)
  fld fs0, 104(sp)
  fld fs1, 112(sp)
  fld fs2, 120(sp)
  fld fs3, 128(sp)
  fld fs4, 136(sp)
  fld fs5, 144(sp)
  fld fs6, 152(sp)
  fld fs7, 160(sp)
  fld fs8, 168(sp)
  fld fs9, 176(sp)
  fld fs10, 184(sp)
  fld fs11, 192(sp)
  addi sp, sp, 208
  ret
.size lichen_switch, .-lichen_switch

.globl lichen_start
.hidden lichen_start
.type lichen_start, @function
.p2align 2
lichen_start:
  mv t0, s0
  mv a0, s1
  li s0, 0
  jalr t0
  unimp
.size lichen_start, .-lichen_start
)");

extern "C" void lichen_start() noexcept;

namespace lichen::hal::detail {

void* lay_first_frame(std::span<std::byte> stack, void (*function)(void*) noexcept,
                      void* argument) noexcept {
  constexpr std::size_t words = 26;
  const auto end = reinterpret_cast<std::uintptr_t>(stack.data() + stack.size());
  auto* frame = reinterpret_cast<std::uintptr_t*>(base::align_down(end, 16)) - words;
  for (std::size_t i = 0; i < words; ++i) frame[i] = 0;
  frame[0] = reinterpret_cast<std::uintptr_t>(&lichen_start);  // ra
  frame[1] = reinterpret_cast<std::uintptr_t>(function);       // s0
  frame[2] = reinterpret_cast<std::uintptr_t>(argument);       // s1
  return frame;
}

}  // namespace lichen::hal::detail

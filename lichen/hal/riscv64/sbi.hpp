// Calls of the firmware (RISC-V Supervisor Binary Interface 1.0). Private to this folder.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"

namespace lichen::hal::detail {

enum SbiExtension : std::uintptr_t {
  sbi_old_putchar = 0x01,
  sbi_time = 0x5449'4d45,
  sbi_interrupt = 0x73'5049,
  sbi_fence = 0x5246'4e43,
  sbi_harts = 0x48'534d,
  sbi_reset = 0x5352'5354,
};

struct SbiAnswer {
  std::intptr_t error;
  std::intptr_t value;
};

inline SbiAnswer sbi_call(std::uintptr_t extension, std::uintptr_t function, std::uintptr_t a = 0,
                          std::uintptr_t b = 0, std::uintptr_t c = 0,
                          std::uintptr_t d = 0) noexcept {
  register std::uintptr_t a0 asm("a0") = a;
  register std::uintptr_t a1 asm("a1") = b;
  register std::uintptr_t a2 asm("a2") = c;
  register std::uintptr_t a3 asm("a3") = d;
  register std::uintptr_t a6 asm("a6") = function;
  register std::uintptr_t a7 asm("a7") = extension;
  asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a6), "r"(a7) : "memory");
  return {static_cast<std::intptr_t>(a0), static_cast<std::intptr_t>(a1)};
}

}  // namespace lichen::hal::detail

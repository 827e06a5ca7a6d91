// Instructions that C++ has no words for.
#pragma once

#include <cpuid.h>

#include <cstdint>

namespace lichen::hal::detail {

inline void out8(std::uint16_t port, std::uint8_t value) noexcept {
  asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
inline void out16(std::uint16_t port, std::uint16_t value) noexcept {
  asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
inline void out32(std::uint16_t port, std::uint32_t value) noexcept {
  asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
inline std::uint32_t in32(std::uint16_t port) noexcept {
  std::uint32_t value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
inline std::uint8_t in8(std::uint16_t port) noexcept {
  std::uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

inline std::uint64_t read_msr(std::uint32_t number) noexcept {
  std::uint32_t low;
  std::uint32_t high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return std::uint64_t{high} << 32 | low;
}
inline void write_msr(std::uint32_t number, std::uint64_t value) noexcept {
  asm volatile("wrmsr"
               :
               : "c"(number), "a"(static_cast<std::uint32_t>(value)),
                 "d"(static_cast<std::uint32_t>(value >> 32))
               : "memory");
}

// Not before what comes before it in the program.
inline std::uint64_t read_tsc() noexcept {
  std::uint32_t low;
  std::uint32_t high;
  asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
  return std::uint64_t{high} << 32 | low;
}

inline std::uint64_t read_cr3() noexcept {
  std::uint64_t value;
  asm volatile("movq %%cr3, %0" : "=r"(value));
  return value;
}
inline void write_cr3(std::uint64_t value) noexcept {
  asm volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

struct Cpuid {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  std::uint32_t d = 0;
};
// Zeros for a leaf that there is not.
inline Cpuid cpuid(std::uint32_t leaf, std::uint32_t part = 0) noexcept {
  Cpuid result;
  (void)__get_cpuid_count(leaf, part, &result.a, &result.b, &result.c, &result.d);
  return result;
}

}  // namespace lichen::hal::detail

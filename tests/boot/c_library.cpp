// What the unit tests want of a C library beyond what a machine has (lichen/hal/bare).
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>

#include "lichen/hal/hal.hpp"

extern "C" {

void* malloc(std::size_t size) noexcept { return operator new(size, std::nothrow); }
void free(void* block) noexcept { operator delete(block); }

// For messages before the end: the format alone.
FILE* stderr = nullptr;
int fprintf(FILE*, const char* format, ...) {
  lichen::hal::write_console(format);
  return 0;
}

int clock_gettime(clockid_t, timespec* now) noexcept {
  constexpr std::uint64_t second = 1'000'000'000;
  const std::uint64_t ns = lichen::hal::now_ns();
  now->tv_sec = static_cast<time_t>(ns / second);
  now->tv_nsec = static_cast<long>(ns % second);
  return 0;
}
}

// What the unit tests want of a C library beyond what a machine has (lichen/hal/bare).
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

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
}

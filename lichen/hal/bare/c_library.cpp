// What compilers, and libstdc++'s headers, take for granted of a C library. Compiled without
// built-ins, so that these loops do not become calls of themselves.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lichen/base/format.hpp"
#include "lichen/hal/hal.hpp"

namespace {

// Sixteen bytes at any address, with whatever the processor has for that.
struct [[gnu::packed, gnu::may_alias]] Chunk {
  std::uint64_t low;
  std::uint64_t high;
};

Chunk& chunk_at(unsigned char* at) noexcept { return *reinterpret_cast<Chunk*>(at); }
const Chunk& chunk_at(const unsigned char* at) noexcept {
  return *reinterpret_cast<const Chunk*>(at);
}

}  // namespace

extern "C" {

void* memcpy(void* __restrict to, const void* __restrict from, std::size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  if (size < sizeof(Chunk)) {
    for (std::size_t i = 0; i < size; ++i) out[i] = in[i];
    return to;
  }
  // The last chunk overlaps the one before it.
  const Chunk last = chunk_at(in + size - sizeof(Chunk));
  for (std::size_t i = 0; i + sizeof(Chunk) < size; i += sizeof(Chunk))
    chunk_at(out + i) = chunk_at(in + i);
  chunk_at(out + size - sizeof(Chunk)) = last;
  return to;
}

void* memmove(void* to, const void* from, std::size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  if (out <= in || out >= in + size) {
    std::size_t i = 0;
    for (; i + sizeof(Chunk) <= size; i += sizeof(Chunk)) {
      const Chunk chunk = chunk_at(in + i);
      chunk_at(out + i) = chunk;
    }
    for (; i < size; ++i) out[i] = in[i];
    return to;
  }
  for (; size >= sizeof(Chunk); size -= sizeof(Chunk)) {
    const Chunk chunk = chunk_at(in + size - sizeof(Chunk));
    chunk_at(out + size - sizeof(Chunk)) = chunk;
  }
  while (size-- > 0) out[size] = in[size];
  return to;
}

void* memset(void* to, int value, std::size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  const auto byte = static_cast<unsigned char>(value);
  if (size < sizeof(Chunk)) {
    for (std::size_t i = 0; i < size; ++i) out[i] = byte;
    return to;
  }
  const std::uint64_t word = std::uint64_t{byte} * 0x0101'0101'0101'0101;
  for (std::size_t i = 0; i + sizeof(Chunk) < size; i += sizeof(Chunk))
    chunk_at(out + i) = {word, word};
  chunk_at(out + size - sizeof(Chunk)) = {word, word};
  return to;
}

int memcmp(const void* left, const void* right, std::size_t size) noexcept {
  const auto* a = static_cast<const unsigned char*>(left);
  const auto* b = static_cast<const unsigned char*>(right);
  for (std::size_t i = 0; i < size; ++i)
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  return 0;
}

int bcmp(const void* left, const void* right, std::size_t size) noexcept {
  return memcmp(left, right, size);
}

// The headers declare it twice, as C++ does.
void* find_byte(const void* in, int value, std::size_t size) noexcept asm("memchr");
void* find_byte(const void* in, int value, std::size_t size) noexcept {
  const auto* at = static_cast<const unsigned char*>(in);
  for (std::size_t i = 0; i < size; ++i)
    if (at[i] == static_cast<unsigned char>(value)) return const_cast<unsigned char*>(at + i);
  return nullptr;
}

// As above.
char* find_last(const char* in, int value) noexcept asm("strrchr");
char* find_last(const char* in, int value) noexcept {
  const char* last = nullptr;
  for (;; ++in) {
    if (*in == static_cast<char>(value)) last = in;
    if (*in == '\0') return const_cast<char*>(last);
  }
}

std::size_t strlen(const char* text) noexcept {
  std::size_t size = 0;
  while (text[size] != '\0') ++size;
  return size;
}

int strcmp(const char* left, const char* right) noexcept {
  while (*left != '\0' && *left == *right) ++left, ++right;
  return static_cast<unsigned char>(*left) - static_cast<unsigned char>(*right);
}

char* strncpy(char* __restrict to, const char* __restrict from, std::size_t size) noexcept {
  std::size_t i = 0;
  for (; i < size && from[i] != '\0'; ++i) to[i] = from[i];
  for (; i < size; ++i) to[i] = '\0';
  return to;
}

[[gnu::noreturn]] void abort() noexcept { lichen::hal::panic("abort()"); }

[[gnu::noreturn]] void __assert_fail(const char* what, const char* file, unsigned line,
                                     const char*) noexcept {
  char room[256];
  lichen::hal::panic(lichen::base::format_to(room, "{}:{}: {} does not hold",
                                             std::string_view{file}, line, std::string_view{what})
                         .text);
}

// Numbers are rounded to nearest, here and everywhere.
int fegetround() noexcept { return 0; }
int fesetround(int mode) noexcept { return mode; }
}

// What compilers, and libstdc++'s headers, take for granted of a C library. Compiled without
// built-ins, so that these loops do not become calls of themselves.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lichen/base/format.hpp"
#include "lichen/hal/hal.hpp"

namespace {

// Eight bytes at a time, where the processor reads them at any address or both blocks are aligned
// alike.
#if defined(__x86_64__)
constexpr bool reads_words_anywhere = true;
using Word [[gnu::may_alias, gnu::aligned(1)]] = std::uint64_t;
#else
constexpr bool reads_words_anywhere = false;
using Word [[gnu::may_alias]] = std::uint64_t;
#endif

bool is_word_aligned(const unsigned char* at) noexcept {
  return reinterpret_cast<std::uintptr_t>(at) % sizeof(Word) == 0;
}
bool are_aligned_alike(const unsigned char* a, const unsigned char* b) noexcept {
  return reads_words_anywhere ||
         (reinterpret_cast<std::uintptr_t>(a) ^ reinterpret_cast<std::uintptr_t>(b)) %
                 sizeof(Word) ==
             0;
}

void copy_forwards(unsigned char* out, const unsigned char* in, std::size_t size) noexcept {
  if (are_aligned_alike(out, in)) {
    for (; size > 0 && !is_word_aligned(out); --size) *out++ = *in++;
    for (; size >= sizeof(Word); size -= sizeof(Word)) {
      *reinterpret_cast<Word*>(out) = *reinterpret_cast<const Word*>(in);
      out += sizeof(Word);
      in += sizeof(Word);
    }
  }
  for (; size > 0; --size) *out++ = *in++;
}

void copy_backwards(unsigned char* out, const unsigned char* in, std::size_t size) noexcept {
  if (are_aligned_alike(out, in)) {
    for (; size > 0 && !is_word_aligned(out + size); --size) out[size - 1] = in[size - 1];
    for (; size >= sizeof(Word); size -= sizeof(Word))
      *reinterpret_cast<Word*>(out + size - sizeof(Word)) =
          *reinterpret_cast<const Word*>(in + size - sizeof(Word));
  }
  for (; size > 0; --size) out[size - 1] = in[size - 1];
}

}  // namespace

extern "C" {

void* memcpy(void* __restrict to, const void* __restrict from, std::size_t size) noexcept {
  copy_forwards(static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), size);
  return to;
}

void* memmove(void* to, const void* from, std::size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  if (out <= in || out >= in + size)
    copy_forwards(out, in, size);
  else
    copy_backwards(out, in, size);
  return to;
}

void* memset(void* to, int value, std::size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  const auto byte = static_cast<unsigned char>(value);
  const std::uint64_t word = std::uint64_t{byte} * 0x0101'0101'0101'0101;
  for (; size > 0 && !is_word_aligned(out); --size) *out++ = byte;
  for (; size >= sizeof(Word); size -= sizeof(Word), out += sizeof(Word))
    *reinterpret_cast<Word*>(out) = word;
  for (; size > 0; --size) *out++ = byte;
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

// For the growth of hash tables. From 2^52 on there are whole numbers only.
double floor(double value) noexcept {
  constexpr double all_whole = 4'503'599'627'370'496;
  if (!(value > -all_whole && value < all_whole)) return value;
  const auto whole = static_cast<double>(static_cast<std::int64_t>(value));
  return whole > value ? whole - 1 : whole;
}

// Numbers are rounded to nearest, here and everywhere.
int fegetround() noexcept { return 0; }
int fesetround(int mode) noexcept { return mode; }
}

// What compilers, and libstdc++'s headers, take for granted of a C library. Compiled without
// built-ins, so that these loops do not become calls of themselves.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lichen/base/format.hpp"
#include "lichen/hal/hal.hpp"

namespace {

using Byte = unsigned char;
using Word = std::uint64_t;
using Half = std::uint32_t;

// Whatever the bytes are otherwise.
template <class T>
struct [[gnu::may_alias, gnu::packed]] Unaligned {
  T value;
};
struct [[gnu::may_alias]] AlignedWord {
  Word value;
};

template <class T>
T load(const Byte* at) noexcept {
  return reinterpret_cast<const Unaligned<T>*>(at)->value;
}
template <class T>
void store(Byte* at, T value) noexcept {
  reinterpret_cast<Unaligned<T>*>(at)->value = value;
}

#if defined(__x86_64__)

// The processor reads and writes anything anywhere, so the end of a block is done as one piece that
// overlaps what comes before it. It is read first: blocks to be moved may overlap, too.
using Piece [[gnu::vector_size(16)]] = std::uint64_t;

template <class T>
void copy_both_ends(Byte* out, const Byte* in, std::size_t size) noexcept {
  const T first = load<T>(in);
  const T last = load<T>(in + size - sizeof(T));
  store<T>(out, first);
  store<T>(out + size - sizeof(T), last);
}

void copy_few(Byte* out, const Byte* in, std::size_t size) noexcept {
  if (size >= sizeof(Word)) return copy_both_ends<Word>(out, in, size);
  if (size >= sizeof(Half)) return copy_both_ends<Half>(out, in, size);
  if (size == 0) return;
  const Byte first = in[0];
  const Byte middle = in[size / 2];
  const Byte last = in[size - 1];
  out[0] = first;
  out[size / 2] = middle;
  out[size - 1] = last;
}

void copy_forwards(Byte* out, const Byte* in, std::size_t size) noexcept {
  if (size < sizeof(Piece)) return copy_few(out, in, size);
  const auto last = load<Piece>(in + size - sizeof(Piece));
  Byte* const end = out + size - sizeof(Piece);
  for (; size >= 4 * sizeof(Piece); size -= 4 * sizeof(Piece)) {
    const auto a = load<Piece>(in);
    const auto b = load<Piece>(in + 16);
    const auto c = load<Piece>(in + 32);
    const auto d = load<Piece>(in + 48);
    store<Piece>(out, a);
    store<Piece>(out + 16, b);
    store<Piece>(out + 32, c);
    store<Piece>(out + 48, d);
    in += 4 * sizeof(Piece);
    out += 4 * sizeof(Piece);
  }
  for (; size >= sizeof(Piece); size -= sizeof(Piece)) {
    store<Piece>(out, load<Piece>(in));
    in += sizeof(Piece);
    out += sizeof(Piece);
  }
  store<Piece>(end, last);
}

void copy_backwards(Byte* out, const Byte* in, std::size_t size) noexcept {
  if (size < sizeof(Piece)) return copy_few(out, in, size);
  const auto first = load<Piece>(in);
  for (; size >= sizeof(Piece); size -= sizeof(Piece))
    store<Piece>(out + size - sizeof(Piece), load<Piece>(in + size - sizeof(Piece)));
  store<Piece>(out, first);
}

void fill(Byte* out, Byte byte, std::size_t size) noexcept {
  const std::uint64_t word = std::uint64_t{byte} * 0x0101'0101'0101'0101;
  if (size < sizeof(Piece)) {
    if (size >= sizeof(Word)) {
      store<Word>(out, word);
      return store<Word>(out + size - sizeof(Word), word);
    }
    for (; size > 0; --size) *out++ = byte;
    return;
  }
  const Piece piece{word, word};
  store<Piece>(out + size - sizeof(Piece), piece);
  for (; size >= 4 * sizeof(Piece); size -= 4 * sizeof(Piece), out += 4 * sizeof(Piece)) {
    store<Piece>(out, piece);
    store<Piece>(out + 16, piece);
    store<Piece>(out + 32, piece);
    store<Piece>(out + 48, piece);
  }
  for (; size >= sizeof(Piece); size -= sizeof(Piece), out += sizeof(Piece))
    store<Piece>(out, piece);
}

// How many bytes at the start are the same, whole words only.
std::size_t same_words(const Byte* a, const Byte* b, std::size_t size) noexcept {
  std::size_t at = 0;
  while (size - at >= sizeof(Word) && load<Word>(a + at) == load<Word>(b + at)) at += sizeof(Word);
  return at;
}

#else

// Eight bytes at a time, where both blocks are aligned alike.
Word load_word(const Byte* at) noexcept { return reinterpret_cast<const AlignedWord*>(at)->value; }
void store_word(Byte* at, Word value) noexcept {
  reinterpret_cast<AlignedWord*>(at)->value = value;
}
bool is_word_aligned(const Byte* at) noexcept {
  return reinterpret_cast<std::uintptr_t>(at) % sizeof(Word) == 0;
}
bool are_aligned_alike(const Byte* a, const Byte* b) noexcept {
  return (reinterpret_cast<std::uintptr_t>(a) ^ reinterpret_cast<std::uintptr_t>(b)) %
             sizeof(Word) ==
         0;
}

void copy_forwards(Byte* out, const Byte* in, std::size_t size) noexcept {
  if (are_aligned_alike(out, in)) {
    for (; size > 0 && !is_word_aligned(out); --size) *out++ = *in++;
    for (; size >= 4 * sizeof(Word); size -= 4 * sizeof(Word)) {
      const auto a = load_word(in);
      const auto b = load_word(in + 8);
      const auto c = load_word(in + 16);
      const auto d = load_word(in + 24);
      store_word(out, a);
      store_word(out + 8, b);
      store_word(out + 16, c);
      store_word(out + 24, d);
      out += 4 * sizeof(Word);
      in += 4 * sizeof(Word);
    }
    for (; size >= sizeof(Word); size -= sizeof(Word)) {
      store_word(out, load_word(in));
      out += sizeof(Word);
      in += sizeof(Word);
    }
  }
  for (; size > 0; --size) *out++ = *in++;
}

void copy_backwards(Byte* out, const Byte* in, std::size_t size) noexcept {
  if (are_aligned_alike(out, in)) {
    for (; size > 0 && !is_word_aligned(out + size); --size) out[size - 1] = in[size - 1];
    for (; size >= sizeof(Word); size -= sizeof(Word))
      store_word(out + size - sizeof(Word), load_word(in + size - sizeof(Word)));
  }
  for (; size > 0; --size) out[size - 1] = in[size - 1];
}

void fill(Byte* out, Byte byte, std::size_t size) noexcept {
  const std::uint64_t word = std::uint64_t{byte} * 0x0101'0101'0101'0101;
  for (; size > 0 && !is_word_aligned(out); --size) *out++ = byte;
  for (; size >= 4 * sizeof(Word); size -= 4 * sizeof(Word), out += 4 * sizeof(Word)) {
    store_word(out, word);
    store_word(out + 8, word);
    store_word(out + 16, word);
    store_word(out + 24, word);
  }
  for (; size >= sizeof(Word); size -= sizeof(Word), out += sizeof(Word)) store_word(out, word);
  for (; size > 0; --size) *out++ = byte;
}

std::size_t same_words(const Byte*, const Byte*, std::size_t) noexcept { return 0; }

#endif

}  // namespace

extern "C" {

void* memcpy(void* __restrict to, const void* __restrict from, std::size_t size) noexcept {
  copy_forwards(static_cast<Byte*>(to), static_cast<const Byte*>(from), size);
  return to;
}

void* memmove(void* to, const void* from, std::size_t size) noexcept {
  auto* out = static_cast<Byte*>(to);
  const auto* in = static_cast<const Byte*>(from);
  if (out <= in || out >= in + size)
    copy_forwards(out, in, size);
  else
    copy_backwards(out, in, size);
  return to;
}

void* memset(void* to, int value, std::size_t size) noexcept {
  fill(static_cast<Byte*>(to), static_cast<Byte>(value), size);
  return to;
}

int memcmp(const void* left, const void* right, std::size_t size) noexcept {
  const auto* a = static_cast<const Byte*>(left);
  const auto* b = static_cast<const Byte*>(right);
  for (std::size_t i = same_words(a, b, size); i < size; ++i)
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

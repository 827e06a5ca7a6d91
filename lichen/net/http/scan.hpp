// Finds the octets that end an element of a message head, sixteen at a time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lichen::net::http {

// Looks for octets of a kind in a range that holds at least `block` bytes. Written with the
// compiler's vectors: two to six instructions a block on x86-64, scalar code where a processor has
// none.
class Scanner {
 public:
  static constexpr std::ptrdiff_t block = 16;

  // `end` - `begin` MUST be at least `block`.
  Scanner(const char* begin, const char* end) noexcept : begin_{begin}, end_{end} {}

  [[nodiscard]] const char* begin() const noexcept { return begin_; }
  [[nodiscard]] const char* end() const noexcept { return end_; }

  // The first octet at or after `p` that cannot be part of a field value: a control, but not a tab.
  [[nodiscard]] const char* find_value_end(const char* p) const noexcept {
    return find(p, [](Octets b) { return ((b < 0x20) & (b != '\t')) | (b == 0x7f); });
  }
  // The first that cannot be part of a request target: not visible ASCII, or the beginning of a
  // fragment, which is never sent (RFC 9112 3.2).
  [[nodiscard]] const char* find_target_end(const char* p) const noexcept {
    return find(p, [](Octets b) { return ((b - 0x21) > (0x7e - 0x21)) | (b == '#'); });
  }
  // The first that is no letter, digit, '-' or '_', of which most names of fields are made.
  [[nodiscard]] const char* find_name_end(const char* p) const noexcept {
    return find(p, [](Octets b) {
      return (((b | 0x20) - 'a') > 25) & ((b - '0') > 9) & (b != '-') & (b != '_');
    });
  }

 private:
  using Octets = unsigned char __attribute__((vector_size(block)));
  using Bits = bool __attribute__((ext_vector_type(block)));

  template <class Ends>
  [[gnu::always_inline]] const char* find(const char* p, Ends ends) const noexcept {
    while (end_ - p >= block) {
      if (const unsigned found = bits(p, ends)) return p + std::countr_zero(found);
      p += block;
    }
    if (p == end_) return p;
    // The last bytes are seen through the last whole block, without what comes before them.
    const char* last = end_ - block;
    const unsigned found = bits(last, ends) >> (p - last);
    return found ? p + std::countr_zero(found) : end_;
  }

  template <class Ends>
  [[gnu::always_inline]] static unsigned bits(const char* p, Ends ends) noexcept {
    Octets octets;
    std::memcpy(&octets, p, block);
    return std::bit_cast<std::uint16_t>(__builtin_convertvector(ends(octets), Bits));
  }

  const char* begin_;
  const char* end_;
};

}  // namespace lichen::net::http

#include "lichen/io/steering.hpp"

namespace lichen::io {

// Of what no table knows only, so it is made small, not fast.
[[clang::minsize]] std::uint32_t toeplitz_hash(
    const std::array<std::uint8_t, Steering::key_size>& key,
    std::span<const std::uint8_t> bytes) noexcept {
  std::uint32_t result = 0;
  std::uint64_t window = 0;  // of the key: 32 bits that count now, and those that come next
  for (std::size_t i = 0; i < 4; ++i) window = window << 8 | key[i];
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    window = window << 8 | key[(i + 4) % key.size()];
    for (unsigned bit = 8; bit-- > 0;)
      if ((bytes[i] >> bit & 1) != 0) result ^= static_cast<std::uint32_t>(window >> (bit + 1));
  }
  return result;
}

}  // namespace lichen::io

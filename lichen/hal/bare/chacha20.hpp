// The ChaCha20 block function (RFC 8439, 2.3): 64 bytes from a key and a number, which tell nobody
// who lacks the key anything of each other. Private to hal.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace lichen::hal::detail {

using ChachaKey = std::array<std::uint32_t, 8>;
using ChachaBlock = std::array<std::uint32_t, 16>;

constexpr ChachaBlock chacha20(const ChachaKey& key, std::uint32_t counter,
                               const std::array<std::uint32_t, 3>& nonce) noexcept {
  const ChachaBlock before{0x6170'7865, 0x3320'646e, 0x7962'2d32, 0x6b20'6574, key[0], key[1],
                           key[2],      key[3],      key[4],      key[5],      key[6], key[7],
                           counter,     nonce[0],    nonce[1],    nonce[2]};
  ChachaBlock x = before;
  const auto step = [&x](unsigned a, unsigned b, unsigned d, int turn) {
    x[a] += x[b];
    x[d] = std::rotl(x[d] ^ x[a], turn);
  };
  const auto quarter = [&step](unsigned a, unsigned b, unsigned c, unsigned d) {
    step(a, b, d, 16);
    step(c, d, b, 12);
    step(a, b, d, 8);
    step(c, d, b, 7);
  };
  for (int i = 0; i < 10; ++i) {
    for (unsigned column = 0; column < 4; ++column)
      quarter(column, 4 + column, 8 + column, 12 + column);
    for (unsigned column = 0; column < 4; ++column)
      quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4);
  }
  for (unsigned i = 0; i < x.size(); ++i) x[i] += before[i];
  return x;
}

}  // namespace lichen::hal::detail

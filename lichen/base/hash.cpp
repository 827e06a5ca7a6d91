#include "lichen/base/hash.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "lichen/base/bits.hpp"

namespace lichen::base {

namespace {

// Fewer than eight bytes as a number, the missing ones zero.
std::uint64_t load_tail(std::span<const std::byte> bytes) noexcept {
  std::array<std::byte, 8> whole{};
  std::ranges::copy(bytes, whole.begin());
  return load_little<std::uint64_t>(whole);
}

// Odd numbers without structure: the first digits of the fractions of pi.
constexpr std::uint64_t k0 = 0x243F6A8885A308D3;
constexpr std::uint64_t k1 = 0x13198A2E03707345;
constexpr std::uint64_t k2 = 0xA4093822299F31D1;

template <int rounds>
void sip_rounds(std::uint64_t (&v)[4]) noexcept {
  for (int round = 0; round < rounds; ++round) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = std::rotl(v[1], 13) ^ v[0];
    v[3] = std::rotl(v[3], 16) ^ v[2];
    v[0] = std::rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = std::rotl(v[1], 17) ^ v[2];
    v[3] = std::rotl(v[3], 21) ^ v[0];
    v[2] = std::rotl(v[2], 32);
  }
}

}  // namespace

std::uint64_t hash(std::span<const std::byte> bytes) noexcept {
  // Sixteen bytes a step; the length goes in, so that trailing zeros count.
  std::uint64_t state = k0 ^ bytes.size();
  while (bytes.size() > 16) {
    state = multiply_fold(load_little<std::uint64_t>(bytes) ^ k1,
                          load_little<std::uint64_t>(bytes.subspan(8)) ^ state);
    bytes = bytes.subspan(16);
  }
  // The last sixteen or fewer, as two words that overlap where there are not enough for both.
  std::uint64_t low = 0, high = 0;
  if (bytes.size() >= 8) {
    low = load_little<std::uint64_t>(bytes);
    high = load_little<std::uint64_t>(bytes.last(8));
  } else if (bytes.size() >= 4) {
    low = load_little<std::uint32_t>(bytes);
    high = load_little<std::uint32_t>(bytes.last(4));
  } else if (!bytes.empty()) {
    low = std::to_integer<std::uint64_t>(bytes.front()) << 8 |
          std::to_integer<std::uint64_t>(bytes.back());
    high = std::to_integer<std::uint64_t>(bytes[bytes.size() / 2]);
  }
  return multiply_fold(multiply_fold(low ^ k1, high ^ state), k2);
}

std::uint64_t keyed_hash(HashKey key, std::span<const std::byte> bytes) noexcept {
  std::uint64_t v[4] = {key.low ^ 0x736F6D6570736575, key.high ^ 0x646F72616E646F6D,
                        key.low ^ 0x6C7967656E657261, key.high ^ 0x7465646279746573};
  const auto absorb = [&](std::uint64_t word) {
    v[3] ^= word;
    sip_rounds<1>(v);
    v[0] ^= word;
  };
  const std::uint64_t length = bytes.size();
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) absorb(load_little<std::uint64_t>(bytes));
  absorb(load_tail(bytes) | length << 56);
  v[2] ^= 0xFF;
  sip_rounds<3>(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

}  // namespace lichen::base

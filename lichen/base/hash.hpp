// Two hashes. `hash` is fast and for keys that nobody chooses against us; `keyed_hash` is SipHash,
// for tables whose keys come from a peer, who without the key cannot make them collide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/span.hpp"

namespace lichen::base {

// The two halves of the 128-bit product, one onto the other: every bit of either factor reaches the
// middle bits of the product, and from there the result.
[[nodiscard]] constexpr std::uint64_t multiply_fold(std::uint64_t a, std::uint64_t b) noexcept {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// A one-to-one mixing of a number (the finish of splitmix64): each bit of it changes half of the
// result.
[[nodiscard]] constexpr std::uint64_t hash(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

// What it yields may change with the next version of Lichen: never to be stored or sent.
[[nodiscard]] std::uint64_t hash(std::span<const std::byte> bytes) noexcept;

[[nodiscard]] inline std::uint64_t hash(std::string_view text) noexcept {
  return hash(as_bytes(text));
}

// A secret, drawn once from the machine's source of randomness.
struct HashKey {
  std::uint64_t low;
  std::uint64_t high;
};

// SipHash-1-3 (Aumasson and Bernstein, 2012, with the rounds that Linux, Rust and Python use for
// tables): the same everywhere for the same key.
[[nodiscard]] std::uint64_t keyed_hash(HashKey key, std::span<const std::byte> bytes) noexcept;

[[nodiscard]] inline std::uint64_t keyed_hash(HashKey key, std::string_view text) noexcept {
  return keyed_hash(key, as_bytes(text));
}

}  // namespace lichen::base

// Powers of two, alignment, and numbers in a given byte order at any address.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lichen::base {

template <std::unsigned_integral T>
[[nodiscard]] constexpr bool is_power_of_two(T value) noexcept {
  return std::has_single_bit(value);
}

// The nearest multiple of `alignment`, a power of two, at or below the value.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T align_down(T value, std::type_identity_t<T> alignment) noexcept {
  assert(is_power_of_two(alignment));
  return value & ~(alignment - 1);
}

// The same at or above. A value in the topmost `alignment` - 1 wraps round to zero.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T align_up(T value, std::type_identity_t<T> alignment) noexcept {
  return align_down(static_cast<T>(value + (alignment - 1)), alignment);
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr bool is_aligned(T value, std::type_identity_t<T> alignment) noexcept {
  return align_down(value, alignment) == value;
}

[[nodiscard]] inline bool is_aligned(const void* pointer, std::uintptr_t alignment) noexcept {
  return is_aligned(reinterpret_cast<std::uintptr_t>(pointer), alignment);
}

// The exponent of the largest power of two at or below the value, which MUST NOT be zero.
template <std::unsigned_integral T>
[[nodiscard]] constexpr unsigned log2_floor(T value) noexcept {
  assert(value != 0);
  return static_cast<unsigned>(std::bit_width(value)) - 1;
}

// The exponent of the smallest power of two at or above the value, which MUST NOT be zero.
template <std::unsigned_integral T>
[[nodiscard]] constexpr unsigned log2_ceil(T value) noexcept {
  assert(value != 0);
  return static_cast<unsigned>(std::bit_width(static_cast<T>(value - 1)));
}

// How many pieces of `size` hold `value`: the quotient, rounded up. `size` MUST NOT be zero.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T divide_up(T value, std::type_identity_t<T> size) noexcept {
  return value / size + (value % size != 0);
}

template <std::integral T>
[[nodiscard]] constexpr T byte_swap(T value) noexcept {
  auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
  std::ranges::reverse(bytes);
  return std::bit_cast<T>(bytes);
}

// A number at the start of `bytes`, which MUST hold as many bytes as it has; the address need not
// be aligned.
template <std::integral T, std::endian order>
[[nodiscard]] constexpr T load(std::span<const std::byte> bytes) noexcept {
  assert(bytes.size() >= sizeof(T));
  std::array<std::byte, sizeof(T)> raw;
  std::copy_n(bytes.begin(), sizeof(T), raw.begin());
  const T value = std::bit_cast<T>(raw);
  return order == std::endian::native ? value : byte_swap(value);
}

template <std::endian order, std::integral T>
constexpr void store(std::span<std::byte> bytes, T value) noexcept {
  assert(bytes.size() >= sizeof(T));
  const auto raw = std::bit_cast<std::array<std::byte, sizeof(T)>>(
      order == std::endian::native ? value : byte_swap(value));
  std::copy_n(raw.begin(), sizeof(T), bytes.begin());
}

template <std::integral T>
[[nodiscard]] constexpr T load_little(std::span<const std::byte> bytes) noexcept {
  return load<T, std::endian::little>(bytes);
}

template <std::integral T>
[[nodiscard]] constexpr T load_big(std::span<const std::byte> bytes) noexcept {
  return load<T, std::endian::big>(bytes);
}

template <std::integral T>
constexpr void store_little(std::span<std::byte> bytes, T value) noexcept {
  store<std::endian::little>(bytes, value);
}

template <std::integral T>
constexpr void store_big(std::span<std::byte> bytes, T value) noexcept {
  store<std::endian::big>(bytes, value);
}

}  // namespace lichen::base

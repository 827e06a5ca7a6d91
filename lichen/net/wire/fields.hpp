// Fields of packets: for the parsers and writers of this folder.
#pragma once

#include <cstring>
#include <span>

#include "lichen/base/bits.hpp"

namespace lichen::net::wire {

// The bytes from `at`, which MUST hold the field.
inline std::uint8_t load8(std::span<const std::byte> bytes, std::size_t at) noexcept {
  return std::to_integer<std::uint8_t>(bytes[at]);
}
inline std::uint16_t load16(std::span<const std::byte> bytes, std::size_t at) noexcept {
  return base::load_big<std::uint16_t>(bytes.subspan(at, 2));
}
inline std::uint32_t load32(std::span<const std::byte> bytes, std::size_t at) noexcept {
  return base::load_big<std::uint32_t>(bytes.subspan(at, 4));
}
inline void store8(std::span<std::byte> bytes, std::size_t at, std::uint8_t value) noexcept {
  bytes[at] = std::byte{value};
}
inline void store16(std::span<std::byte> bytes, std::size_t at, std::uint16_t value) noexcept {
  base::store_big(bytes.subspan(at, 2), value);
}
inline void store32(std::span<std::byte> bytes, std::size_t at, std::uint32_t value) noexcept {
  base::store_big(bytes.subspan(at, 4), value);
}

// An address: a structure of nothing but octets.
template <class Address>
Address load_octets(std::span<const std::byte> bytes, std::size_t at) noexcept {
  Address address;
  const auto from = bytes.subspan(at, address.octets.size());
  std::memcpy(address.octets.data(), from.data(), from.size());
  return address;
}
template <class Address>
void store_octets(std::span<std::byte> bytes, std::size_t at, const Address& address) noexcept {
  const auto to = bytes.subspan(at, address.octets.size());
  std::memcpy(to.data(), address.octets.data(), to.size());
}

}  // namespace lichen::net::wire

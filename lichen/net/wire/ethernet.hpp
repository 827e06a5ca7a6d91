// Ethernet II frames, without the check sequence, which the device adds and removes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/drop.hpp"

namespace lichen::net::wire {

namespace ether_type {
inline constexpr std::uint16_t ipv4 = 0x0800;
inline constexpr std::uint16_t arp = 0x0806;
inline constexpr std::uint16_t ipv6 = 0x86dd;
}  // namespace ether_type

struct EthernetHeader {
  static constexpr std::size_t size = 14;

  MacAddress to;
  MacAddress from;
  std::uint16_t type = 0;
};

struct EthernetFrame : EthernetHeader {
  std::span<const std::byte> payload;  // with the padding of short frames, if any
};

// A frame with a length instead of a type (IEEE 802.3) is bad_value.
Parsed<EthernetFrame> parse_ethernet(std::span<const std::byte> bytes) noexcept;
std::size_t write(std::span<std::byte> out, const EthernetHeader& header) noexcept;

}  // namespace lichen::net::wire

// ARP for IPv4 over Ethernet (RFC 826).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/drop.hpp"

namespace lichen::net::wire {

enum class ArpOperation : std::uint16_t { request = 1, reply = 2 };

struct ArpPacket {
  static constexpr std::size_t size = 28;

  ArpOperation operation = ArpOperation::request;
  MacAddress sender_mac;
  Ipv4Address sender;
  MacAddress target_mac;
  Ipv4Address target;
};

// Other operations are bad_value, other media and protocols bad_version.
Parsed<ArpPacket> parse_arp(std::span<const std::byte> bytes) noexcept;
std::size_t write(std::span<std::byte> out, const ArpPacket& packet) noexcept;

}  // namespace lichen::net::wire

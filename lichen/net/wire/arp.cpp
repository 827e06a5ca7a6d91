#include "lichen/net/wire/arp.hpp"

#include "lichen/net/wire/ethernet.hpp"
#include "lichen/net/wire/fields.hpp"

namespace lichen::net::wire {

namespace {
constexpr std::uint16_t medium_ethernet = 1;
}  // namespace

Parsed<ArpPacket> parse_arp(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < ArpPacket::size) return std::unexpected{Drop::truncated};
  if (load16(bytes, 0) != medium_ethernet || load16(bytes, 2) != ether_type::ipv4 ||
      load8(bytes, 4) != 6 || load8(bytes, 5) != 4)
    return std::unexpected{Drop::bad_version};
  ArpPacket packet;
  const std::uint16_t operation = load16(bytes, 6);
  if (operation != 1 && operation != 2) return std::unexpected{Drop::bad_value};
  packet.operation = static_cast<ArpOperation>(operation);
  packet.sender_mac = load_octets<MacAddress>(bytes, 8);
  packet.sender = load_octets<Ipv4Address>(bytes, 14);
  packet.target_mac = load_octets<MacAddress>(bytes, 18);
  packet.target = load_octets<Ipv4Address>(bytes, 24);
  return packet;
}

std::size_t write(std::span<std::byte> out, const ArpPacket& packet) noexcept {
  store16(out, 0, medium_ethernet);
  store16(out, 2, ether_type::ipv4);
  store8(out, 4, 6);
  store8(out, 5, 4);
  store16(out, 6, static_cast<std::uint16_t>(packet.operation));
  store_octets(out, 8, packet.sender_mac);
  store_octets(out, 14, packet.sender);
  store_octets(out, 18, packet.target_mac);
  store_octets(out, 24, packet.target);
  return ArpPacket::size;
}

}  // namespace lichen::net::wire

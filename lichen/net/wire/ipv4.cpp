#include "lichen/net/wire/ipv4.hpp"

#include <cassert>

#include "lichen/net/wire/fields.hpp"

namespace lichen::net::wire {

namespace {
constexpr std::uint16_t flag_dont_fragment = 0x4000;
constexpr std::uint16_t flag_more_fragments = 0x2000;
constexpr std::size_t max_packet = 65'535;
}  // namespace

Parsed<Ipv4Packet> parse_ipv4(std::span<const std::byte> bytes, const Verify& verify) noexcept {
  if (bytes.size() < Ipv4Header::size) return std::unexpected{Drop::truncated};
  const std::uint8_t first = load8(bytes, 0);
  if (first >> 4 != 4) return std::unexpected{Drop::bad_version};
  const std::size_t header_size = std::size_t{first & 15u} * 4;
  if (header_size < Ipv4Header::size) return std::unexpected{Drop::bad_header_length};
  const std::size_t total = load16(bytes, 2);
  if (total < header_size) return std::unexpected{Drop::bad_length};
  if (total > bytes.size()) return std::unexpected{Drop::truncated};
  if (!verify.accepts(bytes.first(header_size))) return std::unexpected{Drop::bad_checksum};

  Ipv4Packet packet;
  packet.traffic_class = load8(bytes, 1);
  packet.id = load16(bytes, 4);
  const std::uint16_t fragment = load16(bytes, 6);
  packet.dont_fragment = (fragment & flag_dont_fragment) != 0;
  packet.more_fragments = (fragment & flag_more_fragments) != 0;
  packet.fragment_offset = static_cast<std::uint16_t>((fragment & 0x1fff) * 8);
  packet.ttl = load8(bytes, 8);
  packet.protocol = load8(bytes, 9);
  packet.from = load_octets<Ipv4Address>(bytes, 12);
  packet.to = load_octets<Ipv4Address>(bytes, 16);
  packet.header = bytes.first(header_size);
  packet.options = packet.header.subspan(Ipv4Header::size);
  packet.payload = bytes.first(total).subspan(header_size);
  if (packet.more_fragments && (packet.payload.empty() || packet.payload.size() % 8 != 0))
    return std::unexpected{Drop::bad_length};
  if (header_size + packet.fragment_offset + packet.payload.size() > max_packet)
    return std::unexpected{Drop::bad_length};
  return packet;
}

std::size_t write(std::span<std::byte> out, const Ipv4Header& header,
                  std::size_t payload_size) noexcept {
  assert(Ipv4Header::size + payload_size <= max_packet);
  assert(header.fragment_offset % 8 == 0);
  store8(out, 0, 0x45);
  store8(out, 1, header.traffic_class);
  store16(out, 2, static_cast<std::uint16_t>(Ipv4Header::size + payload_size));
  store16(out, 4, header.id);
  unsigned fragment = header.fragment_offset / 8;
  if (header.dont_fragment) fragment |= flag_dont_fragment;
  if (header.more_fragments) fragment |= flag_more_fragments;
  store16(out, 6, static_cast<std::uint16_t>(fragment));
  store8(out, 8, header.ttl);
  store8(out, 9, header.protocol);
  store16(out, 10, 0);
  store_octets(out, 12, header.from);
  store_octets(out, 16, header.to);
  Sum sum;
  sum.add(out.first(Ipv4Header::size));
  store16(out, 10, sum.checksum());
  return Ipv4Header::size;
}

}  // namespace lichen::net::wire

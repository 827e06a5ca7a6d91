#include "lichen/net/inet/classify.hpp"

#include "lichen/net/wire/fields.hpp"
#include "lichen/net/wire/wire.hpp"

namespace lichen::net::inet {

namespace {

using Bytes = std::span<const std::byte>;

Audience audience_of_ipv4(Bytes packet) noexcept {
  if (packet.size() < wire::Ipv4Header::size) return Audience::first;
  constexpr std::uint16_t fragment_bits = 0x3fff;  // more fragments, and the offset
  if ((wire::load16(packet, 6) & fragment_bits) != 0) return Audience::first;
  const std::uint8_t protocol = wire::load8(packet, 9);
  if (protocol == wire::protocol::tcp) return Audience::here;
  if (protocol == wire::protocol::udp) return Audience::ports;
  if (protocol != wire::protocol::icmp) return Audience::first;
  const std::size_t header = (wire::load8(packet, 0) & 0xfu) * 4;
  if (packet.size() <= header) return Audience::first;
  switch (wire::load8(packet, header)) {
    case wire::icmp::unreachable:
    case wire::icmp::time_exceeded:
    case wire::icmp::parameter_problem: return Audience::all;
    default: return Audience::first;
  }
}

Audience audience_of_ipv6(Bytes packet) noexcept {
  constexpr std::size_t header = 40;
  if (packet.size() <= header) return Audience::first;
  const std::uint8_t next = wire::load8(packet, 6);
  if (next == wire::protocol::tcp) return Audience::here;
  if (next == wire::protocol::udp) return Audience::ports;
  if (next != wire::protocol::icmpv6) return Audience::first;
  const std::uint8_t type = wire::load8(packet, header);
  return type == wire::icmpv6::echo_request || type == wire::icmpv6::echo_reply ? Audience::first
                                                                                : Audience::all;
}

}  // namespace

Audience audience_of(Bytes frame) noexcept {
  if (frame.size() < wire::EthernetHeader::size) return Audience::first;
  const Bytes packet = frame.subspan(wire::EthernetHeader::size);
  const auto of_one_machine = [&](Audience audience) {
    const bool to_group = (wire::load8(frame, 0) & 1) != 0;
    return audience == Audience::ports && to_group ? Audience::first : audience;
  };
  switch (wire::load16(frame, 12)) {
    case wire::ether_type::arp: return Audience::all;
    case wire::ether_type::ipv4: return of_one_machine(audience_of_ipv4(packet));
    case wire::ether_type::ipv6: return of_one_machine(audience_of_ipv6(packet));
    default: return Audience::first;
  }
}

std::optional<std::uint16_t> port_of(Bytes frame) noexcept {
  constexpr std::size_t at = wire::EthernetHeader::size;
  if (frame.size() < at + wire::Ipv4Header::size) return std::nullopt;
  const bool ipv4 = wire::load16(frame, 12) == wire::ether_type::ipv4;
  const std::size_t header = ipv4 ? (wire::load8(frame, at) & 0xfu) * 4 : 40;
  if (frame.size() < at + header + 4) return std::nullopt;
  return wire::load16(frame, at + header + 2);
}

}  // namespace lichen::net::inet

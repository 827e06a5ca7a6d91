// Frames and packets in: what is taken, and who gets it.
#include <algorithm>

#include "lichen/net/ip/stack.hpp"
#include "lichen/net/wire/fields.hpp"

namespace lichen::net::ip {

namespace {

// RFC 1122 section 3.2.1.3, RFC 6890: never the source of a packet on a wire.
bool is_martian_source(const wire::Ipv4Address& from) noexcept {
  return from.octets[0] == 0 || from.is_loopback() || from.octets[0] >= 224;
}

// Groups that do not leave a machine, and the reserved scope (RFC 4291 section 2.7).
bool is_confined_group(const wire::Ipv6Address& to) noexcept {
  return to.is_multicast() && (to.octets[1] & 0xf) <= 1;
}

std::size_t extension_size(std::uint8_t type, Bytes at) noexcept {
  if (type == wire::protocol::fragment) return wire::Ipv6Fragment::size;
  return (std::to_integer<std::size_t>(at[1]) + 1) * 8;
}

// Where the number of the upper protocol stands in a packet that parsed.
std::uint32_t next_header_place(Bytes packet, Bytes payload) noexcept {
  const auto end = static_cast<std::size_t>(payload.data() - packet.data());
  std::size_t place = 6;
  for (std::size_t at = wire::Ipv6Header::size; at < end;) {
    const auto type = std::to_integer<std::uint8_t>(packet[place]);
    place = at;
    at += extension_size(type, packet.subspan(at));
  }
  return static_cast<std::uint32_t>(place);
}

constexpr wire::IcmpHeader parameter_problem(std::uint8_t code, std::uint32_t pointer) noexcept {
  return {wire::icmpv6::parameter_problem, code, pointer};
}

}  // namespace

void Stack::receive(Interface& interface, io::Buffer frame, const FrameInfo& info,
                    std::uint64_t now) noexcept {
  now_ = now;
  Counters& counters = interface.counters;
  ++counters.frames_in;
  counters.bytes_in += frame.size();
  if (!interface.up) return counters.count(Drop::interface_down);
  const auto ethernet = wire::parse_ethernet(frame.bytes());
  if (!ethernet) return counters.count(ethernet.error());
  if (ethernet->from.is_group() || ethernet->from.is_zero())
    return counters.count(Drop::bad_station);
  const bool to_group = ethernet->to.is_group();
  if (!to_group && ethernet->to != interface.mac) return counters.count(Drop::other_station);
  frame.consume(wire::EthernetHeader::size);
  const Origin origin{to_group, info.checksum_done, &frame};
  switch (ethernet->type) {
    case wire::ether_type::arp: return receive_arp(interface, frame.bytes());
    case wire::ether_type::ipv4: return input_ipv4(interface, frame.bytes(), origin);
    case wire::ether_type::ipv6: return input_ipv6(interface, frame.bytes(), origin);
    default: return counters.count(Drop::unknown_type);
  }
}

void Stack::input_ipv4(Interface& interface, Bytes bytes, const Origin& origin) noexcept {
  Counters& counters = interface.counters;
  const auto packet = wire::parse_ipv4(
      bytes, interface.is_loopback() ? wire::Verify::done_by_device() : wire::Verify{});
  if (!packet) return counters.count(packet.error());
  bool to_group = false;
  if (!accepts_ipv4(interface, *packet, origin, to_group)) return;
  const wire::IpAddress to = packet->to;
  const Arrival arrival{.interface = interface,
                        .from = packet->from,
                        .to = to,
                        .protocol = packet->protocol,
                        .hop_limit = packet->ttl,
                        .traffic_class = packet->traffic_class,
                        .to_group = to_group,
                        .checksum_done = origin.checksum_done,
                        .packet = bytes.first(packet->header.size() + packet->payload.size()),
                        .payload = packet->payload,
                        .buffer = origin.buffer};
  if (!packet->options.empty() && !check_options(arrival, packet->options)) return;
  if (!packet->is_fragment()) return deliver(arrival);
  reassemble(arrival, {arrival.from, arrival.to, packet->id, packet->protocol, interface.index},
             {packet->fragment_offset, packet->more_fragments, packet->protocol, packet->ttl,
              packet->traffic_class, packet->payload});
}

// Whether it is ours, at whichever interface; link-local addresses are of one link.
bool Stack::is_own(Interface& interface, const wire::IpAddress& address) noexcept {
  return interface.find(address) != nullptr ||
         (!address.is_link_local() && owner_of(address) != nullptr);
}

bool Stack::accepts_ipv4(Interface& interface, const wire::Ipv4Packet& packet, const Origin& origin,
                         bool& to_group) noexcept {
  Counters& counters = interface.counters;
  const wire::IpAddress to = packet.to;
  if (interface.is_loopback()) {  // we sent it ourselves
    to_group = origin.to_group_mac || packet.to.is_multicast() || interface.is_broadcast(to);
    return true;
  }
  // 0.0.0.0 is seen on links, from clients that ask DHCP servers; which we are not.
  if (is_martian_source(packet.from) || interface.is_broadcast(packet.from)) {
    counters.count(Drop::martian_source);
    return false;
  }
  if (packet.to.octets[0] == 0 || packet.to.is_loopback() ||
      (packet.to.octets[0] >= 240 && !packet.to.is_broadcast())) {
    counters.count(Drop::martian_destination);
    return false;
  }
  if (is_own(interface, packet.from)) {
    counters.count(Drop::own_source);
    return false;
  }
  if (packet.to.is_multicast()) {
    to_group = true;
    if (interface.has_joined(to)) return true;
    counters.count(Drop::not_joined);
    return false;
  }
  if (interface.find_usable(to) != nullptr && !origin.to_group_mac) return true;
  to_group = interface.is_broadcast(to);
  if (to_group) return true;
  // RFC 1122 section 3.3.6: what came to all on the link is not for one machine.
  counters.count(interface.find_usable(to) != nullptr ? Drop::martian_destination : Drop::not_ours);
  return false;
}

// RFC 791 section 3.1. Nothing asked for by an option is done; those that steer packets are
// refused.
bool Stack::check_options(const Arrival& arrival, Bytes options) noexcept {
  constexpr std::uint8_t end = 0, no_operation = 1, loose_route = 131, strict_route = 137;
  for (std::size_t at = 0; at < options.size();) {
    const auto type = std::to_integer<std::uint8_t>(options[at]);
    if (type == end) break;
    if (type == no_operation) {
      ++at;
      continue;
    }
    const std::size_t left = options.size() - at;
    const std::size_t size = left >= 2 ? std::to_integer<std::size_t>(options[at + 1]) : 0;
    if (size < 2 || size > left) {
      arrival.interface.counters.count(wire::Drop::bad_option);
      const auto pointer = static_cast<std::uint32_t>(wire::Ipv4Header::size + at);
      send_error(arrival, {wire::icmp::parameter_problem, 0, pointer << 24});
      return false;
    }
    if (type == loose_route || type == strict_route) {
      arrival.interface.counters.count(Drop::source_route);
      return false;
    }
    at += size;
  }
  return true;
}

void Stack::input_ipv6(Interface& interface, Bytes bytes, const Origin& origin) noexcept {
  Counters& counters = interface.counters;
  wire::Ipv6Problem problem;
  auto packet = wire::parse_ipv6(bytes, &problem);
  if (!packet) {
    counters.count(packet.error());
    if (!problem.tell) return;
    // The header itself is sound, or there would be nothing to tell.
    const auto from = wire::load_octets<wire::Ipv6Address>(bytes, 8);
    const auto to = wire::load_octets<wire::Ipv6Address>(bytes, 24);
    wire::Ipv6Packet header;
    header.from = from;
    header.to = to;
    if (!accepts_ipv6(interface, header)) return;
    const Arrival arrival{.interface = interface,
                          .from = from,
                          .to = to,
                          .to_group = origin.to_group_mac || to.is_multicast(),
                          .packet = bytes,
                          .payload = {}};
    return send_error(arrival, parameter_problem(problem.code, problem.pointer),
                      problem.even_if_multicast);
  }
  if (!accepts_ipv6(interface, *packet)) return;
  const wire::IpAddress to = packet->to;
  const Bytes whole = bytes.first(static_cast<std::size_t>(packet->payload.data() - bytes.data()) +
                                  packet->payload.size());
  const Arrival arrival{.interface = interface,
                        .from = packet->from,
                        .to = to,
                        .protocol = packet->protocol,
                        .hop_limit = packet->hop_limit,
                        .traffic_class = packet->traffic_class,
                        .to_group = origin.to_group_mac || to.is_multicast(),
                        .checksum_done = origin.checksum_done,
                        .packet = whole,
                        .payload = packet->payload,
                        .buffer = origin.buffer};
  if (!packet->fragment) return deliver(arrival);
  if (packet->fragment->offset == 0) {
    // RFC 7112 section 5: the first piece has all headers, up to the transport's.
    const auto upper = wire::skip_extensions(packet->protocol, packet->payload);
    constexpr std::size_t least_upper = 8;
    if (!upper || (upper->payload.size() < least_upper && packet->fragment->more)) {
      counters.count(Drop::fragment_lies);
      constexpr std::uint8_t incomplete_chain = 3;
      return send_error(arrival, parameter_problem(incomplete_chain, 0));
    }
  }
  reassemble(arrival, {arrival.from, arrival.to, packet->fragment->id, 0, interface.index},
             {packet->fragment->offset, packet->fragment->more, packet->protocol, packet->hop_limit,
              packet->traffic_class, packet->payload});
}

bool Stack::accepts_ipv6(Interface& interface, const wire::Ipv6Packet& packet) noexcept {
  Counters& counters = interface.counters;
  if (interface.is_loopback()) return true;
  const wire::IpAddress to = packet.to;
  if (packet.from.is_loopback()) {
    counters.count(Drop::martian_source);
    return false;
  }
  if (packet.to.is_loopback() || packet.to.is_unspecified() || is_confined_group(packet.to)) {
    counters.count(Drop::martian_destination);
    return false;
  }
  if (packet.to.is_multicast()) {
    // Without a source address one may only ask whether an address is free, which goes to a group.
    // Our own such questions may come back: RFC 4862 appendix A.
    if (interface.has_joined(to)) return true;
    counters.count(Drop::not_joined);
    return false;
  }
  if (packet.from.is_unspecified()) {
    counters.count(Drop::martian_source);
    return false;
  }
  if (is_own(interface, packet.from)) {
    counters.count(Drop::own_source);
    return false;
  }
  if (interface.find_usable(to) != nullptr) return true;
  counters.count(Drop::not_ours);
  return false;
}

void Stack::reassemble(const Arrival& arrival, const DatagramKey& key,
                       const FragmentPiece& piece) noexcept {
  const auto datagram = reassembly_.add(key, piece, now_);
  if (!datagram) return;
  Arrival whole = arrival;
  whole.buffer = nullptr;
  whole.checksum_done = false;
  whole.hop_limit = datagram->ttl;
  whole.traffic_class = datagram->traffic_class;
  whole.protocol = datagram->protocol;
  whole.payload = datagram->bytes;
  Counters& counters = arrival.interface.counters;
  bool sound = true;
  std::size_t header_size = wire::Ipv4Header::size;
  if (key.from.is_ipv4()) {
    wire::Ipv4Header header;
    header.protocol = datagram->protocol;
    header.ttl = datagram->ttl;
    header.from = key.from.ipv4();
    header.to = key.to.ipv4();
    // Options of the first piece may have left less than 20 bytes for ours.
    sound = datagram->bytes.size() <= 65'535 - header_size;
    if (sound) wire::write(datagram->header.last(header_size), header, datagram->bytes.size());
  } else {
    header_size = wire::Ipv6Header::size;
    wire::write(datagram->header.last(header_size),
                wire::Ipv6Header{.next_header = datagram->protocol,
                                 .hop_limit = datagram->ttl,
                                 .from = key.from,
                                 .to = key.to},
                datagram->bytes.size());
    const auto upper = wire::skip_extensions(datagram->protocol, datagram->bytes);
    if (upper) {
      whole.protocol = upper->protocol;
      whole.payload = upper->payload;
    } else {
      counters.count(upper.error());
      sound = false;
    }
  }
  if (sound) {
    whole.packet = {datagram->bytes.data() - header_size, header_size + datagram->bytes.size()};
    ++counters.reassembled;
    deliver(whole);
  }
  reassembly_.release(*datagram);
}

void Stack::deliver(const Arrival& arrival) noexcept {
  const bool ipv4 = arrival.to.is_ipv4();
  if (ipv4 && arrival.protocol == wire::protocol::icmp) return receive_icmp(arrival);
  if (!ipv4 && arrival.protocol == wire::protocol::icmpv6) return receive_icmpv6(arrival);
  if (ipv4 && arrival.protocol == wire::protocol::igmp && !arrival.interface.is_loopback())
    return receive_igmp(arrival);
  if (!ipv4 && arrival.protocol == wire::protocol::none) return;  // nothing is meant to follow
  Transport* transport = transports_[arrival.protocol];
  Verdict verdict = Verdict::nobody;
  if (transport != nullptr) {
    narrow(arrival);
    verdict = transport->receive(arrival, now_);
    if (verdict == Verdict::taken) {
      ++arrival.interface.counters.delivered;
      return;
    }
  }
  arrival.interface.counters.count(transport != nullptr ? Drop::no_port : Drop::unknown_protocol);
  if (transport != nullptr)
    return send_error(
        arrival,
        ipv4 ? wire::IcmpHeader{wire::icmp::unreachable, wire::icmp::port_unreachable, 0}
             : wire::IcmpHeader{wire::icmpv6::unreachable, wire::icmpv6::port_unreachable, 0});
  if (ipv4)
    return send_error(arrival, {wire::icmp::unreachable, wire::icmp::protocol_unreachable, 0});
  send_error(arrival, parameter_problem(wire::icmpv6::unknown_next_header,
                                        next_header_place(arrival.packet, arrival.payload)));
}

// The buffer holds the payload and nothing else, so that it can be kept as it is.
void Stack::narrow(const Arrival& arrival) noexcept {
  if (arrival.buffer == nullptr) return;
  io::Buffer& buffer = *arrival.buffer;
  buffer.consume(static_cast<std::size_t>(arrival.payload.data() - buffer.bytes().data()));
  buffer.shorten(buffer.size() - arrival.payload.size());
}

void Stack::drain_loopback() noexcept {
  // Only what is there now: two sockets that answer each other must not keep us here.
  for (std::size_t left = loopback_ring_.count(); left > 0; --left) {
    const Bytes packet = loopback_ring_.front();
    Counters& counters = loopback().counters;
    ++counters.frames_in;
    counters.bytes_in += packet.size();
    const Origin origin{.checksum_done = true};
    if (std::to_integer<unsigned>(packet[0]) >> 4 == 4)
      input_ipv4(loopback(), packet, origin);
    else
      input_ipv6(loopback(), packet, origin);
    loopback_ring_.pop();
  }
}

}  // namespace lichen::net::ip

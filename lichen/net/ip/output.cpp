// Packets out: the way to a destination, pieces of what is too large, and frames.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "lichen/net/ip/stack.hpp"

namespace lichen::net::ip {

namespace {

constexpr std::size_t ethernet = wire::EthernetHeader::size;
constexpr std::uint64_t way_lifetime = second;

}  // namespace

Result<Way> Stack::way(const wire::IpAddress& to, const wire::IpAddress& from, Interface* interface,
                       std::uint64_t now) noexcept {
  now_ = now;
  KnownWay& known = known_ways_[(to.octets[15] ^ to.octets[14]) % known_ways_.size()];
  if (known.revision == ways_revision_ && now < known.until && interface == nullptr &&
      known.way.to == to && known.way.from == from)
    return known.way;
  Result<Way> found = find_way(to, from, interface);
  // What is chosen anew each time is not kept. A path's MTU ends by itself.
  if (found && interface == nullptr && found->from == from)
    known = {ways_revision_, now + way_lifetime, *found};
  return found;
}

Result<Way> Stack::find_way(const wire::IpAddress& to, const wire::IpAddress& from,
                            Interface* interface) noexcept {
  // Without an address a client may ask all on a link for one (RFC 2131 section 4.1).
  const bool from_nobody = from.is_ipv4() && from.is_unspecified();
  const bool choose = !from.is_ipv4() && from.is_unspecified();
  if (to.is_unspecified()) return Error::invalid_argument;
  if (!choose && from.is_ipv4() != to.is_ipv4()) return Error::invalid_argument;
  const bool to_all = to.is_ipv4() && to.ipv4().is_broadcast();

  Way way;
  way.to = way.next_hop = to;
  way.from = from;
  if (owner_of(to) != nullptr) {
    if (choose)
      way.from = to;
    else if (owner_of(from) == nullptr)
      return Error::address_unavailable;
    way.interface = &loopback();
    way.mtu = loopback_mtu;
    way.offloads_checksum = true;
    return way;
  }
  if (!choose && !from_nobody) {
    Interface* owner = owner_of(from);
    if (owner == nullptr || (interface != nullptr && owner != interface))
      return Error::address_unavailable;
    interface = owner;
  }
  if (from_nobody && (interface == nullptr || !to_all)) return Error::address_unavailable;
  if (to.is_loopback()) return Error::unreachable;
  if (to.is_multicast() || to_all || (!to.is_ipv4() && to.is_link_local())) {
    way.interface = interface != nullptr ? interface : group_interface(to);
  } else {
    const Route* route = routes_.find(to, interface != nullptr ? interface->index : any_interface);
    if (route != nullptr) {
      way.interface = &interfaces_[route->interface];
      if (!route->on_link()) way.next_hop = route->via;
    }
  }
  if (way.interface == nullptr || way.interface->is_loopback() || !way.interface->up) {
    (interface != nullptr ? *interface : loopback()).counters.count(Drop::no_route);
    return Error::unreachable;
  }
  if (choose) {
    const LocalAddress* source = choose_source(*way.interface, to);
    if (source == nullptr) {
      way.interface->counters.count(Drop::no_source);
      return Error::address_unavailable;
    }
    way.from = source->address;
  }
  way.mtu =
      path_mtu_.of(to, to.is_ipv4() ? way.interface->ipv4_mtu : way.interface->ipv6_mtu, now_);
  way.offloads_checksum = way.interface->offloads_checksum;
  return way;
}

Interface* Stack::group_interface(const wire::IpAddress& to) noexcept {
  const Route* const route = routes_.find(to);
  Interface* const routed = route != nullptr ? &interfaces_[route->interface] : nullptr;
  if (routed != nullptr && route->to.bits > 0) return routed;
  Interface* only = nullptr;
  for (Interface& candidate : interfaces()) {
    if (candidate.is_loopback() || !candidate.up) continue;
    if (only != nullptr) return routed;
    only = &candidate;
  }
  return only;
}

Result<void> Stack::send(const Way& way, const Packet& packet, std::uint64_t now) noexcept {
  now_ = now;
  return way.to.is_ipv4() ? send_ipv4(way, packet) : send_ipv6(way, packet);
}

Result<void> Stack::send_ipv4(const Way& way, const Packet& packet) noexcept {
  constexpr std::size_t size = wire::Ipv4Header::size;
  Counters& counters = way.interface->counters;
  const std::size_t payload = packet.payload.size();
  if (size + payload > 65'535) return Error::too_large;
  wire::Ipv4Header header{.traffic_class = packet.traffic_class,
                          .dont_fragment = packet.dont_fragment,
                          .ttl = packet.hop_limit,
                          .protocol = packet.protocol,
                          .from = way.from.ipv4(),
                          .to = way.to.ipv4()};
  if (header.ttl == 0) header.ttl = way.to.is_multicast() ? 1 : 64;
  std::array<std::byte, most_frame_header> room;
  const auto at = std::span{room}.subspan(ethernet);

  if (payload <= way.room() || packet.offload.segment_size != 0) {
    // What is never cut needs no identifier (RFC 6864).
    if (!packet.dont_fragment) header.id = static_cast<std::uint16_t>(next_id(way));
    wire::write(at, header, payload);
    Pieces frame{std::span{room}.first(ethernet + size)};
    if (!packet.payload.cut(0, payload, frame)) return Error::invalid_argument;
    return emit(way, size, frame, packet.offload);
  }
  if (packet.dont_fragment) {
    counters.count(Drop::too_big);
    return Error::too_large;
  }
  assert(!packet.offload.checksum);
  header.id = static_cast<std::uint16_t>(next_id(way));
  const std::size_t most = base::align_down(std::size_t{way.room()}, std::size_t{8});
  ++counters.fragmented;
  for (std::size_t offset = 0; offset < payload; offset += most) {
    const std::size_t part = std::min(most, payload - offset);
    header.fragment_offset = static_cast<std::uint16_t>(offset);
    header.more_fragments = offset + part < payload;
    wire::write(at, header, part);
    Pieces frame{std::span{room}.first(ethernet + size)};
    if (!packet.payload.cut(offset, part, frame)) return Error::invalid_argument;
    TRY(emit(way, size, frame, {}));
  }
  return {};
}

Result<void> Stack::send_ipv6(const Way& way, const Packet& packet) noexcept {
  constexpr std::size_t size = wire::Ipv6Header::size;
  const std::size_t payload = packet.payload.size();
  if (payload > 65'535) return Error::too_large;
  wire::Ipv6Header header{.traffic_class = packet.traffic_class,
                          .next_header = packet.protocol,
                          .hop_limit = packet.hop_limit,
                          .from = way.from,
                          .to = way.to};
  if (header.hop_limit == 0)
    header.hop_limit = way.to.is_multicast() ? 1 : way.interface->hop_limit;
  // RFC 6437 section 3: the same for all packets of a flow. Ports are the first four bytes.
  std::uint32_t ports = 0;
  if (!packet.payload.all().empty()) {
    const Bytes first = packet.payload.all().front();
    std::memcpy(&ports, first.data(), std::min(first.size(), sizeof ports));
  }
  if (packet.protocol != wire::protocol::tcp && packet.protocol != wire::protocol::udp) ports = 0;
  std::uint64_t ends[2];
  std::memcpy(ends, way.to.octets.data(), sizeof ends);
  header.flow_label = static_cast<std::uint32_t>(base::multiply_fold(
                          ends[0] ^ ends[1] ^ flow_key_,
                          (std::uint64_t{ports} << 8 | packet.protocol) ^ ~flow_key_)) &
                      0xfffff;

  std::array<std::byte, most_frame_header> room;
  const auto at = std::span{room}.subspan(ethernet);
  if (payload <= way.room() || packet.offload.segment_size != 0) {
    wire::write(at, header, payload);
    Pieces frame{std::span{room}.first(ethernet + size)};
    if (!packet.payload.cut(0, payload, frame)) return Error::invalid_argument;
    return emit(way, size, frame, packet.offload);
  }
  assert(!packet.offload.checksum);
  wire::Ipv6Fragment fragment{.next_header = packet.protocol, .id = next_id(way)};
  header.next_header = wire::protocol::fragment;
  const std::size_t most =
      base::align_down(std::size_t{way.room()} - wire::Ipv6Fragment::size, std::size_t{8});
  ++way.interface->counters.fragmented;
  for (std::size_t offset = 0; offset < payload; offset += most) {
    const std::size_t part = std::min(most, payload - offset);
    fragment.offset = static_cast<std::uint16_t>(offset);
    fragment.more = offset + part < payload;
    wire::write(at, header, wire::Ipv6Fragment::size + part);
    wire::write(at.subspan(size), fragment);
    Pieces frame{std::span{room}.first(ethernet + size + wire::Ipv6Fragment::size)};
    if (!packet.payload.cut(offset, part, frame)) return Error::invalid_argument;
    TRY(emit(way, size + wire::Ipv6Fragment::size, frame, {}));
  }
  return {};
}

// `pieces` begin with room for the Ethernet header and then the IP header, of `header_size`.
Result<void> Stack::emit(const Way& way, std::size_t header_size, Pieces& pieces,
                         const Offload& offload) noexcept {
  Interface& interface = *way.interface;
  if (interface.is_loopback()) {
    const auto room = loopback_ring_.push(pieces.size() - ethernet);
    if (room.data() == nullptr) {
      interface.counters.count(Drop::loopback_full);
      return Error::would_block;
    }
    Pieces packet;
    pieces.cut(ethernet, pieces.size() - ethernet, packet);
    packet.copy_to(room);
    ++interface.counters.frames_out;
    interface.counters.bytes_out += room.size();
    return {};
  }
  Offload of_frame = offload;
  const auto before = static_cast<std::uint16_t>(ethernet + header_size);
  if (of_frame.checksum) of_frame.checksum_start += before;
  if (of_frame.segment_size != 0) of_frame.header_size += before;

  const auto header = pieces.all().front();
  // What is behind the const view is the caller's array.
  const std::span<std::byte> room{const_cast<std::byte*>(header.data()), ethernet};
  wire::EthernetHeader link{
      {}, interface.mac, way.to.is_ipv4() ? wire::ether_type::ipv4 : wire::ether_type::ipv6};
  const Frame frame{pieces, of_frame};
  if (way.to.is_multicast() || interface.is_broadcast(way.to)) {
    link.to = Interface::group_mac(way.to);
    wire::write(room, link);
    return emit_frame(interface, frame);
  }
  Neighbour* neighbour = neighbours_.use(interface.index, way.next_hop, now_);
  if (neighbour == nullptr) {
    interface.counters.count(Drop::neighbours_full);
    return Error::unreachable;
  }
  link.to = neighbour->mac;
  wire::write(room, link);
  if (neighbour->has_mac()) return emit_frame(interface, frame);
  if (!neighbours_.wait_for(*neighbour, frame)) {
    interface.counters.count(Drop::pending_full);
    return Error::would_block;
  }
  return {};
}

Result<void> Stack::emit_frame(Interface& interface, const Frame& frame) noexcept {
  if (!interface.up) {
    interface.counters.count(Drop::interface_down);
    return Error::unreachable;
  }
  if (!interface.output->transmit(frame)) {
    interface.counters.count(Drop::device_full);
    return Error::would_block;
  }
  ++interface.counters.frames_out;
  interface.counters.bytes_out += frame.pieces.size();
  return {};
}

std::uint32_t Stack::next_id(const Way& way) noexcept {
  std::uint64_t ends[4];
  std::memcpy(ends, way.to.octets.data(), 16);
  std::memcpy(ends + 2, way.from.octets.data(), 16);
  const std::uint64_t hash =
      base::multiply_fold(ends[0] ^ ends[2] ^ flow_key_, ends[1] ^ ends[3] ^ ~flow_key_);
  return static_cast<std::uint32_t>(hash >> 32) + ids_[base::hash(hash) % ids_.size()]++;
}

}  // namespace lichen::net::ip

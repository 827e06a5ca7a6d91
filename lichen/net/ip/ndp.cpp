// Neighbour discovery (RFC 4861 section 7) and duplicate address detection (RFC 4862 section 5.4).
#include "lichen/net/ip/stack.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::ip {

// False: not a message of neighbour discovery.
bool Stack::receive_ndp(const Arrival& arrival, const wire::IcmpMessage& message) noexcept {
  namespace icmpv6 = wire::icmpv6;
  Interface& interface = arrival.interface;
  Counters& counters = interface.counters;
  if (message.type < icmpv6::router_solicitation || message.type > icmpv6::redirect) return false;
  if (interface.is_loopback()) {
    counters.count(Drop::unknown_message);
    return true;
  }
  const auto taken = [&](auto parsed, auto handle) {
    if (parsed)
      handle(*parsed);
    else
      counters.count(parsed.error());
    return true;
  };
  switch (message.type) {
    case icmpv6::neighbour_solicitation:
      return taken(wire::parse_neighbour_solicitation(message, arrival.hop_limit),
                   [&](const auto& m) { receive_solicitation(arrival, m); });
    case icmpv6::neighbour_advertisement:
      return taken(wire::parse_neighbour_advertisement(message, arrival.hop_limit),
                   [&](const auto& m) { receive_advertisement(arrival, m); });
    case icmpv6::router_advertisement:
      return taken(wire::parse_router_advertisement(message, arrival.hop_limit),
                   [&](const auto& m) { receive_router(arrival, m); });
    // For routers; and redirects, which are not followed.
    default: counters.count(Drop::unknown_message); return true;
  }
}

// RFC 4861 section 7.1.1, 7.2.3, 7.2.4.
void Stack::receive_solicitation(const Arrival& arrival,
                                 const wire::NeighbourSolicitation& solicitation) noexcept {
  Interface& interface = arrival.interface;
  const auto& source_mac = solicitation.options.source_mac;
  const bool probes = arrival.from.is_unspecified();
  // It would stand for an address of the other family.
  if (solicitation.target.is_mapped_ipv4())
    return interface.counters.count(wire::Drop::bad_address);
  if (probes && (source_mac || arrival.to != wire::IpAddress{solicitation.target.solicited_node()}))
    return interface.counters.count(wire::Drop::bad_address);
  LocalAddress* mine = interface.find(wire::IpAddress{solicitation.target});
  if (mine == nullptr || mine->state == AddressState::duplicate) return;
  if (mine->state == AddressState::tentative) {
    // RFC 4862 section 5.4.3: two who probe the same at once both give way. Others ask for it only
    // once they use it, which the answer to our probe will tell.
    if (probes) conflict(interface, *mine);
    return;
  }
  wire::IpAddress to = arrival.from;
  if (probes) {
    to = wire::Ipv6Address::all_nodes();
  } else if (source_mac) {
    neighbours_.learn(interface.index, arrival.from, *source_mac, {.may_create = true}, now_);
  }
  if (!interface.answers) return;
  wire::NeighbourAdvertisement answer{
      .solicited = !probes, .overrides = true, .target = solicitation.target};
  answer.options.target_mac = interface.mac;
  send_ndp(interface, solicitation.target, to, answer);
}

// Section 7.1.2, 7.2.5.
void Stack::receive_advertisement(const Arrival& arrival,
                                  const wire::NeighbourAdvertisement& advertisement) noexcept {
  Interface& interface = arrival.interface;
  Counters& counters = interface.counters;
  if (arrival.to.is_multicast() && advertisement.solicited)
    return counters.count(wire::Drop::bad_value);
  if (advertisement.target.is_mapped_ipv4()) return counters.count(wire::Drop::bad_address);
  const wire::IpAddress target = advertisement.target;
  if (LocalAddress* mine = interface.find(target)) {
    // RFC 4862 section 5.4.4. One that we use and have announced stays ours.
    if (mine->state == AddressState::tentative) return conflict(interface, *mine);
    return counters.count(Drop::address_in_use);
  }
  const Neighbour* known = neighbours_.find(interface.index, target);
  if (known == nullptr) return counters.count(Drop::unsolicited);
  if (!advertisement.options.target_mac && !known->has_mac())
    return counters.count(wire::Drop::bad_option);
  const wire::MacAddress mac = advertisement.options.target_mac.value_or(known->mac);
  neighbours_.learn(interface.index, target, mac,
                    {.solicited = advertisement.solicited,
                     .overrides = advertisement.overrides,
                     .router_known = true,
                     .router = advertisement.router},
                    now_);
}

template <class Message>
void Stack::send_ndp(Interface& interface, const wire::IpAddress& from, const wire::IpAddress& to,
                     const Message& message) noexcept {
  std::array<std::byte, wire::max_ndp_size> room;
  const auto bytes = std::span{room}.first(wire::write(room, message));
  wire::seal<wire::IcmpHeader>(bytes,
                               wire::pseudo_header(from, to, wire::protocol::icmpv6, bytes.size()));
  const Pieces pieces{bytes};
  const Way way{&interface, from, to, to, interface.ipv6_mtu};
  constexpr std::uint8_t hop_limit = 255;  // proves that no router sent it on
  (void)send_ipv6(way,
                  {.protocol = wire::protocol::icmpv6, .hop_limit = hop_limit, .payload = pieces});
}
template void Stack::send_ndp(Interface&, const wire::IpAddress&, const wire::IpAddress&,
                              const wire::RouterSolicitation&) noexcept;

// Section 7.2.2: all who may have the address, or the one who had it.
void Stack::solicit_ipv6(const Neighbour& neighbour) noexcept {
  Interface& interface = interfaces_[neighbour.interface];
  const LocalAddress* source = choose_source(interface, neighbour.address);
  if (source == nullptr) return interface.counters.count(Drop::no_source);
  wire::NeighbourSolicitation question{.target = neighbour.address};
  question.options.source_mac = interface.mac;
  const bool to_one = neighbour.state == NeighbourState::probe;
  send_ndp(interface, source->address,
           to_one ? neighbour.address : wire::IpAddress{neighbour.address.solicited_node()},
           question);
}

void Stack::probe_ipv6(Interface& interface, const LocalAddress& address) noexcept {
  send_ndp(interface, wire::IpAddress{}, address.address.solicited_node(),
           wire::NeighbourSolicitation{.target = address.address});
}

void Stack::advertise(Interface& interface, const LocalAddress& address) noexcept {
  wire::NeighbourAdvertisement news{
      .solicited = false, .overrides = true, .target = address.address};
  news.options.target_mac = interface.mac;
  send_ndp(interface, address.address, wire::Ipv6Address::all_nodes(), news);
}

}  // namespace lichen::net::ip

#pragma clang attribute pop

// ARP (RFC 826) with the care of RFC 5227, and what the neighbour table asks for.
#include "lichen/net/ip/stack.hpp"

namespace lichen::net::ip {

namespace {
constexpr std::uint64_t defend_interval = 10 * second;  // RFC 5227 section 1.1
}  // namespace

void Stack::receive_arp(Interface& interface, Bytes bytes) noexcept {
  Counters& counters = interface.counters;
  const auto packet = wire::parse_arp(bytes);
  if (!packet) return counters.count(packet.error());
  if (packet->sender_mac == interface.mac) return counters.count(Drop::own_source);
  if (packet->sender_mac.is_group() || packet->sender_mac.is_zero())
    return counters.count(Drop::bad_station);
  if (packet->sender.is_multicast() || packet->sender.is_broadcast() ||
      packet->sender.is_loopback() || interface.is_broadcast(packet->sender))
    return counters.count(Drop::martian_source);
  const bool is_request = packet->operation == wire::ArpOperation::request;

  // Another machine uses an address of ours, or probes one that we probe (section 2.1.1, 2.4).
  if (LocalAddress* mine = interface.find(packet->sender)) {
    if (mine->state == AddressState::tentative) return conflict(interface, *mine);
    if (mine->state == AddressState::duplicate) return;
    counters.count(Drop::address_in_use);
    if (!interface.answers) return;
    if (mine->defended != 0 && now_ < mine->defended + defend_interval) {
      // Twice in so short a time: give it up rather than fight for ever (section 2.4 (b)), unless
      // a person has chosen it (c).
      if (mine->origin == AddressOrigin::manual) return;
      return conflict(interface, *mine);
    }
    mine->defended = now_;
    return send_announcement(interface, *mine);
  }
  if (packet->sender.is_unspecified()) {
    // A probe: of ours we answer; two who probe the same at once both give way.
    LocalAddress* wanted = interface.find(packet->target);
    if (wanted == nullptr) return;
    if (wanted->state == AddressState::tentative && is_request) return conflict(interface, *wanted);
  }

  const bool for_us = interface.find_usable(packet->target) != nullptr;
  if (!packet->sender.is_unspecified()) {
    // An answer to us confirms what we have asked. One that we have not asked for, of another
    // station, takes nobody's place: the one we know is asked whether it is still there.
    const Neighbour* neighbour = neighbours_.find(interface.index, packet->sender);
    const bool answer = !is_request && for_us;
    const bool asked = neighbour != nullptr && (neighbour->state == NeighbourState::incomplete ||
                                                neighbour->state == NeighbourState::probe);
    const bool known = neighbours_.learn(interface.index, packet->sender, packet->sender_mac,
                                         {.solicited = answer && asked,
                                          .overrides = !answer || asked,
                                          .may_create = is_request && for_us},
                                         now_);
    if (!known && !is_request) counters.count(Drop::unsolicited);
  }
  if (!is_request || !for_us || !interface.answers) return;
  send_arp(interface, packet->sender_mac,
           {.operation = wire::ArpOperation::reply,
            .sender_mac = interface.mac,
            .sender = packet->target,
            .target_mac = packet->sender_mac,
            .target = packet->sender});
}

void Stack::send_arp(Interface& interface, const wire::MacAddress& to,
                     const wire::ArpPacket& packet) noexcept {
  std::array<std::byte, wire::EthernetHeader::size + wire::ArpPacket::size> room;
  const std::size_t at =
      wire::write(room, wire::EthernetHeader{to, interface.mac, wire::ether_type::arp});
  wire::write(std::span{room}.subspan(at), packet);
  const Pieces pieces{room};
  (void)emit_frame(interface, {pieces, {}});
}

// RFC 5227 section 1.1: a request of an address for itself.
void Stack::send_announcement(Interface& interface, const LocalAddress& address) noexcept {
  if (!address.address.is_ipv4() || !interface.answers) return;
  const wire::Ipv4Address mine = address.address.ipv4();
  send_arp(interface, wire::MacAddress::broadcast(),
           {wire::ArpOperation::request, interface.mac, mine, {}, mine});
}

// Section 2.1.1: from nobody, so that no table of others changes.
void Stack::send_probe(Interface& interface, const LocalAddress& address) noexcept {
  if (!address.address.is_ipv4()) return probe_ipv6(interface, address);
  send_arp(interface, wire::MacAddress::broadcast(),
           {wire::ArpOperation::request, interface.mac, {}, {}, address.address.ipv4()});
}

void Stack::solicit(const Neighbour& neighbour) noexcept {
  Interface& interface = interfaces_[neighbour.interface];
  if (!neighbour.address.is_ipv4()) return solicit_ipv6(neighbour);
  const LocalAddress* source = choose_source(interface, neighbour.address);
  if (source == nullptr) return interface.counters.count(Drop::no_source);
  const bool to_one = neighbour.state == NeighbourState::probe;
  send_arp(interface, to_one ? neighbour.mac : wire::MacAddress::broadcast(),
           {wire::ArpOperation::request,
            interface.mac,
            source->address.ipv4(),
            {},
            neighbour.address.ipv4()});
}

void Stack::transmit(const Neighbour& neighbour, Bytes frame, const Offload& offload) noexcept {
  const Pieces pieces{frame};
  (void)emit_frame(interfaces_[neighbour.interface], {pieces, offload});
}

// RFC 1122 section 2.3.2.2, RFC 4861 section 7.2.2: the transport hears that nobody is there.
void Stack::lost(const Neighbour& neighbour, Bytes frame) noexcept {
  Interface& interface = interfaces_[neighbour.interface];
  interface.counters.count(Drop::unresolved);
  const Bytes packet = frame.subspan(wire::EthernetHeader::size);
  const auto quote =
      neighbour.address.is_ipv4() ? wire::parse_quote_ipv4(packet) : wire::parse_quote_ipv6(packet);
  if (quote) report(*quote, {FailureKind::unreachable}, interface);
}

}  // namespace lichen::net::ip

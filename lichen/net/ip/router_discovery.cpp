// What hosts learn from routers (RFC 4861 section 6.3) and the addresses they make of it (RFC
// 4862), with identifiers that are stable in a network and tell nothing across networks (RFC 7217).
#include <algorithm>

#include "lichen/net/ip/stack.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::ip {

namespace {

constexpr std::uint8_t most_solicitations = 3;  // RFC 4861 section 10
constexpr std::uint64_t solicitation_interval = 4 * second;
constexpr std::uint64_t most_solicitation_delay = 1 * second;
constexpr std::uint32_t two_hours = 7'200;
constexpr std::uint8_t prefix_bits = 64;  // of a link with 64-bit identifiers (RFC 2464)

constexpr wire::Ipv6Address link_local_prefix() noexcept {
  wire::Ipv6Address prefix;
  prefix.octets[0] = 0xfe;
  prefix.octets[1] = 0x80;
  return prefix;
}

}  // namespace

void Stack::start_ipv6(Interface& interface) noexcept {
  (void)add_address(interface,
                    {.address = stable_address(interface, link_local_prefix(), 0),
                     .bits = prefix_bits,
                     .origin = AddressOrigin::link_local},
                    Probe::yes, now_);
  if (!interface.routers.enabled) return;
  interface.routers.solicitations_left = most_solicitations;
  interface.routers.deadline = now_ + random_.below(most_solicitation_delay);
  schedule(interface.routers.deadline);
}

void Stack::advance_discovery(Interface& interface) noexcept {
  RouterDiscovery& routers = interface.routers;
  if (!interface.up) return;
  if (routers.deadline <= now_) {
    if (routers.solicitations_left == 0) {
      routers.deadline = never;
    } else {
      // From our address if we have one yet (section 6.3.7).
      const wire::IpAddress to = wire::Ipv6Address::all_routers();
      const LocalAddress* source = choose_source(interface, to);
      wire::RouterSolicitation question;
      if (source != nullptr) question.options.source_mac = interface.mac;
      send_ndp(interface, source != nullptr ? source->address : wire::IpAddress{}, to, question);
      --routers.solicitations_left;
      routers.deadline = routers.solicitations_left > 0 ? now_ + solicitation_interval : never;
    }
  }
  if (routers.dns_server_count > 0 && routers.dns_expires <= now_) routers.dns_server_count = 0;
  if (routers.dns_server_count > 0) schedule(routers.dns_expires);
  schedule(routers.deadline);
}

// Section 6.1.2, 6.3.4.
void Stack::receive_router(const Arrival& arrival,
                           const wire::RouterAdvertisement& router) noexcept {
  Interface& interface = arrival.interface;
  if (!arrival.from.is_link_local()) return interface.counters.count(Drop::not_link_local);
  if (!interface.routers.enabled) return interface.counters.count(Drop::unsolicited);
  changed();
  interface.routers.solicitations_left = 0;
  interface.routers.deadline = never;

  if (router.options.source_mac)
    neighbours_.learn(interface.index, arrival.from, *router.options.source_mac,
                      {.may_create = true, .router_known = true, .router = true}, now_);
  const wire::Prefix everything{wire::Ipv6Address{}, 0};
  if (router.lifetime_s == 0)
    (void)routes_.remove(everything, arrival.from, interface.index);
  else
    (void)add_route({.to = everything,
                     .via = arrival.from,
                     .interface = interface.index,
                     .metric = 1'024,
                     .expires = now_ + router.lifetime_s * second});
  if (router.hop_limit != 0) interface.hop_limit = router.hop_limit;
  // RFC 4861 section 6.2.1 bounds what routers may say; we keep to it.
  if (router.reachable_ms != 0)
    interface.reachable_time =
        std::min<std::uint64_t>(router.reachable_ms, 3'600'000) * millisecond;
  if (router.retransmit_ms != 0)
    interface.retransmit_time =
        std::clamp<std::uint64_t>(router.retransmit_ms, 100, 60'000) * millisecond;
  if (const auto mtu = router.options.mtu; mtu && *mtu >= least_ipv6_mtu && *mtu <= interface.mtu)
    interface.ipv6_mtu = *mtu;
  for (const auto& prefix : std::span{router.options.prefixes}.first(router.options.prefix_count))
    learn_prefix(interface, prefix);
  if (router.options.dns_server_count > 0) {
    RouterDiscovery& known = interface.routers;
    known.dns_servers = router.options.dns_servers;
    known.dns_server_count =
        router.options.dns_lifetime_s == 0 ? 0 : router.options.dns_server_count;
    known.dns_expires = after_seconds(now_, router.options.dns_lifetime_s);
    schedule(known.dns_expires);
  }
  forget_ways();
}

void Stack::learn_prefix(Interface& interface, const wire::PrefixInformation& prefix) noexcept {
  // RFC 4862 section 5.5.3 (b), (c); RFC 4861 section 6.3.4.
  if (prefix.prefix.is_link_local() || prefix.prefix.is_multicast()) return;
  if (prefix.prefix.is_mapped_ipv4()) return;  // no network of this family
  if (prefix.on_link) {
    const wire::Prefix network{prefix.prefix, prefix.bits};
    if (prefix.valid_s == 0)
      (void)routes_.remove(network, {}, interface.index);
    else if (prefix.bits > 0)
      (void)add_route({.to = network,
                       .interface = interface.index,
                       .metric = 256,
                       .expires = after_seconds(now_, prefix.valid_s)});
  }
  if (!prefix.autonomous || prefix.bits != prefix_bits) return;
  if (prefix.preferred_s > prefix.valid_s) return;
  const wire::Prefix network{prefix.prefix, prefix_bits};
  for (LocalAddress& address : interface.addresses())
    if (address.origin == AddressOrigin::advertised && network.contains(address.address))
      return refresh(address, prefix);
  if (prefix.valid_s == 0) return;
  (void)add_address(interface,
                    {.address = stable_address(interface, prefix.prefix, 0),
                     .bits = prefix_bits,
                     .origin = AddressOrigin::advertised,
                     .preferred_until = after_seconds(now_, prefix.preferred_s),
                     .valid_until = after_seconds(now_, prefix.valid_s)},
                    Probe::yes, now_);
}

// Section 5.5.3 (e): a forged advertisement cannot end an address sooner than in two hours.
void Stack::refresh(LocalAddress& address, const wire::PrefixInformation& prefix) noexcept {
  address.preferred_until = after_seconds(now_, prefix.preferred_s);
  if (address.state == AddressState::deprecated && address.preferred_until > now_)
    address.state = AddressState::preferred;
  const std::uint64_t said = after_seconds(now_, prefix.valid_s);
  const std::uint64_t floor = now_ + two_hours * second;
  if (prefix.valid_s > two_hours || said > address.valid_until)
    address.valid_until = said;
  else if (address.valid_until > floor)
    address.valid_until = floor;
  schedule(std::min(address.preferred_until, address.valid_until));
}

// RFC 7217 section 5: of the prefix, the interface, how often it was in use already, and the
// secret.
wire::Ipv6Address Stack::stable_address(const Interface& interface, const wire::Ipv6Address& prefix,
                                        std::uint8_t conflicts) noexcept {
  struct {
    std::array<std::uint8_t, 8> prefix;
    std::array<std::uint8_t, 6> mac;
    std::uint8_t interface;
    std::uint8_t conflicts;
  } input{{}, interface.mac.octets, interface.index, conflicts};
  static_assert(sizeof input == 16);
  std::copy_n(prefix.octets.begin(), 8, input.prefix.begin());
  wire::Ipv6Address address = prefix;
  std::uint64_t identifier = random_.of(std::as_bytes(std::span{&input, 1}));
  if (identifier == 0) identifier = 1;  // that of all routers (RFC 4291 section 2.6.1)
  base::store_big(std::as_writable_bytes(std::span{address.octets}).subspan(8), identifier);
  return address;
}

}  // namespace lichen::net::ip

#pragma clang attribute pop

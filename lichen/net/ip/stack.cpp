#include "lichen/net/ip/stack.hpp"

#include <algorithm>

namespace lichen::net::ip {

namespace {

// What each machine must take (RFC 791 section 3.1).
constexpr std::uint32_t least_ipv4_datagram = 576;

// RFC 5227 section 1.1.
constexpr std::uint64_t probe_wait = 1 * second;
constexpr std::uint8_t probe_number = 3;
constexpr std::uint64_t probe_least = 1 * second;
constexpr std::uint64_t probe_spread = 1 * second;
constexpr std::uint64_t announce_wait = 2 * second;
constexpr std::uint8_t announce_number = 2;
constexpr std::uint64_t announce_interval = 2 * second;
// The same on a wire.
constexpr std::uint64_t quick_interval = 50 * millisecond;

}  // namespace

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

Stack::Stack(base::HashKey secret) noexcept
    : random_{secret},
      flow_key_{random_()},
      neighbours_{*this, random_},
      reassembly_{*this},
      path_mtu_{random_()} {
  for (std::uint32_t& id : ids_) id = static_cast<std::uint32_t>(random_());
  Interface& loop = loopback();
  loop.mtu = loop.ipv4_mtu = loop.ipv6_mtu = loopback_mtu;
  loop.offloads_checksum = true;  // nobody looks at it
  loop.add_address({.address = wire::Ipv4Address{{127, 0, 0, 1}}, .bits = 8});
  loop.add_address({.address = wire::Ipv6Address::loopback(), .bits = 128});
}

Result<Interface*> Stack::add_interface(const Device& device, std::uint64_t now) noexcept {
  now_ = now;
  if (device.mtu < least_ipv6_mtu || device.mtu > 65'535) return Error::invalid_argument;
  if (interface_count_ == most_interfaces) return Error::limit_reached;
  forget_ways();
  Interface& added = interfaces_[interface_count_];
  added.index = static_cast<std::uint8_t>(interface_count_++);
  added.output = &device.output;
  added.mac = device.mac;
  added.mtu = added.ipv4_mtu = added.ipv6_mtu = device.mtu;
  added.offloads_checksum = device.offloads_checksum;
  added.offloads_segments = device.offloads_segments;
  added.answers = device.answers;
  added.routers.enabled = device.ipv6 && device.router_discovery;
  added.join(wire::Ipv4Address{{224, 0, 0, 1}});
  if (device.ipv6) {
    added.join(wire::Ipv6Address::all_nodes());
    start_ipv6(added);
  }
  return &added;
}

void Stack::set_up(Interface& interface, bool up, std::uint64_t now) noexcept {
  now_ = now;
  if (interface.up == up || interface.is_loopback()) return;
  interface.up = up;
  changed();
  // What is known is of another link, and whom it asked for nobody has heard.
  neighbours_.forget_interface(interface.index);
  if (!up || !interface.answers) return;
  // RFC 4862 section 5.4, RFC 5227 section 2.1: also after the link comes back.
  for (LocalAddress& address : interface.addresses())
    if (address.origin != AddressOrigin::manual || address.state == AddressState::tentative)
      start_probing(address);
  for (Group& group : interface.groups())
    if (group.is_told() && interface.answers) group.report_at = now;
  schedule(now);
  if (interface.routers.enabled) {
    interface.routers.solicitations_left = 3;
    interface.routers.deadline = now + random_.below(second);
    schedule(interface.routers.deadline);
  }
}

// RFC 5227 section 3; RFC 4861 section 7.2.6.
void Stack::announce(Interface& interface, std::uint64_t now) noexcept {
  now_ = now;
  if (!interface.up || !interface.answers || interface.is_loopback()) return;
  for (LocalAddress& address : interface.addresses()) {
    if (!address.is_usable()) continue;
    if (address.address.is_ipv4())
      send_announcement(interface, address);
    else
      advertise(interface, address);
  }
}

void Stack::limit_ipv4_mtu(Interface& interface, std::optional<std::uint32_t> mtu) noexcept {
  const std::uint32_t most = interface.mtu;
  const std::uint32_t limit = mtu && *mtu >= least_ipv4_datagram ? std::min(*mtu, most) : most;
  if (interface.ipv4_mtu == limit) return;
  interface.ipv4_mtu = limit;
  changed();
}

Result<void> Stack::add_address(Interface& interface, const LocalAddress& address, Probe probe,
                                std::uint64_t now) noexcept {
  now_ = now;
  const wire::IpAddress& ip = address.address;
  const unsigned all = ip.is_ipv4() ? 32 : 128;
  if (ip.is_unspecified() || ip.is_multicast() || address.bits > all ||
      (ip.is_ipv4() && ip.ipv4().is_broadcast()))
    return Error::invalid_argument;
  // Who is known by one address on two links is answered on one of them only.
  for (Interface& each : interfaces())
    if ((&each == &interface || !ip.is_link_local()) && each.find(ip) != nullptr)
      return Error::already_exists;
  if (!ip.is_ipv4() && !interface.is_loopback() && !interface.join(ip.solicited_node()))
    return Error::limit_reached;
  if (!ip.is_ipv4()) schedule(now);  // to tell of the group
  LocalAddress* added = interface.add_address(address);
  if (added == nullptr) {
    if (!ip.is_ipv4()) interface.leave(ip.solicited_node());
    return Error::limit_reached;
  }
  changed();
  // Advertised addresses say nothing of their network: prefixes that are on the link do.
  if (address.bits < all && address.origin != AddressOrigin::advertised)
    (void)routes_.add({.to = address.prefix(), .interface = interface.index});
  schedule(std::min(added->preferred_until, added->valid_until));
  if (probe != Probe::no && !interface.is_loopback()) {
    added->probed_quickly = probe == Probe::quick && ip.is_ipv4();
    start_probing(*added);
  } else {
    added->announcements_left = ip.is_ipv4() && !interface.is_loopback() ? announce_number : 0;
    if (added->announcements_left > 0) {
      added->deadline = now;
      schedule(now);
    }
  }
  return {};
}

Result<void> Stack::remove_address(Interface& interface, const wire::IpAddress& address) noexcept {
  LocalAddress* local = interface.find(address);
  if (local == nullptr) return Error::not_found;
  if (!address.is_ipv4() && !interface.is_loopback()) interface.leave(address.solicited_node());
  schedule(now_);
  const wire::Prefix network = local->prefix();
  const bool route_of_address = local->origin != AddressOrigin::advertised;
  interface.remove_address(*local);
  changed();
  const bool shared = std::ranges::any_of(interface.addresses(), [&](const LocalAddress& other) {
    return other.bits == network.bits && network.contains(other.address);
  });
  if (route_of_address && !shared) (void)routes_.remove(network, {}, interface.index);
  return {};
}

#pragma clang attribute pop

Interface* Stack::owner_of(const wire::IpAddress& address) noexcept {
  for (Interface& candidate : interfaces())
    if (candidate.find_usable(address) != nullptr) return &candidate;
  if (address.is_ipv4() && address.ipv4().is_loopback()) return &loopback();
  return nullptr;
}

Result<void> Stack::join(Interface& interface, const wire::IpAddress& group) noexcept {
  if (!group.is_multicast()) return Error::invalid_argument;
  if (!interface.join(group)) return Error::limit_reached;
  schedule(now_);
  return {};
}

void Stack::leave(Interface& interface, const wire::IpAddress& group) noexcept {
  interface.leave(group);
  schedule(now_);
}

Result<void> Stack::add_route(const Route& route) noexcept {
  if (route.interface >= interface_count_) return Error::invalid_argument;
  TRY(routes_.add(route));
  changed();
  schedule(route.expires);
  return {};
}

void Stack::confirm(const Way& way, std::uint64_t now) noexcept {
  now_ = now;
  if (!way.interface->is_loopback()) neighbours_.confirm(way.interface->index, way.next_hop, now);
}

std::uint64_t Stack::deadline() const noexcept {
  if (!loopback_ring_.empty()) return 0;
  return std::min({deadline_, neighbours_.deadline(), reassembly_.deadline()});
}

void Stack::advance(std::uint64_t now) noexcept {
  now_ = now;
  drain_loopback();
  neighbours_.advance(now);
  reassembly_.advance(now);
  if (now < deadline_) return;
  forget_ways();
  deadline_ = routes_.expire(now);
  for (Interface& one : interfaces()) {
    if (one.is_loopback()) continue;
    advance_addresses(one);
    advance_discovery(one);
    advance_groups(one);
  }
}

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

void Stack::start_probing(LocalAddress& address) noexcept {
  address.state = AddressState::tentative;
  forget_ways();
  address.probes_left = address.address.is_ipv4() ? probe_number : 1;
  address.announcements_left = 0;
  address.deadline = now_ + (address.probed_quickly ? 0 : random_.below(probe_wait));
  schedule(address.deadline);
}

void Stack::advance_addresses(Interface& interface) noexcept {
  for (std::size_t i = interface.addresses().size(); i-- > 0;) {
    LocalAddress& address = interface.addresses()[i];
    if (address.valid_until <= now_) {
      const LocalAddress gone = address;
      (void)remove_address(interface, gone.address);
      tell(interface, gone, AddressEvent::expired);
      continue;
    }
    if (address.preferred_until <= now_ && address.state == AddressState::preferred) {
      address.state = AddressState::deprecated;
      changed();
    }
    if (address.deadline <= now_ && interface.up) advance_address(interface, address);
    if (address.state == AddressState::preferred) schedule(address.preferred_until);
    schedule(address.valid_until);
    if (interface.up) schedule(address.deadline);
  }
}

void Stack::advance_address(Interface& interface, LocalAddress& address) noexcept {
  const bool ipv4 = address.address.is_ipv4();
  if (address.probes_left > 0) {
    --address.probes_left;
    send_probe(interface, address);
    if (!ipv4)
      address.deadline = now_ + interface.retransmit_time;
    else if (address.probed_quickly)
      address.deadline = now_ + quick_interval;
    else if (address.probes_left > 0)
      address.deadline = now_ + probe_least + random_.below(probe_spread);
    else
      address.deadline = now_ + announce_wait;
    return;
  }
  address.deadline = never;
  if (address.state == AddressState::tentative) {
    address.state =
        address.preferred_until <= now_ ? AddressState::deprecated : AddressState::preferred;
    address.announcements_left = ipv4 ? announce_number : 0;
    tell(interface, address, AddressEvent::ready);
  }
  if (address.announcements_left == 0) return;
  --address.announcements_left;
  send_announcement(interface, address);
  if (address.announcements_left > 0) address.deadline = now_ + announce_interval;
}

void Stack::conflict(Interface& interface, LocalAddress& address) noexcept {
  interface.counters.count(Drop::address_in_use);
  address.state = AddressState::duplicate;
  address.deadline = never;
  address.probes_left = address.announcements_left = 0;
  tell(interface, address, AddressEvent::conflict);
  // RFC 7217 section 6: another identifier, IDGEN_RETRIES times.
  constexpr std::uint8_t retries = 3;
  const bool ours_to_choose =
      address.origin == AddressOrigin::link_local || address.origin == AddressOrigin::advertised;
  if (address.address.is_ipv4() || !ours_to_choose || address.conflicts == retries) return;
  const LocalAddress old = address;
  (void)remove_address(interface, old.address);
  LocalAddress next = old;
  ++next.conflicts;
  next.address = stable_address(interface, old.address, next.conflicts);
  (void)add_address(interface, next, Probe::yes, now_);
}

void Stack::tell(Interface& interface, const LocalAddress& address, AddressEvent event) noexcept {
  changed();
  if (observer_ != nullptr) observer_->address(interface, address, event);
}

}  // namespace lichen::net::ip

#pragma clang attribute pop

#include "lichen/net/ip/interface.hpp"

#include <algorithm>
#include <cassert>

namespace lichen::net::ip {

LocalAddress* Interface::find(const wire::IpAddress& address) noexcept {
  const auto all = addresses();
  const auto found = std::ranges::find(all, address, &LocalAddress::address);
  return found == all.end() ? nullptr : &*found;
}

const LocalAddress* Interface::find_usable(const wire::IpAddress& address) const noexcept {
  for (const LocalAddress& local : addresses())
    if (local.address == address && local.is_usable()) return &local;
  return nullptr;
}

bool Interface::is_broadcast(const wire::IpAddress& to) const noexcept {
  // A network with such an address has at least two bits for hosts, all ones here.
  if ((to.octets[15] & 3) != 3 || !to.is_ipv4()) return false;
  if (to.ipv4().is_broadcast()) return true;
  return std::ranges::any_of(
      addresses(), [&](const LocalAddress& a) { return a.is_usable() && a.is_broadcast(to); });
}

wire::MacAddress Interface::group_mac(const wire::IpAddress& to) noexcept {
  if (!to.is_multicast()) return wire::MacAddress::broadcast();
  return to.is_ipv4() ? to.ipv4().multicast_mac() : to.multicast_mac();
}

LocalAddress* Interface::add_address(const LocalAddress& address) noexcept {
  if (address_count_ == most_addresses) return nullptr;
  addresses_[address_count_] = address;
  return &addresses_[address_count_++];
}

void Interface::remove_address(LocalAddress& address) noexcept {
  assert(&address >= addresses_.data() && &address < addresses_.data() + address_count_);
  std::copy(&address + 1, addresses_.data() + address_count_, &address);
  --address_count_;
}

bool Group::is_told() const noexcept {
  if (address.is_ipv4()) return address != wire::IpAddress{wire::Ipv4Address{{224, 0, 0, 1}}};
  constexpr unsigned link = 2;
  return (address.octets[1] & 0xfu) >= link &&
         address != wire::IpAddress{wire::Ipv6Address::all_nodes()};
}

bool Interface::has_joined(const wire::IpAddress& group) const noexcept {
  const auto found = std::ranges::find(groups(), group, &Group::address);
  return found != groups().end() && found->members > 0;
}

// How often a change is told (RFC 3376 section 8.1, RFC 3810 section 9.1).
static constexpr std::uint8_t repeats = 2;

bool Interface::join(const wire::IpAddress& address) noexcept {
  auto found = std::ranges::find(groups(), address, &Group::address);
  if (found == groups().end()) {
    // What was left makes room, though not all may know of it yet.
    if (group_count_ == most_groups) {
      found = std::ranges::find(groups(), 0, &Group::members);
      if (found == groups().end()) return false;
    } else {
      ++group_count_;
      found = groups().end() - 1;
    }
    *found = {.address = address};
  }
  if (found->members == UINT16_MAX) return false;
  if (++found->members > 1 || !answers || is_loopback() || !found->is_told()) return true;
  found->changes_left = repeats;
  found->report_at = 0;
  return true;
}

void Interface::leave(const wire::IpAddress& address) noexcept {
  const auto found = std::ranges::find(groups(), address, &Group::address);
  if (found == groups().end() || found->members == 0 || --found->members > 0) return;
  if (!answers || is_loopback() || !found->is_told()) return forget(*found);
  found->changes_left = repeats;
  found->report_at = 0;
}

}  // namespace lichen::net::ip

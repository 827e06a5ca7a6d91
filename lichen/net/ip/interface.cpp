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
  if (!to.is_ipv4()) return false;
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

bool Interface::has_joined(const wire::IpAddress& group) const noexcept {
  return std::ranges::find(groups(), group, &Group::address) != groups().end();
}

bool Interface::join(const wire::IpAddress& group) noexcept {
  const auto end = groups_.begin() + group_count_;
  const auto found = std::find_if(groups_.begin(), end,
                                  [&](const Group& other) { return other.address == group; });
  if (found != end) {
    ++found->members;
    return true;
  }
  if (group_count_ == most_groups) return false;
  groups_[group_count_++] = {group, 1};
  return true;
}

void Interface::leave(const wire::IpAddress& group) noexcept {
  const auto end = groups_.begin() + group_count_;
  const auto found = std::find_if(groups_.begin(), end,
                                  [&](const Group& other) { return other.address == group; });
  if (found == end || --found->members > 0) return;
  *found = groups_[--group_count_];
}

}  // namespace lichen::net::ip

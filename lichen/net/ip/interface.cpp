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

namespace {

// RFC 6724 section 3.1: how far an address reaches, as multicast scopes are numbered.
unsigned scope(const wire::IpAddress& address) noexcept {
  constexpr unsigned link = 2, site = 5, global = 14;
  if (address.is_ipv4()) return address.is_loopback() || address.is_link_local() ? link : global;
  if (address.is_multicast()) return address.octets[1] & 0xfu;
  if (address.is_loopback() || address.is_link_local()) return link;
  if (address.octets[0] == 0xfe && (address.octets[1] & 0xc0) == 0xc0) return site;
  return global;
}

// The default policy table (section 2.1): addresses of one kind talk to each other.
unsigned label(const wire::IpAddress& address) noexcept {
  if (address.is_ipv4()) return 4;
  if (address.is_loopback()) return 0;
  const auto& o = address.octets;
  if (o[0] == 0x20 && o[1] == 0x02) return 2;
  if (o[0] == 0x20 && o[1] == 0x01 && o[2] == 0 && o[3] == 0) return 5;
  if ((o[0] & 0xfe) == 0xfc) return 13;
  return 1;
}

// Section 2.2, no further than the prefix of the source.
unsigned common_bits(const LocalAddress& source, const wire::IpAddress& to) noexcept {
  const unsigned first = source.address.is_ipv4() ? 96 : 0;
  unsigned bits = 0;
  while (bits < source.bits) {
    const unsigned at = first + bits;
    if (((source.address.octets[at / 8] ^ to.octets[at / 8]) & (0x80 >> at % 8)) != 0) break;
    ++bits;
  }
  return bits;
}

// Whether `a` is the better source. Both are usable and of the family of `to`.
bool is_better(const LocalAddress& a, const LocalAddress& b, const wire::IpAddress& to) noexcept {
  if (a.address == to || b.address == to) return a.address == to;  // rule 1
  const unsigned scope_a = scope(a.address);
  const unsigned scope_b = scope(b.address);
  if (scope_a != scope_b)  // rule 2: the smallest that reaches it, else the largest
    return scope_a < scope_b ? scope_a >= scope(to) : scope_b < scope(to);
  if (a.state != b.state) return a.state == AddressState::preferred;  // rule 3
  const bool label_a = label(a.address) == label(to);
  const bool label_b = label(b.address) == label(to);
  if (label_a != label_b) return label_a;          // rule 6
  return common_bits(a, to) > common_bits(b, to);  // rule 8
}

}  // namespace

const LocalAddress* choose_source(const Interface& interface, const wire::IpAddress& to) noexcept {
  const LocalAddress* best = nullptr;
  for (const LocalAddress& candidate : interface.addresses()) {
    if (!candidate.is_usable() || candidate.address.is_ipv4() != to.is_ipv4()) continue;
    if (best == nullptr || is_better(candidate, *best, to)) best = &candidate;
  }
  return best;
}

}  // namespace lichen::net::ip

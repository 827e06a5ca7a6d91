// Several stacks of one machine: one has the conversation with the network, the others take over
// what it has learnt of addresses and routes. Neighbours each learns by itself.
#include "lichen/net/ip/stack.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::ip {

// Not a part of those who look whether anything has changed, which is seldom.
[[gnu::noinline]] Settings Stack::settings(const Interface& interface) const noexcept {
  Settings settings{.routes = routes_,
                    .ipv4_mtu = interface.ipv4_mtu,
                    .ipv6_mtu = interface.ipv6_mtu,
                    .hop_limit = interface.hop_limit,
                    .reachable_time = interface.reachable_time,
                    .retransmit_time = interface.retransmit_time,
                    .up = interface.up};
  for (const LocalAddress& address : interface.addresses())
    if (address.is_usable()) settings.addresses[settings.address_count++] = address;
  return settings;
}

void Stack::follow(Interface& interface, const Settings& settings, std::uint64_t now) noexcept {
  now_ = now;
  set_up(interface, settings.up, now);
  const auto wanted = std::span{settings.addresses}.first(settings.address_count);
  const auto is_wanted = [&](const LocalAddress& mine) {
    for (const LocalAddress& other : wanted)
      if (other.address == mine.address && other.bits == mine.bits) return true;
    return false;
  };
  for (std::size_t i = interface.addresses().size(); i-- > 0;)
    if (const LocalAddress mine = interface.addresses()[i]; !is_wanted(mine))
      (void)remove_address(interface, mine.address);
  for (const LocalAddress& other : wanted) {
    LocalAddress* mine = interface.find(other.address);
    if (mine == nullptr) {
      // When it ends, who leads says.
      (void)add_address(interface,
                        {.address = other.address, .bits = other.bits, .origin = other.origin},
                        Probe::no, now);
      mine = interface.find(other.address);
    }
    if (mine != nullptr) mine->state = other.state;
  }
  routes_ = settings.routes;
  schedule(now);  // some of them end by time
  interface.ipv4_mtu = settings.ipv4_mtu;
  interface.ipv6_mtu = settings.ipv6_mtu;
  interface.hop_limit = settings.hop_limit;
  interface.reachable_time = settings.reachable_time;
  interface.retransmit_time = settings.retransmit_time;
  forget_ways();
}

}  // namespace lichen::net::ip

#pragma clang attribute pop

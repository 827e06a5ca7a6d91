// An interface: a device, or the loopback, with the addresses and groups it answers to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/ip/drop.hpp"
#include "lichen/net/ip/frame.hpp"
#include "lichen/net/ip/time.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::net::ip {

enum class AddressState : std::uint8_t {
  tentative,  // being probed: neither sent from nor answered to (RFC 5227, RFC 4862)
  preferred,
  deprecated,  // for what began with it (RFC 4862 section 5.5.4)
  duplicate,   // another machine has it
};

enum class AddressOrigin : std::uint8_t { manual, dhcp, link_local, advertised };

struct LocalAddress {
  wire::IpAddress address;
  std::uint8_t bits = 0;  // of the network it is in
  AddressState state = AddressState::preferred;
  AddressOrigin origin = AddressOrigin::manual;
  std::uint64_t preferred_until = never;
  std::uint64_t valid_until = never;
  // Of the probing.
  std::uint64_t deadline = never;
  std::uint64_t defended = 0;  // when it was last (RFC 5227 section 2.4)
  std::uint8_t probes_left = 0;
  std::uint8_t announcements_left = 0;
  bool probed_quickly = false;
  std::uint8_t conflicts = 0;  // counted for stable identifiers (RFC 7217 section 6)

  [[nodiscard]] bool is_usable() const noexcept {
    return state == AddressState::preferred || state == AddressState::deprecated;
  }
  [[nodiscard]] wire::Prefix prefix() const noexcept { return {address, bits}; }
  // The address of all in an IPv4 network (RFC 922); not of networks of two or one (RFC 3021).
  [[nodiscard]] bool is_broadcast(const wire::IpAddress& to) const noexcept {
    if (!address.is_ipv4() || !to.is_ipv4() || bits >= 31) return false;
    const std::uint32_t hosts = bits == 0 ? UINT32_MAX : UINT32_MAX >> bits;
    return to.ipv4().number() == (address.ipv4().number() | hosts);
  }
};

struct Group {
  wire::IpAddress address;
  std::uint16_t members = 0;  // zero: it was left, which is still to be told
  // Of telling routers and switches (membership.cpp).
  std::uint8_t changes_left = 0;  // how often a change is still to be told
  std::uint64_t report_at = never;

  // The groups of all machines are nobody's to tell, nor those that do not leave a machine (RFC
  // 3376 section 5, RFC 3810 section 6).
  [[nodiscard]] bool is_told() const noexcept;
};

// What an interface learns of its routers (RFC 4861 section 6.3.2) and asks them.
struct RouterDiscovery {
  bool enabled = false;
  std::uint8_t solicitations_left = 0;
  std::uint64_t deadline = never;
  std::array<wire::Ipv6Address, 4> dns_servers{};
  std::size_t dns_server_count = 0;
  std::uint64_t dns_expires = 0;
};

struct Interface {
  static constexpr std::size_t most_addresses = 16;
  static constexpr std::size_t most_groups = 48;

  std::uint8_t index = 0;
  bool up = true;
  bool answers = true;            // who asks for our addresses, and defends them
  FrameOutput* output = nullptr;  // null: the loopback
  wire::MacAddress mac;
  std::uint32_t mtu = 1'500;       // of IP packets
  std::uint32_t ipv4_mtu = 1'500;  // no more than that, as a lease says
  std::uint32_t ipv6_mtu = 1'500;  // and as routers say
  // The device completes checksums; cuts segments.
  bool offloads_checksum = false;
  bool offloads_segments = false;
  std::uint8_t hop_limit = 64;  // of IPv6, as routers say
  std::uint64_t reachable_time = 30 * second;
  std::uint64_t retransmit_time = 1 * second;
  RouterDiscovery routers;
  // Until when a router of the link understands no more than that version (of IGMP, of MLD).
  std::uint64_t igmp1_until = 0;
  std::uint64_t igmp2_until = 0;
  std::uint64_t mld1_until = 0;
  Counters counters;

  [[nodiscard]] bool is_loopback() const noexcept { return output == nullptr; }
  [[nodiscard]] std::span<LocalAddress> addresses() noexcept {
    return std::span{addresses_}.first(address_count_);
  }
  [[nodiscard]] std::span<const LocalAddress> addresses() const noexcept {
    return std::span{addresses_}.first(address_count_);
  }
  // Null when it is not ours here.
  [[nodiscard]] LocalAddress* find(const wire::IpAddress& address) noexcept;
  [[nodiscard]] const LocalAddress* find_usable(const wire::IpAddress& address) const noexcept;
  // To all in one of the networks, or to all on the link.
  [[nodiscard]] bool is_broadcast(const wire::IpAddress& to) const noexcept;
  // The one machine of the link that a packet with this destination is for. MUST be a group or a
  // broadcast address.
  [[nodiscard]] static wire::MacAddress group_mac(const wire::IpAddress& to) noexcept;

  // Null when there are too many.
  LocalAddress* add_address(const LocalAddress& address) noexcept;
  void remove_address(LocalAddress& address) noexcept;

  [[nodiscard]] bool has_joined(const wire::IpAddress& group) const noexcept;
  // False when there are too many. Groups are counted: as many leaves as joins. The stack is to
  // tell others of it then.
  bool join(const wire::IpAddress& group) noexcept;
  void leave(const wire::IpAddress& group) noexcept;
  [[nodiscard]] std::span<Group> groups() noexcept {
    return std::span{groups_}.first(group_count_);
  }
  [[nodiscard]] std::span<const Group> groups() const noexcept {
    return std::span{groups_}.first(group_count_);
  }
  // One that was left, and has been told.
  void forget(Group& group) noexcept { group = groups_[--group_count_]; }

 private:
  std::array<LocalAddress, most_addresses> addresses_{};
  std::size_t address_count_ = 0;
  std::array<Group, most_groups> groups_{};
  std::size_t group_count_ = 0;
};

// The address to send from, of those of the interface (RFC 6724 section 5, rules 1 to 3, 6 and 8;
// rule 5 holds since the interface is given, 4 and 7 have no case here). Null: none fits.
const LocalAddress* choose_source(const Interface& interface, const wire::IpAddress& to) noexcept;

}  // namespace lichen::net::ip

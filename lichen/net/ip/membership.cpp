// Telling routers and switches which groups are joined here: IGMPv3 (RFC 3376) and MLDv2 (RFC 3810)
// as hosts without source filters speak them, and their older versions where a router does.
#include "lichen/net/wire/membership.hpp"

#include <algorithm>
#include <utility>

#include "lichen/net/ip/stack.hpp"
#include "lichen/net/wire/fields.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::ip {

namespace {

// RFC 3376 section 8.11, RFC 3810 section 9.11: between two reports of a change.
constexpr std::uint64_t repeat_within = 1 * second;
// RFC 2236 section 8.12, RFC 3810 section 9.12: after the last query of an old router.
constexpr std::uint64_t old_router_time = 260 * second;
constexpr std::size_t ethernet = wire::EthernetHeader::size;

}  // namespace

std::uint8_t Stack::membership_version(const Interface& interface, bool ipv4) const noexcept {
  if (!ipv4) return now_ < interface.mld1_until ? 1 : 2;
  return now_ < interface.igmp1_until ? 1 : now_ < interface.igmp2_until ? 2 : 3;
}

void Stack::advance_groups(Interface& interface) noexcept {
  if (!interface.up || !interface.answers) return;
  for (std::size_t i = interface.groups().size(); i-- > 0;) {
    Group& group = interface.groups()[i];
    if (group.report_at <= now_) {
      const bool leaves = group.members == 0;
      const bool changed = group.changes_left > 0;
      send_membership(interface, group.address,
                      leaves    ? wire::MembershipRecord::leaves
                      : changed ? wire::MembershipRecord::joins
                                : wire::MembershipRecord::is_member);
      if (changed) --group.changes_left;
      group.report_at = group.changes_left > 0 ? now_ + random_.below(repeat_within) : never;
      if (leaves && group.changes_left == 0) {
        interface.forget(group);
        continue;
      }
    }
    schedule(group.report_at);
  }
}

void Stack::receive_igmp(const Arrival& arrival) noexcept {
  Interface& interface = arrival.interface;
  const auto query = wire::parse_igmp_query(arrival.payload);
  if (!query) return interface.counters.count(query.error());
  if (query->version == 1) interface.igmp1_until = now_ + old_router_time;
  if (query->version == 2) interface.igmp2_until = now_ + old_router_time;
  answer_query(interface, *query, true);
}

// RFC 3810 section 5.1.14, 6.2: only of routers of this link.
void Stack::receive_mld_query(const Arrival& arrival, const wire::IcmpMessage& message) noexcept {
  Interface& interface = arrival.interface;
  if (!arrival.from.is_link_local() || arrival.hop_limit != 1)
    return interface.counters.count(Drop::not_link_local);
  const auto query = wire::parse_mld_query(message);
  if (!query) return interface.counters.count(query.error());
  if (query->version == 1) interface.mld1_until = now_ + old_router_time;
  answer_query(interface, *query, false);
}

// RFC 3376 section 5.2: each group for itself, some time until the latest; no later than before.
void Stack::answer_query(Interface& interface, const wire::MembershipQuery& query,
                         bool ipv4) noexcept {
  if (interface.is_loopback() || !interface.answers) return;
  const std::uint64_t most = query.most_delay_ms * millisecond;
  for (Group& group : interface.groups()) {
    if (group.address.is_ipv4() != ipv4 || !group.is_told() || group.members == 0) continue;
    if (!query.group.is_unspecified() && query.group != group.address) continue;
    group.report_at = std::min(group.report_at, now_ + random_.below(most + 1));
    schedule(group.report_at);
  }
}

void Stack::send_membership(Interface& interface, const wire::IpAddress& group,
                            wire::MembershipRecord record) noexcept {
  const bool ipv4 = group.is_ipv4();
  const wire::MembershipReport report{
      .group = group, .record = record, .version = membership_version(interface, ipv4)};
  std::array<std::byte, ethernet + wire::Ipv6Header::size + 8 + wire::most_membership_report>
      room{};
  // Behind the IP header, a word that has routers look at it (RFC 2113, RFC 2711).
  const std::size_t header = ipv4 ? wire::Ipv4Header::size + 4 : wire::Ipv6Header::size + 8;
  const auto ip = std::span{room}.subspan(ethernet);
  const std::size_t size = wire::write(ip.subspan(header), report);
  if (size == 0) return;
  const wire::IpAddress to = wire::destination_of(report);
  if (ipv4) {
    const LocalAddress* source = choose_source(interface, to);
    wire::write(
        ip,
        wire::Ipv4Header{.traffic_class = 0xc0,
                         .id = static_cast<std::uint16_t>(random_()),
                         .ttl = 1,
                         .protocol = wire::protocol::igmp,
                         .from = source != nullptr ? source->address.ipv4() : wire::Ipv4Address{},
                         .to = to.ipv4()},
        4 + size);
    wire::store8(ip, 0, 0x46);
    wire::store32(ip, wire::Ipv4Header::size, 0x9404'0000);
    wire::store16(ip, 10, 0);
    wire::Sum sum;
    sum.add(ip.first(header));
    wire::store16(ip, 10, sum.checksum());
  } else {
    // From nobody while the address is being probed (RFC 3590).
    wire::IpAddress from;
    for (const LocalAddress& one : interface.addresses())
      if (one.is_usable() && !one.address.is_ipv4() && one.address.is_link_local())
        from = one.address;
    wire::write(
        ip,
        wire::Ipv6Header{
            .next_header = wire::protocol::hop_by_hop, .hop_limit = 1, .from = from, .to = to},
        8 + size);
    wire::store8(ip, wire::Ipv6Header::size, wire::protocol::icmpv6);
    wire::store32(ip, wire::Ipv6Header::size + 2, 0x0502'0000);
    wire::store16(ip, wire::Ipv6Header::size + 6, 0x0100);
    wire::seal<wire::IcmpHeader>(ip.subspan(header, size),
                                 wire::pseudo_header(from, to, wire::protocol::icmpv6, size));
  }
  wire::write(room, wire::EthernetHeader{Interface::group_mac(to), interface.mac,
                                         ipv4 ? wire::ether_type::ipv4 : wire::ether_type::ipv6});
  const Pieces pieces{std::span{room}.first(ethernet + header + size)};
  (void)emit_frame(interface, {pieces, {}});
}

}  // namespace lichen::net::ip

#pragma clang attribute pop

// Who has joined which groups, as hosts tell it to routers and switches: IGMP (RFC 1112, 2236,
// 3376) for IPv4 and MLD (RFC 2710, 3810) for IPv6. Of all sources: none is filtered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/checksum.hpp"
#include "lichen/net/wire/drop.hpp"
#include "lichen/net/wire/icmp.hpp"

namespace lichen::net::wire {

namespace protocol {
inline constexpr std::uint8_t igmp = 2;
}  // namespace protocol

namespace icmpv6 {
inline constexpr std::uint8_t listener_query = 130;
}  // namespace icmpv6

struct MembershipQuery {
  std::uint8_t version = 0;         // of IGMP: 1 to 3; of MLD: 1 and 2
  IpAddress group;                  // unspecified: about all of them
  std::uint32_t most_delay_ms = 0;  // in which to answer
};

// Other messages than queries are bad_value, as is what is no query of any version (RFC 3376
// section 7.1).
Parsed<MembershipQuery> parse_igmp_query(std::span<const std::byte> bytes) noexcept;
// `message` is one of type listener_query.
Parsed<MembershipQuery> parse_mld_query(const IcmpMessage& message) noexcept;

enum class MembershipRecord : std::uint8_t {
  is_member = 2,  // the answer to a query: MODE_IS_EXCLUDE, without sources
  leaves = 3,     // CHANGE_TO_INCLUDE_MODE
  joins = 4,      // CHANGE_TO_EXCLUDE_MODE
};

// A report about one group: to whom, and what. In the form that `version` understands; version 1 of
// IGMP knows no leaving, then nothing is written.
struct MembershipReport {
  IpAddress group;
  MembershipRecord record = MembershipRecord::is_member;
  std::uint8_t version = 0;
};
inline constexpr std::size_t most_membership_report = 28;

IpAddress destination_of(const MembershipReport& report) noexcept;
// With IGMP's checksum; MLD's covers a pseudo header and is the caller's (as IcmpHeader's).
std::size_t write(std::span<std::byte> out, const MembershipReport& report) noexcept;

}  // namespace lichen::net::wire

#include "lichen/net/wire/membership.hpp"

#include <algorithm>

#include "lichen/net/wire/fields.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::wire {

namespace {

constexpr std::uint8_t igmp_query = 0x11, igmp_report_1 = 0x12, igmp_report_2 = 0x16,
                       igmp_leave_2 = 0x17, igmp_report_3 = 0x22;
constexpr std::uint8_t mld_report_1 = 131, mld_done_1 = 132, mld_report_2 = 143;
constexpr std::uint32_t tenth_ms = 100;

constexpr Ipv6Address link_group(std::uint8_t last) noexcept {
  Ipv6Address group;
  group.octets[0] = 0xff;
  group.octets[1] = 0x02;
  group.octets[15] = last;
  return group;
}

bool is_new(const MembershipReport& report) noexcept {
  return report.version >= (report.group.is_ipv4() ? 3 : 2);
}

}  // namespace

Parsed<MembershipQuery> parse_igmp_query(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < 8) return std::unexpected{Drop::truncated};
  if (!Verify{}.accepts(bytes)) return std::unexpected{Drop::bad_checksum};
  if (load8(bytes, 0) != igmp_query) return std::unexpected{Drop::bad_value};
  const std::uint8_t code = load8(bytes, 1);
  MembershipQuery query{.group = load_octets<Ipv4Address>(bytes, 4)};
  if (!query.group.is_unspecified() && !query.group.is_multicast())
    return std::unexpected{Drop::bad_address};
  if (bytes.size() == 8) {
    // RFC 2236 section 4: version 1 says nothing of the time, and means 10 s.
    query.version = code == 0 ? 1 : 2;
    query.most_delay_ms = (code == 0 ? 100 : code) * tenth_ms;
    return query;
  }
  if (bytes.size() < 12) return std::unexpected{Drop::bad_length};
  if (load16(bytes, 10) * std::size_t{4} > bytes.size() - 12)
    return std::unexpected{Drop::truncated};
  query.version = 3;
  // Section 4.1.1: from 128 on with an exponent.
  const std::uint32_t tenths =
      code < 128 ? code : static_cast<std::uint32_t>((code & 0xf) | 0x10) << ((code >> 4 & 7) + 3);
  query.most_delay_ms = tenths * tenth_ms;
  return query;
}

Parsed<MembershipQuery> parse_mld_query(const IcmpMessage& message) noexcept {
  if (message.body.size() < 16) return std::unexpected{Drop::truncated};
  if (message.code != 0) return std::unexpected{Drop::bad_value};
  const auto code = static_cast<std::uint16_t>(message.word >> 16);
  const auto group = load_octets<Ipv6Address>(message.body, 0);
  if (!group.is_unspecified() && !group.is_multicast()) return std::unexpected{Drop::bad_address};
  MembershipQuery query{.version = 1, .group = group, .most_delay_ms = code};
  if (message.body.size() == 16) return query;
  if (message.body.size() < 20) return std::unexpected{Drop::bad_length};
  if (load16(message.body, 18) * std::size_t{16} > message.body.size() - 20)
    return std::unexpected{Drop::truncated};
  query.version = 2;
  // RFC 3810 section 5.1.3.
  if (code >= 0x8000)
    query.most_delay_ms = static_cast<std::uint32_t>((code & 0xfff) | 0x1000)
                          << ((code >> 12 & 7) + 3);
  return query;
}

IpAddress destination_of(const MembershipReport& report) noexcept {
  const bool leaves = report.record == MembershipRecord::leaves;
  if (report.group.is_ipv4()) {
    if (is_new(report)) return Ipv4Address{{224, 0, 0, 22}};
    return leaves ? IpAddress{Ipv4Address{{224, 0, 0, 2}}} : report.group;
  }
  if (is_new(report)) return link_group(22);
  return leaves ? IpAddress{Ipv6Address::all_routers()} : report.group;
}

std::size_t write(std::span<std::byte> out, const MembershipReport& report) noexcept {
  const bool ipv4 = report.group.is_ipv4();
  const bool leaves = report.record == MembershipRecord::leaves;
  std::ranges::fill(out.first(most_membership_report), std::byte{0});
  std::size_t size = 8;
  if (is_new(report)) {
    // RFC 3376 section 4.2, RFC 3810 section 5.2: one record, of no sources.
    store8(out, 0, ipv4 ? igmp_report_3 : mld_report_2);
    store16(out, 6, 1);
    store8(out, 8, static_cast<std::uint8_t>(report.record));
    if (ipv4)
      store_octets(out, 12, report.group.ipv4());
    else
      store_octets(out, 12, static_cast<const Ipv6Address&>(report.group));
    size = ipv4 ? 16 : 28;
  } else if (ipv4) {
    if (leaves && report.version == 1) return 0;
    store8(out, 0, leaves ? igmp_leave_2 : report.version == 1 ? igmp_report_1 : igmp_report_2);
    store_octets(out, 4, report.group.ipv4());
  } else {
    store8(out, 0, leaves ? mld_done_1 : mld_report_1);
    store_octets(out, 8, static_cast<const Ipv6Address&>(report.group));
    size = 24;
  }
  if (ipv4) {
    Sum sum;
    sum.add(out.first(size));
    store16(out, 2, sum.checksum());
  }
  return size;
}

}  // namespace lichen::net::wire

#pragma clang attribute pop

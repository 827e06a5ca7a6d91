// The text of IP addresses: dotted quads, and RFC 4291 section 2.2 read, RFC 5952 written.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/text_buffer.hpp"

namespace lichen::base {

using Ipv4Octets = std::array<std::uint8_t, 4>;
using Ipv6Octets = std::array<std::uint8_t, 16>;

// Four decimal numbers without leading zeros; nothing for any other text.
std::optional<Ipv4Octets> parse_ipv4(std::string_view text) noexcept;
// Eight groups, or fewer around one "::", the last two perhaps as a dotted quad. No zone.
std::optional<Ipv6Octets> parse_ipv6(std::string_view text) noexcept;

void write_ipv4(TextBuffer& out, std::span<const std::uint8_t, 4> octets) noexcept;
// Lower case, no leading zeros, "::" for the longest run of zero groups, the first of equals, never
// for a single one; an IPv4-mapped address ends in dotted form (RFC 5952 section 5).
void write_ipv6(TextBuffer& out, std::span<const std::uint8_t, 16> octets) noexcept;

}  // namespace lichen::base

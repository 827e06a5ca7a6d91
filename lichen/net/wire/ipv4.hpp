// IPv4 headers (RFC 791) and the numbers shared by both versions of IP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/checksum.hpp"
#include "lichen/net/wire/drop.hpp"

namespace lichen::net::wire {

namespace protocol {
inline constexpr std::uint8_t hop_by_hop = 0;
inline constexpr std::uint8_t icmp = 1;
inline constexpr std::uint8_t tcp = 6;
inline constexpr std::uint8_t udp = 17;
inline constexpr std::uint8_t routing = 43;
inline constexpr std::uint8_t fragment = 44;
inline constexpr std::uint8_t icmpv6 = 58;
inline constexpr std::uint8_t none = 59;
inline constexpr std::uint8_t destination_options = 60;
}  // namespace protocol

// The two bits that routers mark (RFC 3168), the lowest of the traffic class.
enum class Ecn : std::uint8_t { not_capable = 0, capable_1 = 1, capable_0 = 2, congested = 3 };

[[nodiscard]] constexpr Ecn ecn_of(std::uint8_t traffic_class) noexcept {
  return static_cast<Ecn>(traffic_class & 3);
}

struct Ipv4Header {
  static constexpr std::size_t size = 20;  // without options, which are never written

  std::uint8_t traffic_class = 0;  // DSCP and ECN
  std::uint16_t id = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // bytes, a multiple of 8
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  Ipv4Address from;
  Ipv4Address to;

  [[nodiscard]] constexpr bool is_fragment() const noexcept {
    return more_fragments || fragment_offset != 0;
  }
};

struct Ipv4Packet : Ipv4Header {
  std::span<const std::byte> header;   // as it came, with options, for those who quote it
  std::span<const std::byte> options;  // not looked at
  std::span<const std::byte> payload;  // without what the medium padded
};

// Fragments whose end is past 65,535 bytes are bad_length, as are those of odd sizes that are not
// the last.
Parsed<Ipv4Packet> parse_ipv4(std::span<const std::byte> bytes, const Verify& verify) noexcept;
// With its checksum. The payload and the header together MUST be at most 65,535 bytes.
std::size_t write(std::span<std::byte> out, const Ipv4Header& header,
                  std::size_t payload_size) noexcept;

}  // namespace lichen::net::wire

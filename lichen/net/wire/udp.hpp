// UDP (RFC 768).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/wire/checksum.hpp"
#include "lichen/net/wire/drop.hpp"

namespace lichen::net::wire {

struct UdpHeader {
  static constexpr std::size_t size = 8;
  static constexpr std::size_t checksum_at = 6;
  static constexpr bool zero_means_none = true;

  std::uint16_t from_port = 0;  // 0: no answer is expected
  std::uint16_t to_port = 0;
};

struct UdpDatagram : UdpHeader {
  std::span<const std::byte> payload;
};

// Whether a checksum of zero, which says that there is none, is taken: over IPv4 (RFC 1122 section
// 4.1.3.4), not over IPv6 (RFC 8200 section 8.1).
enum class NoChecksum : bool { refused, accepted };

// The pseudo header in `verify` is of bytes.size() bytes; a datagram shorter than its packet is
// bad_length.
Parsed<UdpDatagram> parse_udp(std::span<const std::byte> bytes, const Verify& verify,
                              NoChecksum no_checksum) noexcept;
std::size_t write(std::span<std::byte> out, const UdpHeader& header,
                  std::size_t payload_size) noexcept;

}  // namespace lichen::net::wire

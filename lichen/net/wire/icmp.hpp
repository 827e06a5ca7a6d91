// ICMP (RFC 792) and ICMPv6 (RFC 4443): one form, two sets of numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/checksum.hpp"
#include "lichen/net/wire/drop.hpp"

namespace lichen::net::wire {

namespace icmp {
inline constexpr std::uint8_t echo_reply = 0;
inline constexpr std::uint8_t unreachable = 3;
inline constexpr std::uint8_t redirect = 5;
inline constexpr std::uint8_t echo_request = 8;
inline constexpr std::uint8_t time_exceeded = 11;
inline constexpr std::uint8_t parameter_problem = 12;
// Codes of unreachable.
inline constexpr std::uint8_t network_unreachable = 0;
inline constexpr std::uint8_t host_unreachable = 1;
inline constexpr std::uint8_t protocol_unreachable = 2;
inline constexpr std::uint8_t port_unreachable = 3;
inline constexpr std::uint8_t fragmentation_needed = 4;  // RFC 1191: the MTU in the lower word
}  // namespace icmp

namespace icmpv6 {
inline constexpr std::uint8_t unreachable = 1;
inline constexpr std::uint8_t packet_too_big = 2;
inline constexpr std::uint8_t time_exceeded = 3;
inline constexpr std::uint8_t parameter_problem = 4;
inline constexpr std::uint8_t echo_request = 128;
inline constexpr std::uint8_t echo_reply = 129;
inline constexpr std::uint8_t router_solicitation = 133;
inline constexpr std::uint8_t router_advertisement = 134;
inline constexpr std::uint8_t neighbour_solicitation = 135;
inline constexpr std::uint8_t neighbour_advertisement = 136;
inline constexpr std::uint8_t redirect = 137;
// Codes of unreachable.
inline constexpr std::uint8_t no_route = 0;
inline constexpr std::uint8_t prohibited = 1;
inline constexpr std::uint8_t address_unreachable = 3;
inline constexpr std::uint8_t port_unreachable = 4;
// Codes of parameter_problem.
inline constexpr std::uint8_t erroneous_field = 0;
inline constexpr std::uint8_t unknown_next_header = 1;
inline constexpr std::uint8_t unknown_option = 2;
}  // namespace icmpv6

struct IcmpHeader {
  static constexpr std::size_t size = 8;
  static constexpr std::size_t checksum_at = 2;

  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t word = 0;  // its meaning depends on the type

  static constexpr IcmpHeader echo(std::uint8_t type, std::uint16_t id,
                                   std::uint16_t number) noexcept {
    return {type, 0, std::uint32_t{id} << 16 | number};
  }
  // Of an echo.
  [[nodiscard]] constexpr std::uint16_t id() const noexcept {
    return static_cast<std::uint16_t>(word >> 16);
  }
  [[nodiscard]] constexpr std::uint16_t number() const noexcept {
    return static_cast<std::uint16_t>(word);
  }
};

struct IcmpMessage : IcmpHeader {
  std::span<const std::byte> body;  // behind the word: data of an echo, the packet that failed
};

// For ICMPv6 `verify` holds the pseudo header.
Parsed<IcmpMessage> parse_icmp(std::span<const std::byte> bytes, const Verify& verify) noexcept;
std::size_t write(std::span<std::byte> out, const IcmpHeader& header) noexcept;

// What can be told of a packet from as much of it as an error message quotes: 8 bytes behind the IP
// header at least. It was sent by us if the message is genuine, so `from` is ours.
struct Quote {
  IpAddress from;
  IpAddress to;
  std::uint8_t protocol = 0;
  std::uint16_t from_port = 0;  // of TCP and UDP
  std::uint16_t to_port = 0;
  std::uint32_t sequence = 0;  // of TCP
};
// Quotes of fragments other than the first are bad_value, since they hold no ports.
Parsed<Quote> parse_quote_ipv4(std::span<const std::byte> bytes) noexcept;
Parsed<Quote> parse_quote_ipv6(std::span<const std::byte> bytes) noexcept;

}  // namespace lichen::net::wire

// IPv6 headers (RFC 8200).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/drop.hpp"
#include "lichen/net/wire/ipv4.hpp"

namespace lichen::net::wire {

struct Ipv6Header {
  static constexpr std::size_t size = 40;

  std::uint8_t traffic_class = 0;
  std::uint32_t flow_label = 0;  // 20 bits
  std::uint8_t next_header = 0;
  std::uint8_t hop_limit = 64;
  Ipv6Address from;
  Ipv6Address to;
};

struct Ipv6Fragment {
  static constexpr std::size_t size = 8;

  std::uint8_t next_header = 0;  // of the whole packet
  bool more = false;
  std::uint16_t offset = 0;  // bytes, a multiple of 8
  std::uint32_t id = 0;
};

// What an ICMPv6 parameter problem would say of a packet that is dropped (RFC 4443 section 3.4).
struct Ipv6Problem {
  bool tell = false;               // the sender is to be told
  bool even_if_multicast = false;  // also when the packet was sent to a group
  std::uint8_t code = 0;
  std::uint32_t pointer = 0;  // the byte in question, from the start of the packet
};

struct Ipv6Packet : Ipv6Header {
  std::uint8_t protocol = 0;           // of `payload`
  std::span<const std::byte> payload;  // behind the extension headers
  // The packet is a part of a larger one, and `payload` a part of that one's, extension headers
  // included. What says that it is a fragment and is whole (RFC 6946) has none of this.
  std::optional<Ipv6Fragment> fragment;
};

// A packet from or to an IPv4-mapped address is bad_address: no such packet may be on a wire.
// Routing headers with somewhere left to go are bad_extension (RFC 5095). Extension headers may
// take `max_extension_bytes`, more is bad_extension, too.
inline constexpr std::size_t max_extension_bytes = 512;
Parsed<Ipv6Packet> parse_ipv6(std::span<const std::byte> bytes,
                              Ipv6Problem* problem = nullptr) noexcept;

// What is behind the extension headers of a packet put together from fragments.
struct Ipv6Upper {
  std::uint8_t protocol = 0;
  std::span<const std::byte> payload;
};
Parsed<Ipv6Upper> skip_extensions(std::uint8_t next_header, std::span<const std::byte> bytes,
                                  Ipv6Problem* problem = nullptr) noexcept;

// `payload_size`: of all behind the header, extension headers included.
std::size_t write(std::span<std::byte> out, const Ipv6Header& header,
                  std::size_t payload_size) noexcept;
std::size_t write(std::span<std::byte> out, const Ipv6Fragment& fragment) noexcept;

}  // namespace lichen::net::wire

// Neighbour discovery (RFC 4861) with the options for address configuration (RFC 4862) and name
// servers (RFC 8106).
//
// The messages are ICMPv6 messages: each parser takes what parse_icmp() yields and the hop limit of
// the packet, which must be 255: no router has forwarded it. Otherwise bad_value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/drop.hpp"
#include "lichen/net/wire/icmp.hpp"

namespace lichen::net::wire {

struct PrefixInformation {
  static constexpr std::uint32_t infinite = 0xffffffff;

  Ipv6Address prefix;
  std::uint8_t bits = 0;
  bool on_link = false;
  bool autonomous = false;  // for stateless address configuration
  std::uint32_t valid_s = 0;
  std::uint32_t preferred_s = 0;
};

// What the options of one message say; options that are not known are skipped. Of more prefixes or
// servers than fit the first are kept.
struct NdpOptions {
  std::optional<MacAddress> source_mac;
  std::optional<MacAddress> target_mac;
  std::optional<std::uint32_t> mtu;
  std::array<PrefixInformation, 8> prefixes;
  std::size_t prefix_count = 0;
  std::array<Ipv6Address, 4> dns_servers;
  std::size_t dns_server_count = 0;
  std::uint32_t dns_lifetime_s = 0;
};

struct RouterSolicitation {
  NdpOptions options{};
};

struct RouterAdvertisement {
  std::uint8_t hop_limit = 0;  // 0: unspecified
  bool managed = false;
  bool other_configuration = false;
  std::uint16_t lifetime_s = 0;     // 0: not a default router
  std::uint32_t reachable_ms = 0;   // 0: unspecified
  std::uint32_t retransmit_ms = 0;  // 0: unspecified
  NdpOptions options{};
};

struct NeighbourSolicitation {
  Ipv6Address target;
  NdpOptions options{};
};

struct NeighbourAdvertisement {
  bool router = false;
  bool solicited = false;
  bool overrides = false;
  Ipv6Address target;
  NdpOptions options{};
};

struct Redirect {
  Ipv6Address target;
  Ipv6Address destination;
  NdpOptions options{};
};

Parsed<RouterSolicitation> parse_router_solicitation(const IcmpMessage& message,
                                                     std::uint8_t hop_limit) noexcept;
Parsed<RouterAdvertisement> parse_router_advertisement(const IcmpMessage& message,
                                                       std::uint8_t hop_limit) noexcept;
Parsed<NeighbourSolicitation> parse_neighbour_solicitation(const IcmpMessage& message,
                                                           std::uint8_t hop_limit) noexcept;
Parsed<NeighbourAdvertisement> parse_neighbour_advertisement(const IcmpMessage& message,
                                                             std::uint8_t hop_limit) noexcept;
Parsed<Redirect> parse_redirect(const IcmpMessage& message, std::uint8_t hop_limit) noexcept;

// Whole ICMPv6 messages with the options a host sends: its own address (source_mac of
// solicitations, target_mac of advertisements) where there is one. They return the size and are
// sealed as IcmpHeader. `out` MUST hold max_ndp_size bytes.
inline constexpr std::size_t max_ndp_size = 32;
std::size_t write(std::span<std::byte> out, const RouterSolicitation& message) noexcept;
std::size_t write(std::span<std::byte> out, const NeighbourSolicitation& message) noexcept;
std::size_t write(std::span<std::byte> out, const NeighbourAdvertisement& message) noexcept;

}  // namespace lichen::net::wire

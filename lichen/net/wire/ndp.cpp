#include "lichen/net/wire/ndp.hpp"

#include "lichen/net/wire/fields.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::wire {

namespace {

namespace option {
constexpr std::uint8_t source_mac = 1;
constexpr std::uint8_t target_mac = 2;
constexpr std::uint8_t prefix = 3;
constexpr std::uint8_t mtu = 5;
constexpr std::uint8_t dns_servers = 25;  // RFC 8106
}  // namespace option

void read_prefix(std::span<const std::byte> bytes, NdpOptions& options) noexcept {
  if (bytes.size() != 32 || load8(bytes, 2) > 128) return;
  if (options.prefix_count == options.prefixes.size()) return;
  PrefixInformation& prefix = options.prefixes[options.prefix_count++];
  prefix.bits = load8(bytes, 2);
  prefix.on_link = (load8(bytes, 3) & 0x80) != 0;
  prefix.autonomous = (load8(bytes, 3) & 0x40) != 0;
  prefix.valid_s = load32(bytes, 4);
  prefix.preferred_s = load32(bytes, 8);
  prefix.prefix = load_octets<Ipv6Address>(bytes, 16);
}

void read_servers(std::span<const std::byte> bytes, NdpOptions& options) noexcept {
  if (bytes.size() < 24 || bytes.size() % 16 != 8) return;
  options.dns_lifetime_s = load32(bytes, 4);
  for (std::size_t at = 8; at < bytes.size(); at += 16) {
    if (options.dns_server_count == options.dns_servers.size()) return;
    options.dns_servers[options.dns_server_count++] = load_octets<Ipv6Address>(bytes, at);
  }
}

// RFC 4861 section 4.6. An option of length zero spoils the whole message; one that is known and of
// a wrong length, or of another medium, is skipped.
Parsed<NdpOptions> read_options(std::span<const std::byte> bytes) noexcept {
  NdpOptions options;
  while (!bytes.empty()) {
    if (bytes.size() < 2) return std::unexpected{Drop::truncated};
    const std::size_t size = std::size_t{load8(bytes, 1)} * 8;
    if (size == 0) return std::unexpected{Drop::bad_option};
    if (size > bytes.size()) return std::unexpected{Drop::truncated};
    const auto one = bytes.first(size);
    switch (load8(one, 0)) {
      case option::source_mac:
        if (size == 8) options.source_mac = load_octets<MacAddress>(one, 2);
        break;
      case option::target_mac:
        if (size == 8) options.target_mac = load_octets<MacAddress>(one, 2);
        break;
      case option::prefix: read_prefix(one, options); break;
      case option::mtu:
        if (size == 8) options.mtu = load32(one, 4);
        break;
      case option::dns_servers: read_servers(one, options); break;
      default: break;
    }
    bytes = bytes.subspan(size);
  }
  return options;
}

// What all messages have in common; `fixed`: bytes of the body before the options.
Parsed<NdpOptions> read_message(const IcmpMessage& message, std::uint8_t type,
                                std::uint8_t hop_limit, std::size_t fixed) noexcept {
  if (message.type != type || message.code != 0 || hop_limit != 255)
    return std::unexpected{Drop::bad_value};
  if (message.body.size() < fixed) return std::unexpected{Drop::truncated};
  return read_options(message.body.subspan(fixed));
}

std::size_t write_mac_option(std::span<std::byte> out, std::uint8_t type,
                             const std::optional<MacAddress>& mac) noexcept {
  if (!mac) return 0;
  store8(out, 0, type);
  store8(out, 1, 1);
  store_octets(out, 2, *mac);
  return 8;
}

}  // namespace

Parsed<RouterSolicitation> parse_router_solicitation(const IcmpMessage& message,
                                                     std::uint8_t hop_limit) noexcept {
  const auto options = read_message(message, icmpv6::router_solicitation, hop_limit, 0);
  if (!options) return std::unexpected{options.error()};
  return RouterSolicitation{*options};
}

Parsed<RouterAdvertisement> parse_router_advertisement(const IcmpMessage& message,
                                                       std::uint8_t hop_limit) noexcept {
  const auto options = read_message(message, icmpv6::router_advertisement, hop_limit, 8);
  if (!options) return std::unexpected{options.error()};
  RouterAdvertisement advertisement;
  advertisement.hop_limit = static_cast<std::uint8_t>(message.word >> 24);
  advertisement.managed = (message.word & 0x00800000) != 0;
  advertisement.other_configuration = (message.word & 0x00400000) != 0;
  advertisement.lifetime_s = static_cast<std::uint16_t>(message.word);
  advertisement.reachable_ms = load32(message.body, 0);
  advertisement.retransmit_ms = load32(message.body, 4);
  advertisement.options = *options;
  return advertisement;
}

Parsed<NeighbourSolicitation> parse_neighbour_solicitation(const IcmpMessage& message,
                                                           std::uint8_t hop_limit) noexcept {
  const auto options = read_message(message, icmpv6::neighbour_solicitation, hop_limit, 16);
  if (!options) return std::unexpected{options.error()};
  NeighbourSolicitation solicitation{load_octets<Ipv6Address>(message.body, 0), *options};
  if (solicitation.target.is_multicast()) return std::unexpected{Drop::bad_address};
  return solicitation;
}

Parsed<NeighbourAdvertisement> parse_neighbour_advertisement(const IcmpMessage& message,
                                                             std::uint8_t hop_limit) noexcept {
  const auto options = read_message(message, icmpv6::neighbour_advertisement, hop_limit, 16);
  if (!options) return std::unexpected{options.error()};
  NeighbourAdvertisement advertisement;
  advertisement.router = (message.word & 0x80000000) != 0;
  advertisement.solicited = (message.word & 0x40000000) != 0;
  advertisement.overrides = (message.word & 0x20000000) != 0;
  advertisement.target = load_octets<Ipv6Address>(message.body, 0);
  advertisement.options = *options;
  if (advertisement.target.is_multicast()) return std::unexpected{Drop::bad_address};
  return advertisement;
}

Parsed<Redirect> parse_redirect(const IcmpMessage& message, std::uint8_t hop_limit) noexcept {
  const auto options = read_message(message, icmpv6::redirect, hop_limit, 32);
  if (!options) return std::unexpected{options.error()};
  Redirect redirect{load_octets<Ipv6Address>(message.body, 0),
                    load_octets<Ipv6Address>(message.body, 16), *options};
  if (redirect.destination.is_multicast()) return std::unexpected{Drop::bad_address};
  return redirect;
}

std::size_t write(std::span<std::byte> out, const RouterSolicitation& message) noexcept {
  const std::size_t at = write(out, IcmpHeader{.type = icmpv6::router_solicitation});
  return at + write_mac_option(out.subspan(at), option::source_mac, message.options.source_mac);
}

std::size_t write(std::span<std::byte> out, const NeighbourSolicitation& message) noexcept {
  std::size_t at = write(out, IcmpHeader{.type = icmpv6::neighbour_solicitation});
  store_octets(out, at, message.target);
  at += 16;
  return at + write_mac_option(out.subspan(at), option::source_mac, message.options.source_mac);
}

std::size_t write(std::span<std::byte> out, const NeighbourAdvertisement& message) noexcept {
  const std::uint32_t flags = (message.router ? 0x80000000 : 0) |
                              (message.solicited ? 0x40000000 : 0) |
                              (message.overrides ? 0x20000000 : 0);
  std::size_t at = write(out, IcmpHeader{.type = icmpv6::neighbour_advertisement, .word = flags});
  store_octets(out, at, message.target);
  at += 16;
  return at + write_mac_option(out.subspan(at), option::target_mac, message.options.target_mac);
}

}  // namespace lichen::net::wire

#pragma clang attribute pop

// DHCP messages (RFC 2131 section 2, options of RFC 2132), as far as a client needs them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/drop.hpp"

namespace lichen::net::dhcp {

using Bytes = std::span<const std::byte>;

inline constexpr std::uint16_t server_port = 67;
inline constexpr std::uint16_t client_port = 68;

enum class MessageType : std::uint8_t {
  discover = 1,
  offer,
  request,
  decline,
  acknowledge,
  refuse,  // DHCPNAK
  release,
};

// What a server says. Of more servers than fit the first are kept; options that are not known, or
// of a wrong length, are skipped.
struct Reply {
  MessageType type = MessageType::offer;
  std::uint32_t transaction = 0;
  wire::MacAddress client;
  wire::Ipv4Address address;  // yiaddr
  std::optional<wire::Ipv4Address> server;
  std::optional<wire::Ipv4Address> mask;
  std::optional<wire::Ipv4Address> router;
  std::array<wire::Ipv4Address, 4> dns_servers{};
  std::size_t dns_server_count = 0;
  std::optional<std::uint32_t> lease_s;
  std::optional<std::uint32_t> renew_s;
  std::optional<std::uint32_t> rebind_s;
  std::optional<std::uint16_t> mtu;
};

// Options are read from the fields for file and server names, too, where the message says so
// (section 4.1). Only offers, acknowledgments and refusals are taken; others are bad_value.
wire::Parsed<Reply> parse_reply(Bytes bytes) noexcept;

struct Request {
  MessageType type = MessageType::discover;
  std::uint32_t transaction = 0;
  std::uint16_t seconds = 0;  // since the client began
  wire::MacAddress client{};
  wire::Ipv4Address current{};  // ciaddr: the address it has and answers to
  // Until then answers are to be sent to all, since we take no packet for an address that is not
  // ours.
  bool broadcast = false;
  std::optional<wire::Ipv4Address> wanted = {};
  std::optional<wire::Ipv4Address> server = {};
};

inline constexpr std::size_t request_size = 300;  // the least that old relays pass on (RFC 1542)
std::size_t write(std::span<std::byte, request_size> out, const Request& request) noexcept;

}  // namespace lichen::net::dhcp

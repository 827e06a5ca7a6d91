// Addresses as they are on the wire.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "lichen/base/text_buffer.hpp"

namespace lichen::net::wire {

struct MacAddress {
  std::array<std::uint8_t, 6> octets{};

  static constexpr MacAddress broadcast() noexcept {
    return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  }
  // "52:54:00:12:34:56".
  static std::optional<MacAddress> parse(std::string_view text) noexcept;

  [[nodiscard]] constexpr bool is_broadcast() const noexcept { return *this == broadcast(); }
  // To a group; broadcast is one.
  [[nodiscard]] constexpr bool is_group() const noexcept { return (octets[0] & 1) != 0; }
  [[nodiscard]] constexpr bool is_zero() const noexcept { return *this == MacAddress{}; }

  friend constexpr bool operator==(const MacAddress&, const MacAddress&) noexcept = default;
};

struct Ipv4Address {
  std::array<std::uint8_t, 4> octets{};

  static constexpr Ipv4Address of(std::uint32_t number) noexcept {
    return {{static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16),
             static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)}};
  }
  static constexpr Ipv4Address broadcast() noexcept { return of(0xffffffff); }
  static std::optional<Ipv4Address> parse(std::string_view text) noexcept;

  [[nodiscard]] constexpr std::uint32_t number() const noexcept {
    return std::uint32_t{octets[0]} << 24 | std::uint32_t{octets[1]} << 16 |
           std::uint32_t{octets[2]} << 8 | octets[3];
  }
  [[nodiscard]] constexpr bool is_unspecified() const noexcept { return number() == 0; }
  [[nodiscard]] constexpr bool is_broadcast() const noexcept { return number() == 0xffffffff; }
  [[nodiscard]] constexpr bool is_loopback() const noexcept { return octets[0] == 127; }
  [[nodiscard]] constexpr bool is_multicast() const noexcept { return octets[0] >> 4 == 0xe; }
  [[nodiscard]] constexpr bool is_link_local() const noexcept {
    return octets[0] == 169 && octets[1] == 254;
  }
  // RFC 1112 section 6.4. MUST be a multicast address.
  [[nodiscard]] constexpr MacAddress multicast_mac() const noexcept {
    return {{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(octets[1] & 0x7f), octets[2], octets[3]}};
  }

  friend constexpr bool operator==(const Ipv4Address&, const Ipv4Address&) noexcept = default;
};

struct Ipv6Address {
  std::array<std::uint8_t, 16> octets{};

  static constexpr Ipv6Address loopback() noexcept {
    Ipv6Address address;
    address.octets[15] = 1;
    return address;
  }
  static constexpr Ipv6Address all_nodes() noexcept { return link_group(1); }
  static constexpr Ipv6Address all_routers() noexcept { return link_group(2); }
  // fe80::/64 with the modified EUI-64 of the interface (RFC 4291 appendix A).
  static constexpr Ipv6Address link_local(const MacAddress& mac) noexcept {
    Ipv6Address address;
    address.octets = {0xfe, 0x80};
    address.set_interface(mac);
    return address;
  }
  static std::optional<Ipv6Address> parse(std::string_view text) noexcept;

  // Sets the lower half to the modified EUI-64 of the interface.
  constexpr void set_interface(const MacAddress& mac) noexcept {
    const auto& m = mac.octets;
    const std::uint8_t id[8] = {
        static_cast<std::uint8_t>(m[0] ^ 2), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
    for (int i = 0; i < 8; ++i) octets[8 + i] = id[i];
  }
  // ff02::1:ffXX:XXXX, which a neighbour solicitation for it goes to (RFC 4291 section 2.7.1).
  [[nodiscard]] constexpr Ipv6Address solicited_node() const noexcept {
    Ipv6Address group = link_group(1);
    group.octets[11] = 1;
    group.octets[12] = 0xff;
    for (int i = 13; i < 16; ++i) group.octets[i] = octets[i];
    return group;
  }
  // RFC 2464 section 7. MUST be a multicast address.
  [[nodiscard]] constexpr MacAddress multicast_mac() const noexcept {
    return {{0x33, 0x33, octets[12], octets[13], octets[14], octets[15]}};
  }

  [[nodiscard]] constexpr bool is_unspecified() const noexcept { return *this == Ipv6Address{}; }
  [[nodiscard]] constexpr bool is_loopback() const noexcept { return *this == loopback(); }
  [[nodiscard]] constexpr bool is_multicast() const noexcept { return octets[0] == 0xff; }
  [[nodiscard]] constexpr bool is_link_local() const noexcept {
    return octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80;
  }
  // ::ffff:0:0/96, which may stand for IPv4 in a program and never on a wire.
  [[nodiscard]] constexpr bool is_mapped_ipv4() const noexcept {
    for (int i = 0; i < 10; ++i)
      if (octets[i] != 0) return false;
    return octets[10] == 0xff && octets[11] == 0xff;
  }

  friend constexpr bool operator==(const Ipv6Address&, const Ipv6Address&) noexcept = default;

 private:
  static constexpr Ipv6Address link_group(std::uint8_t number) noexcept {
    Ipv6Address group;
    group.octets[0] = 0xff;
    group.octets[1] = 0x02;
    group.octets[15] = number;
    return group;
  }
};

// Of either family: an IPv4 address is kept as its mapped form (RFC 4291 section 2.5.5.2).
struct IpAddress : Ipv6Address {
  constexpr IpAddress() noexcept = default;
  constexpr IpAddress(const Ipv6Address& address) noexcept : Ipv6Address{address} {}
  constexpr IpAddress(const Ipv4Address& address) noexcept {
    octets[10] = octets[11] = 0xff;
    for (int i = 0; i < 4; ++i) octets[12 + i] = address.octets[i];
  }
  // Text of either family.
  static std::optional<IpAddress> parse(std::string_view text) noexcept;

  [[nodiscard]] constexpr bool is_ipv4() const noexcept { return is_mapped_ipv4(); }
  // MUST be an IPv4 address.
  [[nodiscard]] constexpr Ipv4Address ipv4() const noexcept {
    return {{octets[12], octets[13], octets[14], octets[15]}};
  }
  [[nodiscard]] constexpr bool is_unspecified() const noexcept {
    return is_ipv4() ? ipv4().is_unspecified() : Ipv6Address::is_unspecified();
  }
  [[nodiscard]] constexpr bool is_loopback() const noexcept {
    return is_ipv4() ? ipv4().is_loopback() : Ipv6Address::is_loopback();
  }
  [[nodiscard]] constexpr bool is_multicast() const noexcept {
    return is_ipv4() ? ipv4().is_multicast() : Ipv6Address::is_multicast();
  }
  [[nodiscard]] constexpr bool is_link_local() const noexcept {
    return is_ipv4() ? ipv4().is_link_local() : Ipv6Address::is_link_local();
  }

  friend constexpr bool operator==(const IpAddress&, const IpAddress&) noexcept = default;
};

// Addresses whose first `bits` are those of `network`. Addresses of the other family are outside.
struct Prefix {
  IpAddress network;
  std::uint8_t bits = 0;  // of the family: at most 32 or 128

  [[nodiscard]] constexpr bool contains(const IpAddress& address) const noexcept {
    if (address.is_ipv4() != network.is_ipv4()) return false;
    const unsigned all = network.is_ipv4() ? 96u + bits : bits;
    for (unsigned i = 0; i < all / 8; ++i)
      if (address.octets[i] != network.octets[i]) return false;
    const unsigned rest = all % 8;
    return rest == 0 || (address.octets[all / 8] ^ network.octets[all / 8]) >> (8 - rest) == 0;
  }
  friend constexpr bool operator==(const Prefix&, const Prefix&) noexcept = default;
};

void format_value(base::TextBuffer& out, const MacAddress& address) noexcept;
void format_value(base::TextBuffer& out, const Ipv4Address& address) noexcept;
void format_value(base::TextBuffer& out, const Ipv6Address& address) noexcept;  // RFC 5952
void format_value(base::TextBuffer& out, const IpAddress& address) noexcept;
void format_value(base::TextBuffer& out, const Prefix& prefix) noexcept;

}  // namespace lichen::net::wire

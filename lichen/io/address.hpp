// Address: where a socket is. IPv4 and IPv6 with a port, or a name in the host's local (Unix)
// domain.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/base/text_buffer.hpp"

namespace lichen::io {

enum class AddressFamily : std::uint8_t { none, ipv4, ipv6, local };

class Address {
 public:
  static constexpr std::size_t max_local_name = 107;  // bytes, as in the host's local domain

  constexpr Address() noexcept = default;
  static constexpr Address ipv4(std::array<std::uint8_t, 4> octets, std::uint16_t port) noexcept {
    Address a;
    a.family_ = AddressFamily::ipv4;
    a.port_ = port;
    for (std::size_t i = 0; i < 4; ++i) a.bytes_[i] = octets[i];
    return a;
  }
  static constexpr Address ipv6(std::array<std::uint8_t, 16> octets, std::uint16_t port,
                                std::uint32_t scope = 0) noexcept {
    Address a;
    a.family_ = AddressFamily::ipv6;
    a.port_ = port;
    a.scope_ = scope;
    for (std::size_t i = 0; i < 16; ++i) a.bytes_[i] = octets[i];
    return a;
  }
  static constexpr Address loopback(std::uint16_t port) noexcept {
    return ipv4({127, 0, 0, 1}, port);
  }
  // A path, or a name that starts with '@' (the host's abstract namespace).
  static Result<Address> local(std::string_view name) noexcept;
  // "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80", "local:/path". RFC 4291 section 2.2 for IPv6
  // text. Error::invalid_argument for anything else.
  static Result<Address> parse(std::string_view text) noexcept;

  [[nodiscard]] constexpr AddressFamily family() const noexcept { return family_; }
  [[nodiscard]] constexpr std::uint16_t port() const noexcept { return port_; }
  // 127.0.0.0/8 or ::1 (RFC 1122, RFC 4291).
  [[nodiscard]] bool is_loopback() const noexcept;
  [[nodiscard]] constexpr std::uint32_t scope() const noexcept { return scope_; }
  constexpr void set_port(std::uint16_t port) noexcept { port_ = port; }
  // 4 or 16 octets in network order, or the local name.
  [[nodiscard]] constexpr std::span<const std::uint8_t> octets() const noexcept {
    return std::span{bytes_}.first(size());
  }
  [[nodiscard]] std::string text() const;  // RFC 5952 for IPv6

  friend constexpr bool operator==(const Address&, const Address&) noexcept = default;

 private:
  [[nodiscard]] constexpr std::size_t size() const noexcept {
    return family_ == AddressFamily::ipv4 ? 4 : family_ == AddressFamily::ipv6 ? 16 : length_;
  }

  AddressFamily family_ = AddressFamily::none;
  std::uint8_t length_ = 0;
  std::uint16_t port_ = 0;
  std::uint32_t scope_ = 0;
  std::array<std::uint8_t, max_local_name + 1> bytes_{};
};

// Writes what text() yields.
void format_value(base::TextBuffer& out, const Address& address) noexcept;

}  // namespace lichen::io

#include "lichen/net/wire/address.hpp"

#include "lichen/base/format.hpp"
#include "lichen/base/ip_text.hpp"

namespace lichen::net::wire {

namespace {

std::optional<std::uint8_t> digit(char c) noexcept {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::optional<MacAddress> MacAddress::parse(std::string_view text) noexcept {
  if (text.size() != 17) return std::nullopt;
  MacAddress address;
  for (std::size_t i = 0; i < 6; ++i) {
    const auto high = digit(text[3 * i]);
    const auto low = digit(text[3 * i + 1]);
    if (!high || !low || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
    address.octets[i] = static_cast<std::uint8_t>(*high << 4 | *low);
  }
  return address;
}

std::optional<Ipv4Address> Ipv4Address::parse(std::string_view text) noexcept {
  const auto octets = base::parse_ipv4(text);
  if (!octets) return std::nullopt;
  return Ipv4Address{*octets};
}

std::optional<Ipv6Address> Ipv6Address::parse(std::string_view text) noexcept {
  const auto octets = base::parse_ipv6(text);
  if (!octets) return std::nullopt;
  return Ipv6Address{*octets};
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) noexcept {
  if (text.find(':') == std::string_view::npos) return Ipv4Address::parse(text);
  return Ipv6Address::parse(text);
}

void format_value(base::TextBuffer& out, const MacAddress& address) noexcept {
  const auto& o = address.octets;
  base::format_to(out, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", o[0], o[1], o[2], o[3], o[4],
                  o[5]);
}

void format_value(base::TextBuffer& out, const Ipv4Address& address) noexcept {
  base::write_ipv4(out, address.octets);
}

void format_value(base::TextBuffer& out, const Ipv6Address& address) noexcept {
  base::write_ipv6(out, address.octets);
}

void format_value(base::TextBuffer& out, const IpAddress& address) noexcept {
  if (address.is_ipv4())
    format_value(out, address.ipv4());
  else
    base::write_ipv6(out, address.octets);
}

void format_value(base::TextBuffer& out, const Prefix& prefix) noexcept {
  base::format_to(out, "{}/{}", prefix.network, prefix.bits);
}

}  // namespace lichen::net::wire

#include "lichen/io/address.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "lichen/base/format.hpp"
#include "lichen/base/ip_text.hpp"
#include "lichen/base/text_buffer.hpp"

namespace lichen::io {

namespace {

constexpr std::string_view local_prefix = "local:";

// The whole of `text` as a number without sign, blanks or useless zeros.
template <class T>
std::optional<T> parse_decimal(std::string_view text, std::size_t most_digits) noexcept {
  if (text.empty() || text.size() > most_digits) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<Address> Address::local(std::string_view name) noexcept {
  if (name.empty() || name == "@" || name.find('\0') != std::string_view::npos)
    return Error::invalid_argument;
  if (name.size() > max_local_name) return Error::too_large;
  Address address;
  address.family_ = AddressFamily::local;
  address.length_ = static_cast<std::uint8_t>(name.size());
  std::memcpy(address.bytes_.data(), name.data(), name.size());
  return address;
}

Result<Address> Address::parse(std::string_view text) noexcept {
  if (text.starts_with(local_prefix)) return local(text.substr(local_prefix.size()));
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Error::invalid_argument;
  const auto port = parse_decimal<std::uint16_t>(text.substr(colon + 1), 5);
  if (!port) return Error::invalid_argument;
  std::string_view host = text.substr(0, colon);

  if (!host.starts_with('[')) {
    const auto octets = base::parse_ipv4(host);
    if (!octets) return Error::invalid_argument;
    return ipv4(*octets, *port);
  }
  if (!host.ends_with(']')) return Error::invalid_argument;
  host = host.substr(1, host.size() - 2);
  std::uint32_t scope = 0;
  if (const std::size_t percent = host.find('%'); percent != std::string_view::npos) {
    // RFC 4007 section 11.2; interfaces by number only.
    const auto zone = parse_decimal<std::uint32_t>(host.substr(percent + 1), 10);
    if (!zone) return Error::invalid_argument;
    scope = *zone;
    host = host.substr(0, percent);
  }
  const auto octets = base::parse_ipv6(host);
  if (!octets) return Error::invalid_argument;
  return ipv6(*octets, *port, scope);
}

void format_value(base::TextBuffer& out, const Address& address) noexcept {
  const auto octets = address.octets();
  switch (address.family()) {
    case AddressFamily::none: out.append("no address"); break;
    case AddressFamily::ipv4:
      base::write_ipv4(out, octets.first<4>());
      base::format_to(out, ":{}", address.port());
      break;
    case AddressFamily::ipv6:
      out.append('[');
      base::write_ipv6(out, octets.first<16>());
      if (address.scope() != 0) base::format_to(out, "%{}", address.scope());
      base::format_to(out, "]:{}", address.port());
      break;
    case AddressFamily::local:
      out.append(local_prefix);
      out.append({reinterpret_cast<const char*>(octets.data()), octets.size()});
      break;
  }
}

bool Address::is_loopback() const noexcept {
  const auto bytes = octets();
  if (family_ == AddressFamily::ipv4) return bytes[0] == 127;
  return family_ == AddressFamily::ipv6 && bytes.back() == 1 &&
         std::ranges::all_of(bytes.first(15), [](std::uint8_t octet) { return octet == 0; });
}

std::string Address::text() const {
  const auto text = base::format<local_prefix.size() + max_local_name>("{}", *this);
  return std::string{text.view()};
}

}  // namespace lichen::io

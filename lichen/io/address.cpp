#include "lichen/io/address.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "lichen/base/format.hpp"
#include "lichen/base/text_buffer.hpp"

namespace lichen::io {

namespace {

constexpr std::string_view local_prefix = "local:";

// The whole of `text` as a number without sign, blanks or useless zeros.
template <class T>
std::optional<T> parse_number(std::string_view text, int base, std::size_t most_digits) noexcept {
  if (text.empty() || text.size() > most_digits) return std::nullopt;
  if (base == 10 && text.size() > 1 && text.front() == '0') return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Splits off what lies before the first `separator`; all of it when there is none.
std::string_view take_until(std::string_view& text, char separator) noexcept {
  const std::size_t at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return part;
}

bool parse_ipv4(std::string_view text, std::uint8_t* octets) noexcept {
  if (std::ranges::count(text, '.') != 3) return false;
  for (int i = 0; i < 4; ++i) {
    const auto octet = parse_number<std::uint8_t>(take_until(text, '.'), 10, 3);
    if (!octet) return false;
    octets[i] = *octet;
  }
  return true;
}

// Groups of hexadecimal digits separated by colons, the last perhaps an IPv4 address; how many
// octets, or nothing. An empty text has none.
std::optional<std::size_t> parse_groups(std::string_view text, std::uint8_t* octets) noexcept {
  std::size_t size = 0;
  if (text.empty()) return size;
  if (text.back() == ':') return std::nullopt;
  while (!text.empty()) {
    const bool last = text.find(':') == std::string_view::npos;
    const std::string_view group = take_until(text, ':');
    if (last && group.find('.') != std::string_view::npos) {
      if (size + 4 > 16 || !parse_ipv4(group, octets + size)) return std::nullopt;
      return size + 4;
    }
    const auto value = parse_number<std::uint16_t>(group, 16, 4);
    if (!value || size + 2 > 16) return std::nullopt;
    octets[size++] = static_cast<std::uint8_t>(*value >> 8);
    octets[size++] = static_cast<std::uint8_t>(*value);
  }
  return size;
}

// RFC 4291 section 2.2: eight groups, or fewer around one "::".
bool parse_ipv6(std::string_view text, std::array<std::uint8_t, 16>& octets) noexcept {
  octets.fill(0);
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) return parse_groups(text, octets.data()) == 16;
  std::array<std::uint8_t, 16> tail{};
  const std::string_view before = text.substr(0, gap);
  if (before.find('.') != std::string_view::npos) return false;
  const auto head_size = parse_groups(before, octets.data());
  const auto tail_size = parse_groups(text.substr(gap + 2), tail.data());
  // The "::" stands for at least one group.
  if (!head_size || !tail_size || *head_size + *tail_size > 14) return false;
  std::memcpy(octets.data() + 16 - *tail_size, tail.data(), *tail_size);
  return true;
}

void write_ipv4(base::TextBuffer& out, const std::uint8_t* octets) noexcept {
  base::format_to(out, "{}.{}.{}.{}", octets[0], octets[1], octets[2], octets[3]);
}

// RFC 5952: lower case, no leading zeros, "::" for the longest run of zero groups, the first of
// equals, never for a single one; an IPv4-mapped address ends in dotted form (section 5).
void write_ipv6(base::TextBuffer& out, const std::uint8_t* octets) noexcept {
  constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(octets, mapped, sizeof mapped) == 0) {
    out.append("::ffff:");
    write_ipv4(out, octets + 12);
    return;
  }
  auto group = [&](int i) { return octets[2 * i] << 8 | octets[2 * i + 1]; };
  int gap = 8;
  int gap_size = 1;
  for (int i = 0; i < 8; ++i) {
    int size = 0;
    while (i + size < 8 && group(i + size) == 0) ++size;
    if (size > gap_size) {
      gap = i;
      gap_size = size;
    }
    if (size > 0) i += size;
  }
  for (int i = 0; i < 8; ++i) {
    if (i == gap) {
      out.append("::");
      i += gap_size - 1;
      continue;
    }
    if (i > 0 && i != gap + gap_size) out.append(':');
    base::format_to(out, "{:x}", group(i));
  }
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
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), 10, 5);
  if (!port) return Error::invalid_argument;
  std::string_view host = text.substr(0, colon);

  if (!host.starts_with('[')) {
    std::array<std::uint8_t, 4> octets{};
    if (!parse_ipv4(host, octets.data())) return Error::invalid_argument;
    return ipv4(octets, *port);
  }
  if (!host.ends_with(']')) return Error::invalid_argument;
  host = host.substr(1, host.size() - 2);
  std::uint32_t scope = 0;
  if (const std::size_t percent = host.find('%'); percent != std::string_view::npos) {
    // RFC 4007 section 11.2; interfaces by number only.
    const auto zone = parse_number<std::uint32_t>(host.substr(percent + 1), 10, 10);
    if (!zone) return Error::invalid_argument;
    scope = *zone;
    host = host.substr(0, percent);
  }
  std::array<std::uint8_t, 16> octets;
  if (!parse_ipv6(host, octets)) return Error::invalid_argument;
  return ipv6(octets, *port, scope);
}

void format_value(base::TextBuffer& out, const Address& address) noexcept {
  const auto octets = address.octets();
  switch (address.family()) {
    case AddressFamily::none: out.append("no address"); break;
    case AddressFamily::ipv4:
      write_ipv4(out, octets.data());
      base::format_to(out, ":{}", address.port());
      break;
    case AddressFamily::ipv6:
      out.append('[');
      write_ipv6(out, octets.data());
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

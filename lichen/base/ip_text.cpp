#include "lichen/base/ip_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "lichen/base/format.hpp"

namespace lichen::base {

namespace {

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

// Groups of hexadecimal digits separated by colons, the last perhaps an IPv4 address; how many
// octets, or nothing. An empty text has none.
std::optional<std::size_t> parse_groups(std::string_view text, Ipv6Octets& octets) noexcept {
  std::size_t size = 0;
  if (text.empty()) return size;
  if (text.back() == ':') return std::nullopt;
  while (!text.empty()) {
    const bool last = text.find(':') == std::string_view::npos;
    const std::string_view group = take_until(text, ':');
    if (last && group.find('.') != std::string_view::npos) {
      const auto quad = parse_ipv4(group);
      if (size + 4 > octets.size() || !quad) return std::nullopt;
      std::ranges::copy(*quad, octets.begin() + static_cast<std::ptrdiff_t>(size));
      return size + 4;
    }
    const auto value = parse_number<std::uint16_t>(group, 16, 4);
    if (!value || size + 2 > octets.size()) return std::nullopt;
    octets[size++] = static_cast<std::uint8_t>(*value >> 8);
    octets[size++] = static_cast<std::uint8_t>(*value);
  }
  return size;
}

}  // namespace

std::optional<Ipv4Octets> parse_ipv4(std::string_view text) noexcept {
  if (std::ranges::count(text, '.') != 3) return std::nullopt;
  Ipv4Octets octets;
  for (std::uint8_t& octet : octets) {
    const auto number = parse_number<std::uint8_t>(take_until(text, '.'), 10, 3);
    if (!number) return std::nullopt;
    octet = *number;
  }
  return octets;
}

std::optional<Ipv6Octets> parse_ipv6(std::string_view text) noexcept {
  Ipv6Octets octets{};
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (parse_groups(text, octets) != octets.size()) return std::nullopt;
    return octets;
  }
  Ipv6Octets tail{};
  const std::string_view before = text.substr(0, gap);
  if (before.find('.') != std::string_view::npos) return std::nullopt;
  const auto head_size = parse_groups(before, octets);
  const auto tail_size = parse_groups(text.substr(gap + 2), tail);
  // The "::" stands for at least one group.
  if (!head_size || !tail_size || *head_size + *tail_size > 14) return std::nullopt;
  std::copy_n(tail.begin(), *tail_size, octets.end() - static_cast<std::ptrdiff_t>(*tail_size));
  return octets;
}

void write_ipv4(TextBuffer& out, std::span<const std::uint8_t, 4> octets) noexcept {
  format_to(out, "{}.{}.{}.{}", octets[0], octets[1], octets[2], octets[3]);
}

void write_ipv6(TextBuffer& out, std::span<const std::uint8_t, 16> octets) noexcept {
  constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(octets.data(), mapped, sizeof mapped) == 0) {
    out.append("::ffff:");
    write_ipv4(out, octets.last<4>());
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
    format_to(out, "{:x}", group(i));
  }
}

}  // namespace lichen::base

// The alphabet of HTTP: character classes, comparison without case, lists and numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace lichen::net::http {

// Classes of octets, as bits of one table.
enum CharClass : std::uint8_t {
  token_char = 1,   // tchar: names of fields and methods (RFC 9110 section 5.6.2)
  target_char = 2,  // visible ASCII but '#': what a request target may hold (RFC 3986, and more)
  value_char = 4,   // field-content: visible, space, tab and obs-text (RFC 9110 section 5.5)
  digit_char = 8,
  hex_char = 16,
  host_char = 32,  // uri-host and port (RFC 3986 section 3.2.2)
  alpha_char = 64,
  etag_char = 128,  // etagc (RFC 9110 section 8.8.3)
};

namespace detail {

consteval std::array<std::uint8_t, 256> make_char_table() {
  std::array<std::uint8_t, 256> table{};
  const auto add = [&](std::string_view characters, CharClass kind) {
    for (const char c : characters) table[static_cast<unsigned char>(c)] |= kind;
  };
  for (unsigned c = 0; c < 256; ++c) {
    const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (alpha) table[c] |= alpha_char;
    if (digit) table[c] |= digit_char;
    if (alpha || digit) table[c] |= token_char | host_char;
    if (c > ' ' && c < 0x7f && c != '#') table[c] |= target_char;
    if (c == '\t' || (c >= ' ' && c != 0x7f)) table[c] |= value_char;
    if (c == '!' || (c >= '#' && c != 0x7f)) table[c] |= etag_char;
  }
  add("!#$%&'*+-.^_`|~", token_char);
  add("-._~!$&'()*+,;=%:[]", host_char);
  add("0123456789abcdefABCDEF", hex_char);
  return table;
}
inline constexpr std::array<std::uint8_t, 256> char_table = make_char_table();

}  // namespace detail

[[nodiscard]] constexpr bool is(CharClass kind, char c) noexcept {
  return (detail::char_table[static_cast<unsigned char>(c)] & kind) != 0;
}
[[nodiscard]] constexpr bool all(CharClass kind, std::string_view text) noexcept {
  std::uint8_t common = kind;
  for (const char c : text) common &= detail::char_table[static_cast<unsigned char>(c)];
  return common != 0;
}
// At least one character, all of them tchar.
[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
  return !text.empty() && all(token_char, text);
}

[[nodiscard]] constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
// Equal but for the case of ASCII letters.
[[nodiscard]] constexpr bool equals(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

[[nodiscard]] constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }
// Without the optional white space around it.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the next non-empty element off a comma-separated list (RFC 9110 section 5.6.1), trimmed;
// empty when none is left. Commas inside quoted strings do not separate.
[[nodiscard]] constexpr std::string_view next_element(std::string_view& list) noexcept {
  while (!list.empty()) {
    bool quoted = false;
    std::size_t end = 0;
    for (; end < list.size() && (quoted || list[end] != ','); ++end) {
      if (list[end] == '"') quoted = !quoted;
      if (list[end] == '\\' && quoted && end + 1 < list.size()) ++end;
    }
    const std::string_view element = trim(list.substr(0, end));
    list.remove_prefix(end < list.size() ? end + 1 : end);
    if (!element.empty()) return element;
  }
  return {};
}
// Whether a list of tokens holds this one, in whatever case.
[[nodiscard]] constexpr bool has_token(std::string_view list, std::string_view token) noexcept {
  for (auto element = next_element(list); !element.empty(); element = next_element(list))
    if (equals(element, token)) return true;
  return false;
}

// 1*DIGIT and nothing else. A number that does not fit is nullopt too.
[[nodiscard]] constexpr std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is(digit_char, c)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}
// The value of a hexadecimal digit, which it MUST be.
[[nodiscard]] constexpr unsigned hex_value(char c) noexcept {
  return c <= '9' ? static_cast<unsigned>(c - '0') : static_cast<unsigned>((c | 0x20) - 'a') + 10;
}

}  // namespace lichen::net::http

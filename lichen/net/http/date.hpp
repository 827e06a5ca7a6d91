// Dates as HTTP writes them (RFC 9110 section 5.6.7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lichen::net::http {

// "Sun, 06 Nov 1994 08:49:37 GMT".
class DateText {
 public:
  static constexpr std::size_t size = 29;
  // Seconds since 1970-01-01 00:00 UTC, in the years 0 to 9999; a moment outside is moved to the
  // nearest inside.
  explicit DateText(std::int64_t unix_seconds) noexcept;
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size}; }

 private:
  std::array<char, size> text_;
};

// Any of the three formats a recipient must understand; nullopt if it is none of them. A two-digit
// year is taken as the one nearest to `now`, and as past if that is more than 50 years ahead.
std::optional<std::int64_t> parse_date(std::string_view text,
                                       std::int64_t now_unix_seconds = 0) noexcept;

}  // namespace lichen::net::http

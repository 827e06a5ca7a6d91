#include "lichen/net/http/head_writer.hpp"

#include <array>
#include <charconv>

namespace lichen::net::http {

void HeadWriter::status(Status status) noexcept {
  if (const std::string_view line = status_line(status); !line.empty()) [[likely]] {
    lines(line);
    return;
  }
  const unsigned number = code(status);
  require(number >= 100 && number <= 999);
  const std::array digits{static_cast<char>('0' + number / 100 % 10),
                          static_cast<char>('0' + number / 10 % 10),
                          static_cast<char>('0' + number % 10)};
  lines("HTTP/1.1 ");
  lines({digits.data(), digits.size()});
  lines(" \r\n");
}

void HeadWriter::request(std::string_view method, std::string_view target) noexcept {
  require(is_token(method) && !target.empty() && all(target_char, target));
  lines(method);
  lines(" ");
  lines(target);
  lines(" HTTP/1.1\r\n");
}

void HeadWriter::field(std::string_view name, std::uint64_t value) noexcept {
  require(is_token(name));
  trusted_field(name, value);
}

void HeadWriter::trusted_field(std::string_view name, std::uint64_t value) noexcept {
  std::array<char, 20> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  trusted_field(name, {digits.data(), static_cast<std::size_t>(result.ptr - digits.data())});
}

}  // namespace lichen::net::http

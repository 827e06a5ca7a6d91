// Domain names (RFC 1035 section 3.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/text_buffer.hpp"

namespace lichen::net::dns {

using Bytes = std::span<const std::byte>;

// As on the wire, without compression, in lower case, so that equal names are equal bytes (RFC
// 4343).
class Name {
 public:
  static constexpr std::size_t most = 255;
  static constexpr std::size_t most_label = 63;

  constexpr Name() noexcept = default;
  // "www.example.com", with or without the dot of the root. Labels are letters, digits, hyphens and
  // underscores (RFC 1123 section 2.1, RFC 2181 section 11); others are refused.
  static std::optional<Name> parse(std::string_view text) noexcept;
  // From `at` in a message, and moves it behind; follows compression (section 4.1.4), only ever
  // backwards, so that it comes to an end. Nothing for what is malformed or too long.
  static std::optional<Name> read(Bytes message, std::size_t& at) noexcept;

  [[nodiscard]] Bytes bytes() const noexcept { return std::span{bytes_}.first(size_); }
  // This name, or one below it.
  [[nodiscard]] bool is_within(const Name& zone) const noexcept;

  friend bool operator==(const Name& a, const Name& b) noexcept;

 private:
  bool add_label(Bytes label) noexcept;
  bool end() noexcept;

  std::array<std::byte, most> bytes_{};
  std::uint8_t size_ = 0;
};

void format_value(base::TextBuffer& out, const Name& name) noexcept;

}  // namespace lichen::net::dns

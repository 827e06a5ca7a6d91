#include "lichen/net/wire/drop.hpp"

#include <array>

namespace lichen::net::wire {

std::string_view name(Drop drop) noexcept {
  static constexpr std::array<std::string_view, drop_count> names = {
      "truncated",  "bad_version",   "bad_header_length", "bad_length", "bad_checksum",
      "bad_option", "bad_extension", "bad_address",       "bad_port",   "bad_value"};
  const auto index = static_cast<std::size_t>(drop);
  return index < names.size() ? names[index] : "unknown";
}

}  // namespace lichen::net::wire

#include "lichen/net/ip/drop.hpp"

namespace lichen::net::ip {

std::string_view name(Drop drop) noexcept {
  static constexpr std::array<std::string_view, drop_count> names = {
      "interface_down",  "other_station",    "bad_station",
      "unknown_type",    "martian_source",   "martian_destination",
      "own_source",      "not_ours",         "not_joined",
      "source_route",    "unknown_protocol", "fragment_overlap",
      "fragment_lies",   "fragment_limit",   "fragment_timeout",
      "not_link_local",  "unsolicited",      "address_in_use",
      "not_believed",    "unknown_message",  "broadcast_echo",
      "no_port",         "receiver_full",    "no_route",
      "no_source",       "unresolved",       "pending_full",
      "neighbours_full", "device_full",      "too_big",
      "error_limited",   "loopback_full"};
  static_assert(!names.back().empty());
  const auto index = static_cast<std::size_t>(drop);
  return index < names.size() ? names[index] : "unknown";
}

}  // namespace lichen::net::ip

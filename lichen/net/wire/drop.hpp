// Why a packet is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

namespace lichen::net::wire {

enum class Drop : std::uint8_t {
  truncated,          // fewer bytes than the format has at least, or than a length in it says
  bad_version,        // not the version of IP that was announced; not ARP for IPv4 over Ethernet
  bad_header_length,  // shorter than the fixed part
  bad_length,         // lengths contradict each other
  bad_checksum,
  bad_option,     // an option whose length cannot be, or that asks to be dropped when unknown
  bad_extension,  // IPv6 headers that may not stand so: unknown, out of order, too many
  bad_address,    // an address that cannot be on a wire there
  bad_port,       // port zero
  bad_value,      // a field has a value that its specification forbids
  count,          // how many there are
};

inline constexpr std::size_t drop_count = static_cast<std::size_t>(Drop::count);

// The enumerator's own name.
std::string_view name(Drop drop) noexcept;

template <class T>
using Parsed = std::expected<T, Drop>;

}  // namespace lichen::net::wire

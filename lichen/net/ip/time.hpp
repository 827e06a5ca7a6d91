// Times are in ns of a clock that does not go back; whoever calls says what time it is.
#pragma once

#include <cstdint>

namespace lichen::net::ip {

inline constexpr std::uint64_t millisecond = 1'000'000;
inline constexpr std::uint64_t second = 1'000 * millisecond;
inline constexpr std::uint64_t never = UINT64_MAX;

// `now` plus a number of seconds of a packet, in which all ones stand for ever (RFC 4861 section
// 4.6.2, RFC 2131 section 3.3).
[[nodiscard]] constexpr std::uint64_t after_seconds(std::uint64_t now,
                                                    std::uint32_t seconds) noexcept {
  return seconds == UINT32_MAX ? never : now + seconds * second;
}

}  // namespace lichen::net::ip

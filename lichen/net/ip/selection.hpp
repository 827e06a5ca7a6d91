// Which of several addresses is used (RFC 6724): choose_source() in interface.hpp, and this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/ip/stack.hpp"

namespace lichen::net::ip {

inline constexpr std::size_t most_destinations = 32;

// The addresses of a peer in the order in which to try them: section 6, rules 1 to 3, 5, 6, 8 and
// 10; 4 and 7 have no case here, 9 would undo the order by which servers spread their load. What
// comes after the first `most_destinations` stays where it is.
void sort_destinations(Stack& stack, std::span<wire::IpAddress> destinations,
                       std::uint64_t now) noexcept;

}  // namespace lichen::net::ip

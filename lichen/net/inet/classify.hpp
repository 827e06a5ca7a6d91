// Who is to see a frame, of several cores that share a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace lichen::net::inet {

enum class Audience : std::uint8_t {
  here,   // TCP in one piece: the core on which it came, which knows whose connection it is
  ports,  // UDP in one piece: whose the port is will be found; nobody's is the first core's
  first,  // the first core: fragments, echo, what is for groups, and what is wrong
  all,    // neighbours, routers, and errors about packets that any core may have sent
};

// Looks only; whoever gets the frame checks it.
[[nodiscard]] Audience audience_of(std::span<const std::byte> frame) noexcept;
// Of Audience::ports.
[[nodiscard]] std::optional<std::uint16_t> port_of(std::span<const std::byte> frame) noexcept;

}  // namespace lichen::net::inet

// Who is to see a frame, of several cores that share a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lichen::net::inet {

enum class Audience : std::uint8_t {
  here,   // TCP in one piece: the core on which it came, which knows whose connection it is
  first,  // the first core: UDP, fragments, echo, and what is wrong
  all,    // neighbours, routers, and errors about packets that any core may have sent
};

// Looks only; whoever gets the frame checks it.
[[nodiscard]] Audience audience_of(std::span<const std::byte> frame) noexcept;

}  // namespace lichen::net::inet

// Numbers of network cards (virtio 1.2, 5.1).
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/driver/virtio/features.hpp"

namespace lichen::driver::virtio {

// 5.1.3.
namespace net_feature {
inline constexpr Features checksum = Features{1} << 0;
inline constexpr Features guest_checksum = Features{1} << 1;
inline constexpr Features mtu = Features{1} << 3;
inline constexpr Features address = Features{1} << 5;
inline constexpr Features guest_tcp4 = Features{1} << 7;
inline constexpr Features guest_tcp6 = Features{1} << 8;
inline constexpr Features host_tcp4 = Features{1} << 11;
inline constexpr Features host_tcp6 = Features{1} << 12;
inline constexpr Features merge_buffers = Features{1} << 15;
inline constexpr Features status = Features{1} << 16;
inline constexpr Features control = Features{1} << 17;
inline constexpr Features receive_mode = Features{1} << 18;
inline constexpr Features announce = Features{1} << 21;
inline constexpr Features pairs = Features{1} << 22;
inline constexpr Features set_address = Features{1} << 23;
inline constexpr Features coalescing = Features{1} << 53;
}  // namespace net_feature

// 5.1.4.
namespace net_field {
inline constexpr std::size_t address = 0;
inline constexpr std::size_t status = 6;
inline constexpr std::size_t most_pairs = 8;
inline constexpr std::size_t mtu = 10;
inline constexpr std::uint16_t link_is_up = 1;  // of the status
inline constexpr std::uint16_t announce = 2;
}  // namespace net_field

// 5.1.6.5: the first two bytes of a command.
struct NetCommand {
  std::uint8_t kind = 0;
  std::uint8_t number = 0;
};
namespace net_command {
inline constexpr NetCommand promiscuous{0, 0};
inline constexpr NetCommand set_address{1, 1};
inline constexpr NetCommand announced{3, 0};
inline constexpr NetCommand set_pairs{4, 0};
inline constexpr NetCommand coalesce_sent{6, 0};
inline constexpr NetCommand coalesce_received{6, 1};
}  // namespace net_command

}  // namespace lichen::driver::virtio

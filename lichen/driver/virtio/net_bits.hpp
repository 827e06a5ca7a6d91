// Numbers of network cards (virtio 1.2, 5.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/driver/virtio/features.hpp"
#include "lichen/io/steering.hpp"

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
inline constexpr Features steering = Features{1} << 60;
}  // namespace net_feature

// 5.1.4.
namespace net_field {
inline constexpr std::size_t address = 0;
inline constexpr std::size_t status = 6;
inline constexpr std::size_t most_pairs = 8;
inline constexpr std::size_t mtu = 10;
inline constexpr std::size_t most_key = 17;
inline constexpr std::size_t most_entries = 18;
inline constexpr std::size_t hash_types = 20;
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
inline constexpr NetCommand steer{4, 1};
inline constexpr NetCommand coalesce_sent{6, 0};
inline constexpr NetCommand coalesce_received{6, 1};
}  // namespace net_command

// 5.1.6.4.3.1: what of a packet is hashed; without fragments.
namespace net_hash {
inline constexpr std::uint32_t tcp4 = 1U << 1;
inline constexpr std::uint32_t udp4 = 1U << 2;
inline constexpr std::uint32_t tcp6 = 1U << 4;
inline constexpr std::uint32_t udp6 = 1U << 5;
}  // namespace net_hash

// 5.1.6.5.6.4 and 5.1.6.5.6.5, with a table and a key of the sizes of io::Steering.
struct [[gnu::packed]] NetSteering {
  std::uint32_t hash_types = 0;
  std::uint16_t mask = io::Steering::entries - 1;
  std::uint16_t of_others = 0;  // the pair for what has none of these
  std::array<std::uint16_t, io::Steering::entries> pairs{};
  std::uint16_t send_queues = 0;
  std::uint8_t key_size = io::Steering::key_size;
  std::array<std::uint8_t, io::Steering::key_size> key{};
};
static_assert(sizeof(NetSteering) == 307);

}  // namespace lichen::driver::virtio

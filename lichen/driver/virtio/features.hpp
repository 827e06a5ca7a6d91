// Feature bits that do not depend on the kind of device (virtio 1.2, 6).
#pragma once

#include <cstdint>

namespace lichen::driver::virtio {

using Features = std::uint64_t;

namespace feature {
inline constexpr Features indirect_descriptors = Features{1} << 28;
inline constexpr Features event_index = Features{1} << 29;
inline constexpr Features version_1 = Features{1} << 32;
// Addresses are those the platform gives the device, which is what DeviceMemory::address() is for.
inline constexpr Features access_platform = Features{1} << 33;
inline constexpr Features packed_ring = Features{1} << 34;
// The device is no processor of the same machine. What orders memory between our cores orders it
// for such a device on x86-64 and RISC-V, too.
inline constexpr Features order_platform = Features{1} << 36;
}  // namespace feature

}  // namespace lichen::driver::virtio

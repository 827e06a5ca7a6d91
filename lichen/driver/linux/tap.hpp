// A TAP device of the host as io::NetDevice: what the host routes there are our frames.
//
//   ip tuntap add dev NAME mode tap user USER; ip link set NAME up
//
// prepares one for somebody who may not make it himself.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/net_device.hpp"

namespace lichen::driver {

struct TapOptions {
  // Checksums and segmentation are left to each other. Off: whole frames only, of at most the MTU.
  bool offload = true;
  // Frames that may wait for us or be held by whoever received them.
  unsigned frames = 256;
  std::size_t mtu = 1500;  // that of the device in the host; it is not changed
  // Others may open it, too, each with a queue of its own; the host keeps a connection to the queue
  // that sends it. A device that was made without (`multi_queue`) is refused: invalid_argument.
  bool several_queues = false;
};

// Opens the device, or makes it if it does not exist and we may: it goes away with us then. For the
// calling core. Errors: invalid_argument (name: 1 to 15 bytes, no '/'), access_denied (no right to
// it, or to make it), busy (somebody else has it open), not_supported (the host has no TAP
// devices).
Result<std::unique_ptr<io::NetDevice>> open_tap(UringCores& cores, std::string_view name,
                                                const TapOptions& options = {}) noexcept;

// For the calling core: sends through the queue of `first`, which open_tap() has opened, and never
// receives. Where the device has one queue only.
Result<std::unique_ptr<io::NetDevice>> open_tap_beside(UringCores& cores,
                                                       const io::NetDevice& first,
                                                       const TapOptions& options = {}) noexcept;

}  // namespace lichen::driver

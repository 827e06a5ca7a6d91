// The devices of a bare machine, as far as there are drivers for them.
#pragma once

#include <memory>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/image/bare/virtio_device.hpp"

namespace lichen::image {

// All virtio devices whose interrupts can be taken on this core. What cannot be used is logged.
std::vector<std::unique_ptr<VirtioDevice>> find_virtio_devices();

}  // namespace lichen::image

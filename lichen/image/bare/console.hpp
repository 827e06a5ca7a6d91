// A virtio console as the machine's: it shows what is written, and asks to stop when Ctrl-C is
// typed.
#pragma once

#include <memory>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/image/bare/system.hpp"
#include "lichen/image/bare/virtio_device.hpp"

namespace lichen::image {

// All on core 0.

// From now on it shows what is written, and what was before. Errors: those of
// ConsoleDevice::open().
Task<Result<void>> open_console(VirtioDevice& device);
// Reads what is typed, until it is asked to stop.
Task<Result<void>> listen_to_console(BareSystem& system);
// It goes on to show what is written when nobody takes its interrupts any more.
void keep_console(std::unique_ptr<VirtioDevice> device) noexcept;
// Until then, which is before the devices are looked for again.
void close_console() noexcept;

}  // namespace lichen::image

// The disks of a bare machine. In an image only where its build asks for them (DISKS of
// lichen_boot_image and lichen_app).
#pragma once

#include <memory>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/image/bare/outside.hpp"
#include "lichen/image/bare/virtio_device.hpp"
#include "lichen/io/block_device.hpp"

namespace lichen::image {

class Disks {
 public:
  virtual ~Disks() = default;
  [[nodiscard]] virtual std::span<io::BlockDevice* const> all() const noexcept = 0;
  // MUST run as long as they are used; until it is stopped.
  virtual Task<Result<void>> serve() = 0;
  // Nobody uses them any more. MUST be called before this goes.
  virtual Task<Result<void>> close() = 0;
};

// Those among the devices, which MUST outlive them, with a queue for each core as far as they have
// them; `listeners` are whom the cores ask. What cannot be used is logged. On core 0. Its address
// is null in an image without disks. Errors: no_memory, stopped.
[[gnu::weak]] Task<Result<std::unique_ptr<Disks>>> open_disks(
    std::span<const std::unique_ptr<VirtioDevice>> found, DeviceListeners& listeners);

}  // namespace lichen::image

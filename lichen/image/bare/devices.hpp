// The devices of a bare machine, as far as there are drivers for them.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/image/bare/outside.hpp"
#include "lichen/image/bare/virtio_device.hpp"

namespace lichen::image {

// All virtio devices whose interrupts can be taken on this core. What cannot be used is logged.
std::vector<std::unique_ptr<VirtioDevice>> find_virtio_devices();

// Those, and what core 0 asks of them.
class Devices final : public DeviceListener {
 public:
  Devices() : found_{find_virtio_devices()} {}
  Devices(const Devices&) = delete;
  Devices& operator=(const Devices&) = delete;
  ~Devices();

  bool deliver() noexcept override;
  bool prepare_sleep() noexcept override;
  bool is_deaf() const noexcept override;

  [[nodiscard]] std::span<const std::unique_ptr<VirtioDevice>> all() const noexcept {
    return found_;
  }
  // Null: there is none.
  [[nodiscard]] VirtioDevice* first(driver::virtio::DeviceKind kind) noexcept;
  // From now on it is the caller's.
  std::unique_ptr<VirtioDevice> release(const VirtioDevice& wanted) noexcept;

 private:
  std::vector<std::unique_ptr<VirtioDevice>> found_;
};

// The parts of an image that use devices. Each is in an image only where its build asks for it
// (lichen_boot_image); else its address is null. All run on core 0: they bring up what they find,
// run `main`, and take down what they have brought up.
[[gnu::weak]] Task<Result<void>> run_with_console(BareSystem& system, Devices& devices,
                                                  Task<Result<void>> main);
[[gnu::weak]] Task<Result<void>> run_with_balloon(Devices& devices, Task<Result<void>> main);
// `main` does not run unless there is an address, or no card.
[[gnu::weak]] Task<Result<void>> run_with_network(BareSystem& system, Devices& devices,
                                                  DeviceListeners& listeners,
                                                  Task<Result<void>> main);
[[gnu::weak]] Task<Result<void>> run_with_disks(BareSystem& system, Devices& devices,
                                                DeviceListeners& listeners,
                                                Task<Result<void>> main);
// A console of an earlier run that still shows what is written, until the devices are looked for
// again.
[[gnu::weak]] void close_console() noexcept;

}  // namespace lichen::image

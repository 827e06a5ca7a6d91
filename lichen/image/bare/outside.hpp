// What an image has of the outside. One that is made with NETWORK contains it (lichen_boot_image),
// in others there is nothing of it.
#pragma once

#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/bare/system.hpp"
#include "lichen/sched/event_source.hpp"

namespace lichen::image {

// Where drivers learn of what their interrupts told.
class DeviceListener {
 public:
  // Between two tasks of core 0: true if there was anything.
  virtual bool deliver() noexcept = 0;

 protected:
  ~DeviceListener() = default;
};

// The events of core 0, which takes the interrupts of devices and console. An interrupt ends the
// sleep of a core that is about to begin, too; so what it told is always looked at before the core
// sleeps.
class DeviceEvents final : public sched::EventSource {
 public:
  DeviceEvents(BareSystem& system, DeviceListener* const& listener) noexcept
      : system_{system}, listener_{listener} {}
  unsigned poll() noexcept override {
    const bool asked = system_.deliver();
    return (asked ? 1 : 0) + (listener_ && listener_->deliver() ? 1 : 0);
  }
  void wait(std::uint64_t deadline_ns) noexcept override { hal::wait(0, deadline_ns); }
  void wake() noexcept override { hal::wake(0); }

 private:
  BareSystem& system_;
  DeviceListener* const& listener_;  // changed on core 0
};

// Runs `main` with the devices that are there, and stops them when it has ended. `listener` is what
// core 0 is to ask meanwhile.
[[gnu::weak]] Task<Result<void>> run_with_devices(BareSystem& system, DeviceListener*& listener,
                                                  Task<Result<void>> main);

}  // namespace lichen::image

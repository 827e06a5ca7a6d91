// What an image has of the outside. One that has drivers for devices contains it
// (lichen_boot_image), in others there is nothing of it.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/bare/system.hpp"
#include "lichen/sched/event_source.hpp"

namespace lichen::image {

// Where drivers learn of what their interrupts told.
class DeviceListener {
 public:
  // Between two tasks of its core: true if there was anything.
  virtual bool deliver() noexcept = 0;
  // Before that core sleeps: false if it has to look once more first.
  virtual bool prepare_sleep() noexcept { return true; }
  // Whether interrupts are wanted only from then on.
  [[nodiscard]] virtual bool is_deaf() const noexcept { return false; }

 protected:
  ~DeviceListener() = default;
};

// Of each core, which alone reads and changes its own. Null: there is none.
using DeviceListeners = std::array<DeviceListener*, coro::max_cores>;

// The events of a core that takes interrupts of devices; core 0 takes those of the console, too. An
// interrupt ends the sleep of a core that is about to begin; so what it told is always looked at
// before the core sleeps.
class DeviceEvents final : public sched::EventSource {
 public:
  DeviceEvents(BareSystem& system, unsigned core, DeviceListener* const& listener) noexcept
      : system_{system}, core_{core}, listener_{listener} {}
  unsigned poll() noexcept override {
    const bool asked = core_ == 0 && system_.deliver();
    return (asked ? 1 : 0) + (listener_ && listener_->deliver() ? 1 : 0);
  }
  void wait(std::uint64_t deadline_ns) noexcept override {
    if (!listener_ || listener_->prepare_sleep()) hal::wait(core_, deadline_ns);
  }
  void wake() noexcept override { hal::wake(core_); }
  bool is_deaf() const noexcept override { return listener_ && listener_->is_deaf(); }
  bool listen() noexcept override { return listener_ && !listener_->prepare_sleep(); }

 private:
  BareSystem& system_;
  const unsigned core_;
  DeviceListener* const& listener_;
};

// Runs `main` with the devices that are there, and stops them when it has ended. `listeners` are
// whom the cores are to ask meanwhile.
[[gnu::weak]] Task<Result<void>> run_with_devices(BareSystem& system, DeviceListeners& listeners,
                                                  Task<Result<void>> main);

}  // namespace lichen::image

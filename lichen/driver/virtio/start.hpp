// How a device is brought up, and taken down (virtio 1.2, 3.1.1 and 2.4).
#pragma once

#include <chrono>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/transport.hpp"

namespace lichen::driver::virtio {

// A feature that is of no use without others.
struct FeatureNeeds {
  Features feature = 0;
  Features needs = 0;
};

struct FeatureWishes {
  Features wanted = 0;    // of its kind; those of every device are added
  Features required = 0;  // without them the driver can do nothing; version_1 always is
  std::span<const FeatureNeeds> needs{};  // who is needed comes before who needs it
};

// Asks for a reset, without waiting. True if the device is reset already.
bool begin_reset(Transport& transport) noexcept;
// For whoever cannot wait, such as a destructor: asks for it and looks for a moment. False: the
// device may still use our memory.
bool reset_now(Transport& transport) noexcept;
// Waits until it is. Errors: timed_out (the device does not answer), stopped.
Task<Result<void>> reset(Transport& transport) noexcept;

// Steps 1 to 6: reset, acknowledge, driver, features. Yields those both sides have. Then the queues
// are set up, and finish() lets the device go. Errors: not_supported (features; the device refuses
// them), timed_out, stopped.
Task<Result<Features>> begin(Transport& transport, FeatureWishes wishes) noexcept;
// Step 8. Errors: io_failed (the device has broken down meanwhile).
Result<void> finish(Transport& transport) noexcept;
// Gives the device up: it is told that we did.
void fail(Transport& transport) noexcept;

// Before a device is brought up again: one that breaks down again and again does not keep us busy.
class RestartPause {
 public:
  static constexpr std::chrono::nanoseconds first = std::chrono::milliseconds{1};
  static constexpr std::chrono::nanoseconds longest = std::chrono::milliseconds{1'024};

  // Not at all at first, then twice as long each time. Errors: stopped.
  Task<Result<void>> wait() noexcept;
  // It has worked since.
  void forget() noexcept { next_ = {}; }

 private:
  std::chrono::nanoseconds next_{};
};

}  // namespace lichen::driver::virtio

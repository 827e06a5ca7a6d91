// The machine's page frames in the hands of a virtio balloon.
#include "lichen/driver/virtio/balloon.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/bare/devices.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::image {

namespace {

namespace virtio = driver::virtio;

// Granules of page frames, except the last few MiB that are free.
class GivenFrames final : public virtio::BalloonMemory {
 public:
  static constexpr std::size_t reserve = std::size_t{4} << 20;

  [[nodiscard]] std::size_t piece_size() const noexcept override { return hal::granule_size; }
  Result<std::span<std::byte>> take() noexcept override {
    if (statistics().free < reserve + hal::granule_size) return Error::no_memory;
    return hal::allocate_aligned(hal::granule_size, hal::granule_size);
  }
  void give_back(std::span<std::byte> piece) noexcept override { hal::free_pages(piece); }
  [[nodiscard]] virtio::BusAddress address(
      std::span<const std::byte> piece) const noexcept override {
    return hal::physical_address(piece);
  }
  [[nodiscard]] Statistics statistics() const noexcept override {
    const std::size_t total = hal::memory_size();
    return {.total = total, .free = total - hal::page_statistics().allocated};
  }
};

class BareBalloon {
 public:
  explicit BareBalloon(VirtioDevice& device) noexcept : device_{device} {}
  BareBalloon(const BareBalloon&) = delete;
  BareBalloon& operator=(const BareBalloon&) = delete;
  // All memory is the machine's again.
  ~BareBalloon() { device_.tell(nullptr); }

  // Errors: those of Balloon::open().
  Task<Result<void>> open() {
    balloon_ = CO_TRY(co_await virtio::Balloon::open(device_.transport(), memory_, frames_));
    interrupts_.emplace(*balloon_);
    device_.tell(&*interrupts_);
    co_return Result<void>{};
  }
  // Does what the device wants until it is stopped.
  Task<Result<void>> run() {
    const Result<void> ended = co_await balloon_->run();
    if (!ended.failed_with(Error::stopped))
      base::log::warning("the virtio balloon is not used any more: {}", ended.error());
    co_return ended;
  }

 private:
  VirtioDevice& device_;
  PageMemory memory_;
  GivenFrames frames_;
  std::unique_ptr<virtio::Balloon> balloon_;
  std::optional<Interrupts<virtio::Balloon>> interrupts_;
};

}  // namespace

Task<Result<void>> run_with_balloon(Devices& devices, Task<Result<void>> main) {
  VirtioDevice* const device = devices.first(virtio::DeviceKind::balloon);
  if (!device) co_return co_await std::move(main);
  BareBalloon balloon{*device};
  const Result<void> opened = co_await balloon.open();
  if (!opened) base::log::warning("the virtio balloon cannot be used: {}", opened.error());
  Scope scope{OnError::keep_going};
  if (opened) scope.spawn(balloon.run());
  const Result<void> outcome = co_await std::move(main);
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

}  // namespace lichen::image

#pragma clang attribute pop

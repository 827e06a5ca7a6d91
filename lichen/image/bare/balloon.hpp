// The machine's page frames in the hands of a virtio balloon.
#pragma once

#include <memory>
#include <optional>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/balloon.hpp"
#include "lichen/image/bare/virtio_device.hpp"

namespace lichen::image {

// Granules of page frames, except the last few MiB that are free.
class GivenFrames final : public driver::virtio::BalloonMemory {
 public:
  static constexpr std::size_t reserve = std::size_t{4} << 20;

  [[nodiscard]] std::size_t piece_size() const noexcept override;
  Result<std::span<std::byte>> take() noexcept override;
  void give_back(std::span<std::byte> piece) noexcept override;
  [[nodiscard]] driver::virtio::BusAddress address(
      std::span<const std::byte> piece) const noexcept override;
  [[nodiscard]] Statistics statistics() const noexcept override;
};

// Of core 0, as the device, which MUST outlive it.
class BareBalloon {
 public:
  explicit BareBalloon(VirtioDevice& device) noexcept : device_{device} {}
  BareBalloon(const BareBalloon&) = delete;
  BareBalloon& operator=(const BareBalloon&) = delete;
  // All memory is the machine's again.
  ~BareBalloon() { device_.tell(nullptr); }

  // Errors: those of Balloon::open().
  Task<Result<void>> open();
  // Does what the device wants until it is stopped.
  Task<Result<void>> run();

 private:
  VirtioDevice& device_;
  PageMemory memory_;
  GivenFrames frames_;
  std::unique_ptr<driver::virtio::Balloon> balloon_;
  std::optional<Interrupts<driver::virtio::Balloon>> interrupts_;
};

}  // namespace lichen::image

// virtio over MMIO, version 2 of the register layout (virtio 1.2, 4.2).
#pragma once

#include <memory>

#include "lichen/driver/virtio/registers.hpp"
#include "lichen/driver/virtio/transport.hpp"

namespace lichen::driver::virtio {

class MmioTransport final : public Transport {
 public:
  // The registers MUST outlive it. Errors: not_supported (no virtio device of that layout),
  // not_found (an empty slot).
  static Result<MmioTransport> create(Registers& registers) noexcept;

  DeviceKind kind() noexcept override;
  Features offered() noexcept override;
  void accept(Features features) noexcept override;
  std::uint8_t status() noexcept override;
  void set_status(std::uint8_t status) noexcept override;
  std::uint8_t config_generation() noexcept override;
  std::uint8_t config8(std::size_t offset) noexcept override;
  std::uint16_t config16(std::size_t offset) noexcept override;
  std::uint32_t config32(std::size_t offset) noexcept override;
  void set_config8(std::size_t offset, std::uint8_t value) noexcept override;
  void set_config32(std::size_t offset, std::uint32_t value) noexcept override;
  std::uint16_t queue_limit(std::uint16_t queue) noexcept override;
  Result<void> enable_queue(std::uint16_t queue, const QueueSetup& setup) noexcept override;
  Result<void> set_config_vector(Vector vector) noexcept override;
  void notify(std::uint16_t queue) noexcept override;
  Vector vectors() const noexcept override { return 0; }
  InterruptCause acknowledge_interrupt() noexcept override;

 private:
  explicit MmioTransport(Registers& registers) noexcept : registers_{&registers} {}
  [[nodiscard]] bool has_config(std::size_t offset, std::size_t width) const noexcept;

  Registers* registers_;
};

}  // namespace lichen::driver::virtio

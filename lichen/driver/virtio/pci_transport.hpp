// virtio over PCI, the modern interface (virtio 1.2, 4.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/driver/virtio/registers.hpp"
#include "lichen/driver/virtio/transport.hpp"

namespace lichen::driver::virtio {

// A function of the PCI bus, found and enabled (memory space, bus master) by somebody else. If
// MSI-X is enabled, entry n of its table is vector n.
class PciFunction {
 public:
  // 256 bytes or more.
  virtual Registers& configuration() noexcept = 0;
  // Null: there is no such memory.
  virtual Registers* bar(unsigned index) noexcept = 0;

 protected:
  ~PciFunction() = default;
};

class PciTransport final : public Transport {
 public:
  static constexpr std::uint16_t most_queues = 2 * 64 + 1;  // with those of 64 cores

  // The function MUST outlive it. Errors: not_found (no virtio device), not_supported (it has only
  // the legacy interface, or its capabilities do not describe the modern one).
  static Result<PciTransport> create(PciFunction& function) noexcept;

  DeviceKind kind() noexcept override { return kind_; }
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
  Vector vectors() const noexcept override { return vectors_; }
  InterruptCause acknowledge_interrupt() noexcept override;

 private:
  // Part of a BAR, which lies inside.
  struct Window {
    Registers* registers = nullptr;
    std::size_t offset = 0;
    std::size_t length = 0;
  };
  PciTransport() noexcept = default;
  void find(PciFunction& function) noexcept;
  void read_capability(PciFunction& function, std::size_t at) noexcept;
  [[nodiscard]] bool has_config(std::size_t offset, std::size_t width) const noexcept;

  DeviceKind kind_ = DeviceKind::none;
  Window common_;
  Window notify_;
  Window isr_;
  Window device_;  // a device need not have one
  std::uint32_t notify_multiplier_ = 0;
  Vector vectors_ = 0;
  std::array<std::size_t, most_queues> doorbells_{};  // offsets
};

}  // namespace lichen::driver::virtio

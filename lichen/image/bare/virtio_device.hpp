// A virtio device of a bare machine: its registers, the memory it shares with us, its interrupts.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/driver/pci/function.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/mmio_transport.hpp"
#include "lichen/driver/virtio/pci_transport.hpp"
#include "lichen/driver/virtio/registers.hpp"
#include "lichen/hal/bare/devices.hpp"

namespace lichen::image {

class MappedRegisters final : public driver::virtio::RegistersOf<MappedRegisters> {
 public:
  MappedRegisters() noexcept = default;
  explicit MappedRegisters(std::span<std::byte> bytes) noexcept : bytes_{bytes} {}
  std::size_t size() const noexcept override { return bytes_.size(); }
  template <class T>
  T get(std::size_t offset) noexcept {
    return hal::read_register<T>(&bytes_[offset]);
  }
  template <class T>
  void set(std::size_t offset, T value) noexcept {
    hal::write_register(&bytes_[offset], value);
  }

 private:
  std::span<std::byte> bytes_;
};

// Whole page frames.
class PageMemory final : public driver::virtio::DeviceMemory {
 public:
  Result<std::span<std::byte>> allocate(std::size_t size) noexcept override;
  void free(std::span<std::byte> memory) noexcept override;
  [[nodiscard]] driver::virtio::BusAddress address(
      std::span<const std::byte> bytes) const noexcept override;
};

// What takes a device's interrupts. The first two are called in handlers.
class InterruptTarget {
 public:
  virtual void interrupted(driver::virtio::Vector vector) noexcept = 0;
  virtual void interrupted_by_line() noexcept = 0;
  // Between two tasks; true if there was anything.
  virtual bool deliver() noexcept = 0;
  // Before the core sleeps: false if it has to look once more first.
  virtual bool prepare_sleep() noexcept { return true; }
  // Whether interrupts are wanted only from then on.
  [[nodiscard]] virtual bool is_deaf() const noexcept { return false; }

 protected:
  ~InterruptTarget() = default;
};

// The same of any driver that has these functions.
template <class Driver>
class Interrupts final : public InterruptTarget {
 public:
  explicit Interrupts(Driver& driver) noexcept : driver_{driver} {}
  void interrupted(driver::virtio::Vector vector) noexcept override {
    if constexpr (requires { driver_.interrupted(vector); })
      driver_.interrupted(vector);
    else
      driver_.interrupted();
  }
  void interrupted_by_line() noexcept override { driver_.interrupted_by_line(); }
  bool deliver() noexcept override { return driver_.deliver(); }
  bool prepare_sleep() noexcept override {
    if constexpr (requires { driver_.prepare_sleep(); }) return driver_.prepare_sleep();
    return true;
  }
  bool is_deaf() const noexcept override {
    if constexpr (requires { driver_.is_deaf(); }) return driver_.is_deaf();
    return false;
  }

 private:
  Driver& driver_;
};

// Interrupts are taken on the core that has made it, its home, and there it MUST be destroyed; but
// messages that were routed to others.
class VirtioDevice final : private driver::virtio::PciFunction,
                           public driver::virtio::InterruptRouter {
 public:
  // Errors: not_found (an empty slot), not_supported (a device that we do not know how to drive, or
  // whose interrupts cannot reach us), no_memory, limit_reached.
  static Result<std::unique_ptr<VirtioDevice>> at_registers(const hal::FoundDevice& slot);
  // `configuration`: of one function. The same errors, and invalid_argument.
  static Result<std::unique_ptr<VirtioDevice>> at_function(const hal::FoundDevice& bridge,
                                                           std::span<std::byte> configuration,
                                                           driver::pci::Location where,
                                                           driver::pci::AddressPool& pool);
  VirtioDevice(const VirtioDevice&) = delete;
  VirtioDevice& operator=(const VirtioDevice&) = delete;
  ~VirtioDevice();

  [[nodiscard]] driver::virtio::Transport& transport() noexcept { return *transport_; }
  // From now on, and what came before, too. Null: nobody. On its home.
  void tell(InterruptTarget* target) noexcept;
  // On its home, when the device does not raise that one.
  [[nodiscard]] driver::virtio::Vector vectors() const noexcept override {
    return static_cast<driver::virtio::Vector>(channel_count_);
  }
  Result<void> route(driver::virtio::Vector vector, const coro::Core& core) noexcept override;
  // This core takes none of its messages any more, nor is any handler running. The device MUST have
  // stopped. On each core to which some were routed, before it ends.
  void take_no_more_here() noexcept;
  // On its home, between two tasks.
  bool deliver() noexcept {
    InterruptTarget* const target = target_.load(std::memory_order_relaxed);
    return target && target->deliver();
  }
  // On its home, before that sleeps.
  bool prepare_sleep() noexcept {
    InterruptTarget* const target = target_.load(std::memory_order_relaxed);
    return !target || target->prepare_sleep();
  }
  [[nodiscard]] bool is_deaf() const noexcept {
    InterruptTarget* const target = target_.load(std::memory_order_relaxed);
    return target && target->is_deaf();
  }

 private:
  static constexpr unsigned most_vectors = 2 * coro::max_cores + 1;
  static constexpr unsigned vectors_at_home = 3;  // until others are routed
  static constexpr hal::CoreId nowhere = ~hal::CoreId{0};
  struct Channel {
    VirtioDevice* device = nullptr;
    driver::virtio::Vector vector = 0;
    hal::CoreId core = nowhere;
  };

  VirtioDevice() noexcept = default;
  driver::virtio::Registers& configuration() noexcept override { return configuration_; }
  driver::virtio::Registers* bar(unsigned index) noexcept override;
  Result<void> attach_messages() noexcept;
  Result<void> attach(Channel& channel, hal::CoreId core) noexcept;
  static void take_message(void* channel) noexcept;
  static void take_line(void* device) noexcept;

  MappedRegisters configuration_;  // of a function; or its registers
  driver::pci::Bars bars_{};
  std::array<std::optional<MappedRegisters>, driver::pci::bar_count> mapped_{};
  std::optional<driver::virtio::MmioTransport> at_registers_;
  std::optional<driver::virtio::PciTransport> at_function_;
  driver::virtio::Transport* transport_ = nullptr;
  std::optional<driver::pci::MessageTable> table_;
  std::unique_ptr<Channel[]> channels_;  // by vector
  unsigned channel_count_ = 0;
  std::atomic<InterruptTarget*> target_{nullptr};
};

}  // namespace lichen::image

#include "lichen/driver/virtio/pci_transport.hpp"

#include <bit>

#include "lichen/base/bits.hpp"

namespace lichen::driver::virtio {

namespace {

// PCI Local Bus Specification 3.0, 6.1 and 6.7.
constexpr std::size_t vendor_field = 0x00;
constexpr std::size_t device_field = 0x02;
constexpr std::size_t pci_status_field = 0x06;
constexpr std::uint16_t has_capabilities = 1 << 4;
constexpr std::size_t subsystem_field = 0x2E;
constexpr std::size_t capabilities_field = 0x34;
constexpr std::size_t header_size = 0x40;
constexpr std::size_t configuration_size = 256;
constexpr unsigned bars = 6;
constexpr std::uint8_t vendor_capability = 0x09;
constexpr std::uint8_t msix_capability = 0x11;
constexpr std::uint16_t msix_enabled = 1 << 15;

// 4.1.2.1.
constexpr std::uint16_t virtio_vendor = 0x1AF4;
constexpr std::uint16_t first_transitional = 0x1000;
constexpr std::uint16_t first_modern = 0x1040;
constexpr std::uint16_t last_modern = 0x107F;

// 4.1.4: kinds of structures, and the least that each must have.
constexpr std::uint8_t common_structure = 1;
constexpr std::uint8_t notify_structure = 2;
constexpr std::uint8_t isr_structure = 3;
constexpr std::uint8_t device_structure = 4;
constexpr std::size_t capability_size = 16;

// 4.1.4.3.
enum : std::size_t {
  device_feature_select = 0,
  device_feature = 4,
  driver_feature_select = 8,
  driver_feature = 12,
  config_msix_vector = 16,
  num_queues = 18,
  device_status = 20,
  generation = 21,
  queue_select = 22,
  queue_size = 24,
  queue_msix_vector = 26,
  queue_enable = 28,
  queue_notify_off = 30,
  queue_descriptors = 32,
  queue_driver = 40,
  queue_device = 48,
  common_size = 56,
};

}  // namespace

Result<PciTransport> PciTransport::create(PciFunction& function) noexcept {
  Registers& configuration = function.configuration();
  if (configuration.size() < configuration_size) return Error::not_found;
  if (configuration.read16(vendor_field) != virtio_vendor) return Error::not_found;
  const std::uint16_t device = configuration.read16(device_field);
  if (device < first_transitional || device > last_modern) return Error::not_found;
  PciTransport transport;
  // A transitional device says what it is elsewhere.
  transport.kind_ = static_cast<DeviceKind>(
      device >= first_modern ? device - first_modern : configuration.read16(subsystem_field));
  transport.find(function);
  const bool complete =
      transport.common_.registers && transport.notify_.registers && transport.isr_.registers;
  if (!complete) return Error::not_supported;
  return transport;
}

void PciTransport::find(PciFunction& function) noexcept {
  Registers& configuration = function.configuration();
  if ((configuration.read16(pci_status_field) & has_capabilities) == 0) return;
  std::size_t at = configuration.read8(capabilities_field) & ~std::size_t{3};
  // No more than fit, lest a list that bites its tail never ends.
  for (unsigned left = (configuration_size - header_size) / 4; left != 0; --left) {
    if (at < header_size) return;  // 0 is the end
    const std::uint8_t id = configuration.read8(at);
    if (id == vendor_capability) read_capability(function, at);
    if (id == msix_capability) {
      const std::uint16_t control = configuration.read16(at + 2);
      if ((control & msix_enabled) != 0) vectors_ = static_cast<Vector>((control & 0x7FF) + 1);
    }
    at = configuration.read8(at + 1) & ~std::size_t{3};
  }
}

// 4.1.4.1: of several structures of a kind the first that can be used.
void PciTransport::read_capability(PciFunction& function, std::size_t at) noexcept {
  Registers& configuration = function.configuration();
  const std::uint8_t length = configuration.read8(at + 2);
  if (length < capability_size || at + length > configuration_size) return;
  const std::uint8_t structure = configuration.read8(at + 3);
  const std::uint8_t index = configuration.read8(at + 4);
  if (index >= bars) return;  // reserved
  Registers* bar = function.bar(index);
  if (!bar) return;
  const Window window{bar, configuration.read32(at + 8), configuration.read32(at + 12)};
  const auto take = [&](Window& into, std::size_t least, std::size_t alignment) {
    if (into.registers || window.length < least || window.offset % alignment != 0) return false;
    if (window.offset > bar->size() || window.length > bar->size() - window.offset) return false;
    into = window;
    return true;
  };
  switch (structure) {
    case common_structure: take(common_, common_size, 4); break;
    case notify_structure: {
      if (length < capability_size + 4) break;
      const std::uint32_t multiplier = configuration.read32(at + capability_size);
      // 4.1.4.4.1: an even power of two, or none.
      if (multiplier != 0 && (multiplier == 1 || !std::has_single_bit(multiplier))) break;
      if (take(notify_, 2, 2)) notify_multiplier_ = multiplier;
      break;
    }
    case isr_structure: take(isr_, 1, 1); break;
    case device_structure: take(device_, 4, 4); break;
    default: break;
  }
}

Features PciTransport::offered() noexcept {
  Features features = 0;
  for (const std::uint32_t half : {1U, 0U}) {
    common_.registers->write32(common_.offset + device_feature_select, half);
    features = features << 32 | common_.registers->read32(common_.offset + device_feature);
  }
  return features;
}

void PciTransport::accept(Features features) noexcept {
  for (const std::uint32_t half : {0U, 1U}) {
    common_.registers->write32(common_.offset + driver_feature_select, half);
    common_.registers->write32(common_.offset + driver_feature,
                               static_cast<std::uint32_t>(features >> 32 * half));
  }
}

std::uint8_t PciTransport::status() noexcept {
  return common_.registers->read8(common_.offset + device_status);
}
void PciTransport::set_status(std::uint8_t status) noexcept {
  common_.registers->write8(common_.offset + device_status, status);
}

std::uint8_t PciTransport::config_generation() noexcept {
  return common_.registers->read8(common_.offset + generation);
}
bool PciTransport::has_config(std::size_t offset, std::size_t width) const noexcept {
  return device_.registers && offset + width <= device_.length;
}
std::uint8_t PciTransport::config8(std::size_t offset) noexcept {
  return has_config(offset, 1) ? device_.registers->read8(device_.offset + offset)
                               : std::uint8_t{0};
}
std::uint16_t PciTransport::config16(std::size_t offset) noexcept {
  return has_config(offset, 2) ? device_.registers->read16(device_.offset + offset)
                               : std::uint16_t{0};
}
std::uint32_t PciTransport::config32(std::size_t offset) noexcept {
  return has_config(offset, 4) ? device_.registers->read32(device_.offset + offset) : 0;
}

void PciTransport::set_config8(std::size_t offset, std::uint8_t value) noexcept {
  if (has_config(offset, 1)) device_.registers->write8(device_.offset + offset, value);
}
void PciTransport::set_config32(std::size_t offset, std::uint32_t value) noexcept {
  if (has_config(offset, 4)) device_.registers->write32(device_.offset + offset, value);
}

std::uint16_t PciTransport::queue_limit(std::uint16_t queue) noexcept {
  Registers& common = *common_.registers;
  if (queue >= most_queues || queue >= common.read16(common_.offset + num_queues)) return 0;
  common.write16(common_.offset + queue_select, queue);
  const std::uint16_t size = common.read16(common_.offset + queue_size);
  return size < largest_ring ? size : largest_ring;
}

// 4.1.5.1.3.
Result<void> PciTransport::enable_queue(std::uint16_t queue, const QueueSetup& setup) noexcept {
  Registers& common = *common_.registers;
  const std::uint16_t limit = queue_limit(queue);  // selects it
  if (limit == 0) return Error::not_found;
  if (common.read16(common_.offset + queue_enable) != 0) return Error::invalid_state;
  if (setup.size == 0 || setup.size > limit) return Error::invalid_argument;
  const std::size_t doorbell =
      std::size_t{common.read16(common_.offset + queue_notify_off)} * notify_multiplier_;
  if (doorbell + 2 > notify_.length) return Error::not_supported;
  doorbells_[queue] = notify_.offset + doorbell;
  common.write16(common_.offset + queue_size, setup.size);
  if (vectors_ != 0) {
    // A device that cannot have it says so (4.1.5.1.2.1).
    common.write16(common_.offset + queue_msix_vector, setup.vector);
    if (common.read16(common_.offset + queue_msix_vector) != setup.vector)
      return Error::limit_reached;
  }
  const auto write64 = [&](std::size_t offset, std::uint64_t value) {
    common.write32(common_.offset + offset, static_cast<std::uint32_t>(value));
    common.write32(common_.offset + offset + 4, static_cast<std::uint32_t>(value >> 32));
  };
  write64(queue_descriptors, setup.addresses.descriptors);
  write64(queue_driver, setup.addresses.driver);
  write64(queue_device, setup.addresses.device);
  common.write16(common_.offset + queue_enable, 1);
  return {};
}

Result<void> PciTransport::set_config_vector(Vector vector) noexcept {
  if (vectors_ == 0) return {};
  common_.registers->write16(common_.offset + config_msix_vector, vector);
  if (common_.registers->read16(common_.offset + config_msix_vector) != vector)
    return Error::limit_reached;
  return {};
}

void PciTransport::notify(std::uint16_t queue) noexcept {
  notify_.registers->write16(doorbells_[queue], queue);
}

InterruptCause PciTransport::acknowledge_interrupt() noexcept {
  // Reading it lowers the line (4.1.4.5).
  const std::uint8_t cause = isr_.registers->read8(isr_.offset);
  return {.queues = (cause & 1) != 0, .configuration = (cause & 2) != 0};
}

}  // namespace lichen::driver::virtio

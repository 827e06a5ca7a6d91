#include "lichen/driver/virtio/mmio_transport.hpp"

#include "lichen/base/bits.hpp"

namespace lichen::driver::virtio {

namespace {

// Table 4.1.
enum : std::size_t {
  magic_value = 0x000,
  version = 0x004,
  device_id = 0x008,
  device_features = 0x010,
  device_features_select = 0x014,
  driver_features = 0x020,
  driver_features_select = 0x024,
  queue_select = 0x030,
  queue_size_max = 0x034,
  queue_size = 0x038,
  queue_ready = 0x044,
  queue_notify = 0x050,
  interrupt_status = 0x060,
  interrupt_acknowledge = 0x064,
  device_status = 0x070,
  queue_descriptors = 0x080,
  queue_driver = 0x090,
  queue_device = 0x0A0,
  generation = 0x0FC,
  configuration = 0x100,
};
constexpr std::uint32_t magic = 0x74726976;  // "virt"

}  // namespace

Result<MmioTransport> MmioTransport::create(Registers& registers) noexcept {
  if (registers.size() < configuration) return Error::not_supported;
  if (registers.read32(magic_value) != magic || registers.read32(version) != 2)
    return Error::not_supported;
  if (registers.read32(device_id) == 0) return Error::not_found;
  return MmioTransport{registers};
}

DeviceKind MmioTransport::kind() noexcept {
  return static_cast<DeviceKind>(registers_->read32(device_id));
}

Features MmioTransport::offered() noexcept {
  Features features = 0;
  for (const std::uint32_t half : {1U, 0U}) {
    registers_->write32(device_features_select, half);
    features = features << 32 | registers_->read32(device_features);
  }
  return features;
}

void MmioTransport::accept(Features features) noexcept {
  for (const std::uint32_t half : {0U, 1U}) {
    registers_->write32(driver_features_select, half);
    registers_->write32(driver_features, static_cast<std::uint32_t>(features >> 32 * half));
  }
}

std::uint8_t MmioTransport::status() noexcept {
  return static_cast<std::uint8_t>(registers_->read32(device_status));
}
void MmioTransport::set_status(std::uint8_t status) noexcept {
  registers_->write32(device_status, status);
}

std::uint8_t MmioTransport::config_generation() noexcept {
  return static_cast<std::uint8_t>(registers_->read32(generation));
}
bool MmioTransport::has_config(std::size_t offset, std::size_t width) const noexcept {
  return offset + width <= registers_->size() - configuration;
}
std::uint8_t MmioTransport::config8(std::size_t offset) noexcept {
  return has_config(offset, 1) ? registers_->read8(configuration + offset) : std::uint8_t{0};
}
std::uint16_t MmioTransport::config16(std::size_t offset) noexcept {
  return has_config(offset, 2) ? registers_->read16(configuration + offset) : std::uint16_t{0};
}
std::uint32_t MmioTransport::config32(std::size_t offset) noexcept {
  return has_config(offset, 4) ? registers_->read32(configuration + offset) : 0;
}

void MmioTransport::set_config8(std::size_t offset, std::uint8_t value) noexcept {
  if (has_config(offset, 1)) registers_->write8(configuration + offset, value);
}
void MmioTransport::set_config32(std::size_t offset, std::uint32_t value) noexcept {
  if (has_config(offset, 4)) registers_->write32(configuration + offset, value);
}

std::uint16_t MmioTransport::queue_limit(std::uint16_t queue) noexcept {
  registers_->write32(queue_select, queue);
  const std::uint32_t most = registers_->read32(queue_size_max);
  return static_cast<std::uint16_t>(most < largest_ring ? most : largest_ring);
}

// 4.2.3.2.
Result<void> MmioTransport::enable_queue(std::uint16_t queue, const QueueSetup& setup) noexcept {
  registers_->write32(queue_select, queue);
  if (registers_->read32(queue_ready) != 0) return Error::invalid_state;
  const std::uint32_t most = registers_->read32(queue_size_max);
  if (most == 0) return Error::not_found;
  if (setup.size == 0 || setup.size > most) return Error::invalid_argument;
  registers_->write32(queue_size, setup.size);
  const auto write64 = [&](std::size_t offset, std::uint64_t value) {
    registers_->write32(offset, static_cast<std::uint32_t>(value));
    registers_->write32(offset + 4, static_cast<std::uint32_t>(value >> 32));
  };
  write64(queue_descriptors, setup.addresses.descriptors);
  write64(queue_driver, setup.addresses.driver);
  write64(queue_device, setup.addresses.device);
  registers_->write32(queue_ready, 1);
  return {};
}

Result<void> MmioTransport::set_config_vector(Vector) noexcept { return {}; }

void MmioTransport::notify(std::uint16_t queue) noexcept {
  registers_->write32(queue_notify, queue);
}

InterruptCause MmioTransport::acknowledge_interrupt() noexcept {
  const std::uint32_t cause = registers_->read32(interrupt_status) & 3;
  if (cause != 0) registers_->write32(interrupt_acknowledge, cause);
  return {.queues = (cause & 1) != 0, .configuration = (cause & 2) != 0};
}

}  // namespace lichen::driver::virtio

#include "lichen/image/bare/devices.hpp"

#include <algorithm>
#include <utility>

#include "lichen/base/log.hpp"

namespace lichen::image {

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace {

namespace pci = driver::pci;

class Finder {
 public:
  void look_at(const hal::FoundDevice& found) {
    if (found.bus == hal::DeviceBus::pci_express) return look_behind(found);
    auto device = VirtioDevice::at_registers(found);
    if (device.failed_with(Error::not_found)) return;
    if (!device)
      return base::log::warning("the device at {:#x} is not used: {}", found.registers.address,
                                device.error());
    devices_.push_back(*std::move(device));
  }
  std::vector<std::unique_ptr<VirtioDevice>> devices() { return std::move(devices_); }

 private:
  void look_behind(const hal::FoundDevice& bridge) {
    const auto mapped = hal::map_device(bridge.registers);
    if (!mapped)
      return base::log::warning("the PCI bus at {:#x} is not used: {}", bridge.registers.address,
                                mapped.error());
    pci::AddressPool pool{.next = bridge.memory.address,
                          .end = bridge.memory.address + bridge.memory.size};
    MappedRegisters space{*mapped};
    constexpr std::uint16_t virtio_vendor = 0x1AF4;
    pci::each_function(
        space, bridge.first_bus, [&](driver::virtio::Registers& configuration, pci::Location at) {
          if (configuration.read16(0) != virtio_vendor) return;
          const std::size_t offset = std::size_t{at.bus - unsigned{bridge.first_bus}} << 20 |
                                     std::size_t{at.device} << 15 | std::size_t{at.function} << 12;
          auto device = VirtioDevice::at_function(
              bridge, mapped->subspan(offset, pci::configuration_size), at, pool);
          if (!device)
            return base::log::warning("the PCI device {:02x}:{:02x}.{} is not used: {}",
                                      unsigned{at.bus}, unsigned{at.device}, unsigned{at.function},
                                      device.error());
          devices_.push_back(*std::move(device));
        });
  }

  std::vector<std::unique_ptr<VirtioDevice>> devices_;
};

}  // namespace

std::vector<std::unique_ptr<VirtioDevice>> find_virtio_devices() {
  Finder finder;
  for (const hal::FoundDevice& found : hal::devices()) finder.look_at(found);
  return finder.devices();
}

#pragma clang attribute pop

Devices::~Devices() {
  for (const auto& device : found_) device->tell(nullptr);
}

bool Devices::deliver() noexcept {
  bool any = false;
  for (const auto& device : found_) any |= device->deliver();
  return any;
}

bool Devices::prepare_sleep() noexcept {
  bool ready = true;
  for (const auto& device : found_) ready &= device->prepare_sleep();
  return ready;
}

bool Devices::is_deaf() const noexcept {
  return std::ranges::any_of(found_, [](const auto& device) { return device->is_deaf(); });
}

VirtioDevice* Devices::first(driver::virtio::DeviceKind kind) noexcept {
  for (const auto& device : found_)
    if (device->transport().kind() == kind) return device.get();
  return nullptr;
}

std::unique_ptr<VirtioDevice> Devices::release(const VirtioDevice& wanted) noexcept {
  std::unique_ptr<VirtioDevice> released;
  for (auto& device : found_)
    if (device.get() == &wanted) released = std::move(device);
  std::erase(found_, nullptr);
  return released;
}

}  // namespace lichen::image

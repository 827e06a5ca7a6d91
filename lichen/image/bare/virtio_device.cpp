#include "lichen/image/bare/virtio_device.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::image {

namespace pci = driver::pci;
namespace virtio = driver::virtio;

Result<std::span<std::byte>> PageMemory::allocate(std::size_t size) noexcept {
  const std::size_t pages = (size + hal::page_size - 1) / hal::page_size;
  const std::span<std::byte> memory = TRY(hal::allocate_pages(pages));
  std::memset(memory.data(), 0, memory.size());
  return memory.first(size);
}

void PageMemory::free(std::span<std::byte> memory) noexcept {
  const std::size_t pages = (memory.size() + hal::page_size - 1) / hal::page_size;
  hal::free_pages({memory.data(), pages * hal::page_size});
}

virtio::BusAddress PageMemory::address(std::span<const std::byte> bytes) const noexcept {
  const std::uint64_t address = hal::physical_address(bytes);
  return address == hal::no_physical_address ? virtio::no_address : address;
}

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace {

// What the function's pin raises.
std::uint32_t line_of(const hal::FoundDevice& bridge, virtio::Registers& configuration,
                      pci::Location where) noexcept {
  const auto pin = pci::line_pin(configuration);
  if (!pin) return hal::no_line;
  if (bridge.lines_are_written) return pci::written_line(configuration).value_or(hal::no_line);
  if (where.bus != bridge.first_bus) return hal::no_line;
  return bridge.pin_lines[(where.device + *pin) % bridge.pin_lines.size()];
}

}  // namespace

Result<std::unique_ptr<VirtioDevice>> VirtioDevice::at_registers(const hal::FoundDevice& slot) {
  std::unique_ptr<VirtioDevice> device{new (std::nothrow) VirtioDevice};
  if (!device) return Error::no_memory;
  device->configuration_ = MappedRegisters{TRY(hal::map_device(slot.registers))};
  device->at_registers_ = TRY(virtio::MmioTransport::create(device->configuration_));
  device->transport_ = &*device->at_registers_;
  device->transport_->set_status(0);  // whatever it did for the firmware
  TRY(hal::attach_line(slot.line, hal::this_core(), &take_line, device.get()));
  return device;
}

Result<std::unique_ptr<VirtioDevice>> VirtioDevice::at_function(const hal::FoundDevice& bridge,
                                                                std::span<std::byte> configuration,
                                                                pci::Location where,
                                                                pci::AddressPool& pool) {
  std::unique_ptr<VirtioDevice> device{new (std::nothrow) VirtioDevice};
  if (!device) return Error::no_memory;
  VirtioDevice& self = *device;
  self.configuration_ = MappedRegisters{configuration};
  self.bars_ = pci::read_bars(self.configuration_);
  TRY(pci::assign_bars(self.configuration_, self.bars_, pool));
  pci::enable(self.configuration_);
  // Messages if they can reach us, else the line.
  self.table_ = pci::find_messages(self.configuration_);
  const Result<void> messages =
      self.table_ ? self.attach_messages() : Result<void>{Error::not_supported};
  if (!messages && !messages.failed_with(Error::not_supported)) return messages.error();
  self.at_function_ = TRY(virtio::PciTransport::create(self));
  self.transport_ = &*self.at_function_;
  self.transport_->set_status(0);
  if (messages) return device;
  const std::uint32_t line = line_of(bridge, self.configuration_, where);
  if (line == hal::no_line) return Error::not_supported;
  TRY(hal::attach_line(line, hal::this_core(), &take_line, device.get()));
  base::log::info("the PCI device {:02x}:{:02x}.{} raises a line: it can send no messages",
                  unsigned{where.bus}, unsigned{where.device}, unsigned{where.function});
  return device;
}

VirtioDevice::~VirtioDevice() {
  if (transport_) transport_->set_status(0);
  hal::detach_interrupt(&take_line, this);
  take_no_more_here();
}

Result<void> VirtioDevice::attach_messages() noexcept {
  if (!bar(table_->bar)) return Error::not_supported;
  const unsigned count = std::min(table_->entries, most_vectors);
  channels_.reset(new (std::nothrow) Channel[count]);
  if (!channels_) return Error::no_memory;
  for (unsigned i = 0; i < count; ++i)
    channels_[i] = {.device = this, .vector = static_cast<virtio::Vector>(i)};
  for (unsigned i = 0; i < count && i < vectors_at_home; ++i)
    TRY(attach(channels_[i], hal::this_core()));
  channel_count_ = count;
  pci::enable_messages(*table_, configuration_);
  return {};
}

Result<void> VirtioDevice::attach(Channel& channel, hal::CoreId core) noexcept {
  const hal::Message message = TRY(hal::attach_message(core, &take_message, &channel));
  channel.core = core;
  return pci::set_message(*table_, *bar(table_->bar), channel.vector, message.address,
                          message.data);
}

Result<void> VirtioDevice::route(virtio::Vector vector, const coro::Core& core) noexcept {
  if (vector >= channel_count_) return Error::not_supported;
  Channel& channel = channels_[vector];
  if (channel.core == core.index()) return {};
  if (channel.core != nowhere && channel.core != hal::this_core()) return Error::busy;
  if (std::exchange(channel.core, nowhere) != nowhere)
    hal::detach_interrupt(&take_message, &channel);
  return attach(channel, core.index());
}

void VirtioDevice::take_no_more_here() noexcept {
  for (unsigned i = 0; channels_ && i < std::min(table_->entries, most_vectors); ++i) {
    if (channels_[i].core != hal::this_core()) continue;
    hal::detach_interrupt(&take_message, &channels_[i]);
    channels_[i].core = nowhere;
  }
}

virtio::Registers* VirtioDevice::bar(unsigned index) noexcept {
  if (index >= bars_.size() || bars_[index].size == 0) return nullptr;
  if (!mapped_[index]) {
    const auto memory =
        hal::map_device({.address = bars_[index].address, .size = bars_[index].size});
    if (!memory) return nullptr;
    mapped_[index].emplace(*memory);
  }
  return &*mapped_[index];
}

#pragma clang attribute pop

void VirtioDevice::tell(InterruptTarget* target) noexcept {
  hal::interrupts_off();
  target_.store(target, std::memory_order_release);
  // Somebody may have come in vain.
  for (virtio::Vector vector = 0; target && vector < vectors(); ++vector)
    if (channels_[vector].core == hal::this_core()) target->interrupted(vector);
  if (target && vectors() == 0) target->interrupted(0);
  hal::interrupts_on();
}

void VirtioDevice::take_message(void* channel) noexcept {
  const Channel& told = *static_cast<Channel*>(channel);
  if (InterruptTarget* const target = told.device->target_.load(std::memory_order_acquire))
    target->interrupted(told.vector);
}

void VirtioDevice::take_line(void* device) noexcept {
  auto& self = *static_cast<VirtioDevice*>(device);
  if (InterruptTarget* const target = self.target_.load(std::memory_order_acquire))
    target->interrupted_by_line();
  else
    self.transport_->acknowledge_interrupt();
}

}  // namespace lichen::image

#include "lichen/driver/virtio/test_device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace lichen::driver::virtio::test {

std::uint8_t DeviceModel::read_status() {
  if (is_gone) return 0xFF;
  if (reset_left_ != 0 && --reset_left_ != 0) return status::driver_ok;
  return status;
}

void DeviceModel::write_status(std::uint8_t value) {
  history.push_back(value);
  if (value == 0) {
    ++resets;
    status = 0;
    accepted = 0;
    reset_left_ = reset_reads;
    for (QueueModel& queue : queues) queue = {.limit = queue.limit};
    config_vector = no_vector;
    line = 0;
    raised.clear();
    was_reset();
    return;
  }
  // 2.1.1: a driver clears no bit, and takes the steps in order.
  EXPECT_EQ(value & status & ~status::needs_reset, status & ~status::needs_reset);
  if ((value & status::driver) != 0) EXPECT_NE(value & status::acknowledge, 0);
  if ((value & status::features_ok) != 0) EXPECT_NE(value & status::driver, 0);
  if ((value & status::driver_ok) != 0) EXPECT_NE(value & status::features_ok, 0);
  if ((accepted & refused) != 0) value &= static_cast<std::uint8_t>(~status::features_ok);
  status = static_cast<std::uint8_t>(value | (status & status::needs_reset));
}

void DeviceModel::enable(QueueModel& queue) {
  EXPECT_NE(status & status::features_ok, 0);
  EXPECT_EQ(status & status::driver_ok, 0);
  EXPECT_FALSE(queue.enabled);
  EXPECT_NE(queue.size, 0);
  EXPECT_LE(queue.size, queue.limit);
  queue.enabled = true;
  queue.ring = DeviceRing::create(has(feature::packed_ring), queue.size, has(feature::event_index),
                                  queue.at);
}

void DeviceModel::notify(std::size_t queue) {
  EXPECT_NE(status & status::driver_ok, 0);  // 3.1.1.1
  ASSERT_LT(queue, queues.size());
  EXPECT_TRUE(queues[queue].enabled);
  ++queues[queue].notified;
  notified(queue);
}

void DeviceModel::interrupt_for(QueueModel& queue) {
  if (!queue.ring || !queue.ring->must_interrupt()) return;
  line |= 1;
  raised.push_back(queue.vector);
}

void DeviceModel::change_config() {
  ++generation;
  line |= 2;
  raised.push_back(config_vector);
}

void DeviceModel::break_down() {
  status |= status::needs_reset;
  change_config();
}

NetModel::NetModel(Features features, std::size_t pairs)
    : DeviceModel{DeviceKind::net, 2 * pairs + 1, features} {
  const std::array<unsigned char, 12> fields{
      0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0, static_cast<unsigned char>(pairs), 0, 0xDC, 5};
  std::memcpy(config.data(), fields.data(), fields.size());
}

void NetModel::was_reset() {
  halves = {};
  enabled_pairs = 1;
}

void NetModel::set_link(bool up) {
  config[6] = std::byte(up ? 1 : 0);
  change_config();
}

void NetModel::want_announcement() {
  config[6] |= std::byte{2};
  change_config();
}

void NetModel::notified(std::size_t queue) {
  const std::size_t control = has(Features{1} << 22) ? queues.size() - 1 : 2;
  if (queue != control || !has(Features{1} << 17) || !answers || !works()) return;
  std::vector<Done> done;
  while (std::optional<Popped> buffer = queues[queue].ring->pop()) {
    std::vector<unsigned> bytes;
    for (const Bytes part : buffer->read)
      for (const std::byte each : part) bytes.push_back(std::to_integer<unsigned>(each));
    ASSERT_GE(bytes.size(), 2U);
    ASSERT_EQ(buffer->write.size(), 1U);
    ASSERT_EQ(buffer->write[0].size(), 1U);
    const Command command{bytes[0], bytes[1], {bytes.begin() + 2, bytes.end()}};
    const bool steers = command.kind == 4 && command.number == 1;
    const std::uint8_t said = steers && refuses_steering ? 1 : answer;
    if (command.kind == 4 && said == 0) {
      const std::size_t at = steers ? 264 : 0;
      enabled_pairs = command.data.at(at) | command.data.at(at + 1) << 8;
    }
    if (command.kind == 3) config[6] &= ~std::byte{2};
    commands.push_back(command);
    buffer->write[0][0] = std::byte{said};
    done.push_back({*std::move(buffer), 1});
  }
  queues[queue].ring->use(done);
  queues[queue].ring->notifications(true);
  interrupt_for(queues[queue]);
}

void NetModel::fetch(std::size_t pair) {
  if (!works()) return;
  auto& buffers = halves[pair].buffers;
  while (std::optional<Popped> buffer = queues[2 * pair].ring->pop()) {
    EXPECT_TRUE(buffer->read.empty());  // 5.1.6.3.1
    if (shuffles && !buffers.empty() && buffers.size() % 3 == 1)
      buffers.push_front(*std::move(buffer));
    else
      buffers.push_back(*std::move(buffer));
  }
}

bool NetModel::receive(const Frame& frame, std::size_t pair) {
  if (!works()) return false;
  fetch(pair);
  auto& [buffers, received] = halves[pair];
  std::vector<std::byte> all(sizeof frame.header);
  all.insert(all.end(), frame.bytes.begin(), frame.bytes.end());
  const bool merges = has(Features{1} << 15);
  std::size_t room = 0;
  std::uint16_t count = 0;
  while (room < all.size() && count < buffers.size() && (merges || count == 0))
    for (const Bytes part : buffers[count++].write) room += part.size();
  if (room < all.size()) return false;
  io::NetHeader header = frame.header;
  if (merges || header.buffers == 0) header.buffers = count;
  std::memcpy(all.data(), &header, sizeof header);
  std::span<const std::byte> left = all;
  for (std::uint16_t i = 0; i < count; ++i) {
    std::uint32_t written = 0;
    for (const Bytes part : buffers.front().write) {
      const std::size_t size = std::min(part.size(), left.size());
      std::memcpy(part.data(), left.data(), size);
      left = left.subspan(size);
      written += static_cast<std::uint32_t>(size);
    }
    received.push_back({std::move(buffers.front()), written});
    buffers.pop_front();
  }
  return true;
}

void NetModel::flush(std::size_t pair) {
  if (!works()) return;
  auto& received = halves[pair].received;
  queues[2 * pair].ring->use(received);
  received.clear();
  interrupt_for(queues[2 * pair]);
}

std::size_t NetModel::transmit(std::size_t most, std::size_t pair) {
  if (!works()) return 0;
  QueueModel& queue = queues[2 * pair + 1];
  std::vector<Done> done;
  while (done.size() < most) {
    std::optional<Popped> buffer = queue.ring->pop();
    if (!buffer) break;
    EXPECT_TRUE(buffer->write.empty());
    std::vector<std::byte> all;
    for (const Bytes part : buffer->read) all.insert(all.end(), part.begin(), part.end());
    EXPECT_GT(all.size(), sizeof(io::NetHeader));
    Frame frame{.header = {}, .bytes = {}, .pair = pair};
    std::memcpy(&frame.header, all.data(), sizeof frame.header);
    EXPECT_EQ(frame.header.flags & ~1, 0);  // 5.1.6.2.1
    EXPECT_EQ(frame.header.buffers, 0);
    frame.bytes.assign(all.begin() + sizeof frame.header, all.end());
    sent.push_back(std::move(frame));
    done.push_back({*std::move(buffer), 0});
  }
  queue.ring->use(done);
  interrupt_for(queue);
  return done.size();
}

std::uint8_t MmioRegisters::read8(std::size_t offset) noexcept {
  EXPECT_GE(offset, 0x100U);  // 4.2.2.2: only the configuration is read in other widths
  return std::to_integer<std::uint8_t>(device_.config.at(offset - 0x100));
}
std::uint16_t MmioRegisters::read16(std::size_t offset) noexcept {
  return static_cast<std::uint16_t>(read8(offset) | read8(offset + 1) << 8);
}

std::uint32_t MmioRegisters::read32(std::size_t offset) noexcept {
  EXPECT_EQ(offset % 4, 0U);
  if (offset >= 0x100) return read16(offset) | static_cast<std::uint32_t>(read16(offset + 2)) << 16;
  const bool queue = selected_ < device_.queues.size();
  switch (offset) {
    case 0x00: return magic;
    case 0x04: return version;
    case 0x08: return static_cast<std::uint32_t>(device_.kind);
    case 0x10: return static_cast<std::uint32_t>(device_.offered >> (device_half_ == 1 ? 32 : 0));
    case 0x34: return queue ? device_.queues[selected_].limit : 0;
    case 0x44: return queue && device_.queues[selected_].enabled;
    case 0x60: return device_.line;
    case 0x70: return device_.read_status();
    case 0xFC: return device_.generation;
    default: ADD_FAILURE() << "no register to read: " << offset; return 0;
  }
}

void MmioRegisters::write8(std::size_t offset, std::uint8_t value) noexcept {
  EXPECT_GE(offset, 0x100U);
  device_.config.at(offset - 0x100) = static_cast<std::byte>(value);
}
void MmioRegisters::write16(std::size_t offset, std::uint16_t) noexcept { ADD_FAILURE() << offset; }

void MmioRegisters::write32(std::size_t offset, std::uint32_t value) noexcept {
  if (offset >= 0x100) {
    for (unsigned i = 0; i < 4; ++i)
      device_.config.at(offset - 0x100 + i) = static_cast<std::byte>(value >> 8 * i);
    return;
  }
  const auto half = [&](std::uint64_t& field, bool high) {
    const unsigned shift = high ? 32 : 0;
    field = (field & ~(0xFFFFFFFFULL << shift)) | std::uint64_t{value} << shift;
  };
  QueueModel none;
  QueueModel& queue = selected_ < device_.queues.size() ? device_.queues[selected_] : none;
  switch (offset) {
    case 0x14: device_half_ = value; break;
    case 0x20: half(device_.accepted, driver_half_ == 1); break;
    case 0x24: driver_half_ = value; break;
    case 0x30: selected_ = value; break;
    case 0x38: queue.size = static_cast<std::uint16_t>(value); break;
    case 0x44:
      EXPECT_EQ(value, 1U);
      device_.enable(queue);
      break;
    case 0x50: device_.notify(value); break;
    case 0x64: device_.line &= static_cast<std::uint8_t>(~value); break;
    case 0x70: device_.write_status(static_cast<std::uint8_t>(value)); break;
    case 0x80:
    case 0x84: half(queue.at.descriptors, offset == 0x84); break;
    case 0x90:
    case 0x94: half(queue.at.driver, offset == 0x94); break;
    case 0xA0:
    case 0xA4: half(queue.at.device, offset == 0xA4); break;
    default: ADD_FAILURE() << "no register to write: " << offset;
  }
}

PciModel::PciModel(DeviceModel& device, unsigned vectors) : bar_{device} {
  device.vectors = vectors;
  space_.write16(0x00, 0x1AF4);
  space_.write16(0x02, static_cast<std::uint16_t>(0x1040 + static_cast<unsigned>(device.kind)));
  space_.write16(0x06, 1 << 4);
  space_.write8(0x34, capabilities[0]);
  struct Structure {
    std::uint8_t kind;
    std::uint32_t offset, length;
  };
  const std::array<Structure, 4> structures{
      {{1, 0, 0x1000}, {2, doorbells, 0x1000}, {3, isr, 0x1000}, {4, device_config, 64}}};
  for (std::size_t i = 0; i < structures.size(); ++i) {
    const std::size_t at = capabilities[i];
    space_.write8(at, 0x09);
    space_.write8(at + 1, static_cast<std::uint8_t>(capabilities[i + 1]));
    space_.write8(at + 2, structures[i].kind == 2 ? 20 : 16);
    space_.write8(at + 3, structures[i].kind);
    space_.write8(at + 4, bar_index);
    space_.write32(at + 8, structures[i].offset);
    space_.write32(at + 12, structures[i].length);
    if (structures[i].kind == 2) space_.write32(at + 16, 4);
  }
  space_.write8(capabilities[4], 0x11);
  if (vectors != 0)
    space_.write16(capabilities[4] + 2, static_cast<std::uint16_t>(0x8000 | (vectors - 1)));
}

void PciModel::Space::check(std::size_t offset, std::size_t width) const {
  EXPECT_EQ(offset % width, 0U);
  EXPECT_LE(offset + width, bytes_.size());
}

QueueModel& PciModel::Bar::selected() {
  return selected_ < device_.queues.size() ? device_.queues[selected_] : none_;
}

std::uint8_t PciModel::Bar::read8(std::size_t offset) noexcept {
  if (offset == 20) return device_.read_status();
  if (offset == 21) return device_.generation;
  if (offset == isr) return std::exchange(device_.line, std::uint8_t{0});
  if (offset >= device_config && offset < doorbells)
    return std::to_integer<std::uint8_t>(device_.config.at(offset - device_config));
  ADD_FAILURE() << "no byte to read: " << offset;
  return 0;
}
std::uint16_t PciModel::Bar::read16(std::size_t offset) noexcept {
  if (offset >= device_config)
    return static_cast<std::uint16_t>(read8(offset) | read8(offset + 1) << 8);
  switch (offset) {
    case 16: return device_.config_vector;
    case 18: return static_cast<std::uint16_t>(device_.queues.size());
    case 24: return selected().size != 0 ? selected().size : selected().limit;
    case 26: return selected().vector;
    case 28: return selected().enabled;
    case 30: return selected_;
    default: ADD_FAILURE() << "no word to read: " << offset; return 0;
  }
}
std::uint32_t PciModel::Bar::read32(std::size_t offset) noexcept {
  if (offset >= device_config)
    return read16(offset) | static_cast<std::uint32_t>(read16(offset + 2)) << 16;
  EXPECT_EQ(offset, 4U);
  return static_cast<std::uint32_t>(device_.offered >> (device_half_ == 1 ? 32 : 0));
}
void PciModel::Bar::write8(std::size_t offset, std::uint8_t value) noexcept {
  if (offset >= device_config && offset < doorbells) {
    device_.config.at(offset - device_config) = static_cast<std::byte>(value);
    return;
  }
  EXPECT_EQ(offset, 20U);
  device_.write_status(value);
}
void PciModel::Bar::write16(std::size_t offset, std::uint16_t value) noexcept {
  const auto granted = [&] { return value < device_.vectors ? value : no_vector; };
  if (offset >= doorbells) {
    EXPECT_EQ(offset, doorbells + 4U * value);
    return device_.notify(value);
  }
  switch (offset) {
    case 16: device_.config_vector = granted(); break;
    case 22: selected_ = value; break;
    case 24: selected().size = value; break;
    case 26: selected().vector = granted(); break;
    case 28:
      EXPECT_EQ(value, 1);
      device_.enable(selected());
      break;
    default: ADD_FAILURE() << "no word to write: " << offset;
  }
}
void PciModel::Bar::write32(std::size_t offset, std::uint32_t value) noexcept {
  const auto half = [&](std::uint64_t& field, bool high) {
    const unsigned shift = high ? 32 : 0;
    field = (field & ~(0xFFFFFFFFULL << shift)) | std::uint64_t{value} << shift;
  };
  switch (offset) {
    case 0: device_half_ = value; break;
    case 8: driver_half_ = value; break;
    case 12: half(device_.accepted, driver_half_ == 1); break;
    case 32:
    case 36: half(selected().at.descriptors, offset == 36); break;
    case 40:
    case 44: half(selected().at.driver, offset == 44); break;
    case 48:
    case 52: half(selected().at.device, offset == 52); break;
    default: ADD_FAILURE() << "no register to write: " << offset;
  }
}

}  // namespace lichen::driver::virtio::test

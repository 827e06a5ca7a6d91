#include "lichen/driver/virtio/test_device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace lichen::driver::virtio::test {

std::uint8_t DeviceModel::read_status() {
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

NetModel::NetModel(Features features) : DeviceModel{DeviceKind::net, 3, features} {
  const std::array<unsigned char, 12> fields{0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0, 1, 0, 0xDC, 5};
  std::memcpy(config.data(), fields.data(), fields.size());
}

void NetModel::was_reset() {
  buffers.clear();
  received.clear();
}

void NetModel::fetch() {
  if (!works()) return;
  while (std::optional<Popped> buffer = queues[0].ring->pop()) {
    EXPECT_TRUE(buffer->read.empty());  // 5.1.6.3.1
    if (shuffles && !buffers.empty() && buffers.size() % 3 == 1)
      buffers.push_front(*std::move(buffer));
    else
      buffers.push_back(*std::move(buffer));
  }
}

bool NetModel::receive(const Frame& frame) {
  if (!works()) return false;
  fetch();
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

void NetModel::flush() {
  if (!works()) return;
  queues[0].ring->use(received);
  received.clear();
  interrupt_for(queues[0]);
}

std::size_t NetModel::transmit(std::size_t most) {
  if (!works()) return 0;
  std::vector<Done> done;
  while (done.size() < most) {
    std::optional<Popped> buffer = queues[1].ring->pop();
    if (!buffer) break;
    EXPECT_TRUE(buffer->write.empty());
    std::vector<std::byte> all;
    for (const Bytes part : buffer->read) all.insert(all.end(), part.begin(), part.end());
    EXPECT_GT(all.size(), sizeof(io::NetHeader));
    Frame frame;
    std::memcpy(&frame.header, all.data(), sizeof frame.header);
    EXPECT_EQ(frame.header.flags & ~1, 0);  // 5.1.6.2.1
    EXPECT_EQ(frame.header.buffers, 0);
    frame.bytes.assign(all.begin() + sizeof frame.header, all.end());
    sent.push_back(std::move(frame));
    done.push_back({*std::move(buffer), 0});
  }
  queues[1].ring->use(done);
  interrupt_for(queues[1]);
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

void MmioRegisters::write8(std::size_t offset, std::uint8_t) noexcept { ADD_FAILURE() << offset; }
void MmioRegisters::write16(std::size_t offset, std::uint16_t) noexcept { ADD_FAILURE() << offset; }

void MmioRegisters::write32(std::size_t offset, std::uint32_t value) noexcept {
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

}  // namespace lichen::driver::virtio::test

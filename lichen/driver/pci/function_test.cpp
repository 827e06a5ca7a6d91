#include "lichen/driver/pci/function.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace lichen::driver::pci {
namespace {

// Bytes as registers; what lies beyond them answers with ones, as a bus does.
class Memory : public virtio::RegistersOf<Memory> {
 public:
  explicit Memory(std::size_t size) : bytes_(size) {}
  std::size_t size() const noexcept override { return bytes_.size(); }

  template <class T>
  T get(std::size_t offset) {
    EXPECT_EQ(offset % sizeof(T), 0U);
    T value{};
    EXPECT_LE(offset + sizeof(T), bytes_.size());
    std::memcpy(&value, &bytes_.at(offset), sizeof(T));
    return value;
  }
  template <class T>
  void set(std::size_t offset, T value) {
    EXPECT_EQ(offset % sizeof(T), 0U);
    EXPECT_LE(offset + sizeof(T), bytes_.size());
    std::memcpy(&bytes_.at(offset), &value, sizeof(T));
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

// A function of the standard's words: which bits of its BARs can be written is what it decides.
class Device final : public Memory {
 public:
  Device(std::uint16_t vendor, std::uint8_t type) : Memory{configuration_size} {
    Memory::write16(0x00, vendor);
    Memory::write8(0x0E, type);
  }
  void write32(std::size_t offset, std::uint32_t value) noexcept override {
    if (offset >= 0x10 && offset < 0x28) {
      if ((read16(0x04) & 2) != 0) ++moved_while_answering;
      const std::uint32_t fixed = read32(offset) & ~writable[(offset - 0x10) / 4];
      value = (value & writable[(offset - 0x10) / 4]) | fixed;
    }
    Memory::write32(offset, value);
  }
  void capability(std::size_t at, std::uint8_t kind, std::uint8_t next) {
    Memory::write16(0x06, 1 << 4);
    Memory::write8(at, kind);
    Memory::write8(at + 1, next);
  }

  std::array<std::uint32_t, 6> writable{};
  unsigned moved_while_answering = 0;
};

class Space final : public Registers {
 public:
  explicit Space(std::size_t buses) : size_{buses << 20} {}
  Device& add(unsigned bus, unsigned device, unsigned function, std::uint16_t vendor = 0x1AF4,
              std::uint8_t type = 0) {
    return devices_.try_emplace((bus << 20 | device << 15 | function << 12), vendor, type)
        .first->second;
  }
  std::size_t size() const noexcept override { return size_; }
  std::uint8_t read8(std::size_t offset) noexcept override {
    Device* const device = at(offset);
    return device ? device->read8(offset % configuration_size) : UINT8_MAX;
  }
  std::uint16_t read16(std::size_t offset) noexcept override {
    Device* const device = at(offset);
    return device ? device->read16(offset % configuration_size) : UINT16_MAX;
  }
  std::uint32_t read32(std::size_t offset) noexcept override {
    Device* const device = at(offset);
    return device ? device->read32(offset % configuration_size) : UINT32_MAX;
  }
  void write8(std::size_t offset, std::uint8_t value) noexcept override {
    if (Device* const device = at(offset)) device->write8(offset % configuration_size, value);
  }
  void write16(std::size_t offset, std::uint16_t value) noexcept override {
    if (Device* const device = at(offset)) device->write16(offset % configuration_size, value);
  }
  void write32(std::size_t offset, std::uint32_t value) noexcept override {
    if (Device* const device = at(offset)) device->write32(offset % configuration_size, value);
  }

 private:
  Device* at(std::size_t offset) {
    EXPECT_LT(offset, size_);
    const auto found = devices_.find(offset & ~(configuration_size - 1));
    return found == devices_.end() ? nullptr : &found->second;
  }
  std::size_t size_;
  std::map<std::size_t, Device> devices_;
};

std::string list(Space& space, std::uint8_t first_bus = 0) {
  std::string text;
  each_function(space, first_bus, [&](Registers&, Location at) {
    text += std::to_string(at.bus) + ":" + std::to_string(at.device) + "." +
            std::to_string(at.function) + " ";
  });
  return text;
}

TEST(Functions, OfTheFirstBusAreShown) {
  Space space{1};
  space.add(0, 0, 0);
  space.add(0, 2, 0, 0x8086, 0x80);  // of several
  space.add(0, 2, 3);
  space.add(0, 31, 0);
  space.add(0, 31, 1);  // does not exist: the first says that it is alone
  space.add(0, 7, 1);   // nor does this: there is no function 0
  EXPECT_EQ(list(space), "0:0.0 0:2.0 0:2.3 0:31.0 ");
}

TEST(Functions, BehindBridgesAreShown) {
  Space space{8};
  space.add(0, 1, 0, 0x1B36, 1).write8(0x19, 3);
  space.add(3, 0, 0, 0x1B36, 1).write8(0x19, 7);
  space.add(7, 5, 0);
  space.add(5, 0, 0);  // behind nobody
  EXPECT_EQ(list(space), "0:1.0 3:0.0 7:5.0 ");
}

TEST(Functions, ABridgeThatLeadsBackOrBeyondIsNotFollowed) {
  Space space{2};
  space.add(0, 1, 0, 0x1B36, 1).write8(0x19, 0);
  space.add(0, 2, 0, 0x1B36, 1).write8(0x19, 9);
  space.add(0, 3, 0, 0x1B36, 1).write8(0x19, 1);
  space.add(1, 0, 0, 0x1B36, 1).write8(0x19, 1);
  EXPECT_EQ(list(space), "0:1.0 0:2.0 0:3.0 1:0.0 ");
}

TEST(Functions, NumbersBeginWithTheFirstBus) {
  Space space{2};
  space.add(0, 4, 0);
  space.add(0, 1, 0, 0x1B36, 1).write8(0x19, 65);
  space.add(1, 6, 0);
  EXPECT_EQ(list(space, 64), "64:1.0 64:4.0 65:6.0 ");
}

TEST(Bars, SayWhereAndHowLarge) {
  Device device{0x1AF4, 0};
  device.Memory::write32(0x10, 0x1);  // ports
  device.writable[0] = 0xFFFFFFE0;
  device.Memory::write32(0x14, 0xFEB00000);
  device.writable[1] = 0xFFFFF000;
  device.Memory::write32(0x20, 0xE000000C);  // 64 bits, prefetchable
  device.Memory::write32(0x24, 0x8);
  device.writable[4] = 0xFFFFC000;
  device.writable[5] = 0xFFFFFFFF;
  device.write16(0x04, 0x7);
  const Bars bars = read_bars(device);
  EXPECT_EQ(bars[0].size, 0U);
  EXPECT_EQ(bars[1].address, 0xFEB00000U);
  EXPECT_EQ(bars[1].size, 0x1000U);
  EXPECT_FALSE(bars[1].wide);
  EXPECT_EQ(bars[2].size, 0U);
  EXPECT_EQ(bars[4].address, 0x8'E000'0000U);
  EXPECT_EQ(bars[4].size, 0x4000U);
  EXPECT_TRUE(bars[4].wide);
  EXPECT_EQ(bars[5].size, 0U);
  // Everything is what it was.
  EXPECT_EQ(device.read16(0x04), 0x7);
  EXPECT_EQ(device.read32(0x14), 0xFEB00000U);
  EXPECT_EQ(device.read32(0x20), 0xE000000CU);
  EXPECT_EQ(device.read32(0x24), 0x8U);
  EXPECT_EQ(device.moved_while_answering, 0U);
}

TEST(Bars, OfMoreThanFourGiB) {
  Device device{0x1AF4, 0};
  device.Memory::write32(0x10, 0x4);
  device.writable[0] = 0;
  device.writable[1] = 0xFFFFFFFC;
  EXPECT_EQ(read_bars(device)[0].size, std::uint64_t{4} << 32);
}

TEST(Bars, GetAddressesWhereTheyHaveNone) {
  Device device{0x1AF4, 0};
  device.writable[0] = 0xFFFFF000;
  device.Memory::write32(0x14, 0x40000000);
  device.writable[1] = 0xFFFF0000;
  device.Memory::write32(0x18, 0x4);
  device.writable[2] = 0xFFFFC000;
  device.writable[3] = 0xFFFFFFFF;
  Bars bars = read_bars(device);
  AddressPool pool{.next = 0x50000100, .end = 0x50010000};
  ASSERT_TRUE(assign_bars(device, bars, pool));
  EXPECT_EQ(bars[0].address, 0x50001000U);
  EXPECT_EQ(device.read32(0x10), 0x50001000U);
  EXPECT_EQ(bars[1].address, 0x40000000U);
  EXPECT_EQ(bars[2].address, 0x50004000U);
  EXPECT_EQ(device.read32(0x18), 0x50004004U);
  EXPECT_EQ(device.read32(0x1C), 0U);
  EXPECT_EQ(pool.next, 0x50008000U);
}

TEST(Bars, GetNoneThatTheyCannotTake) {
  Device device{0x1AF4, 0};
  device.writable[0] = 0xFFFFF000;
  Bars bars = read_bars(device);
  AddressPool small{.next = 0x50000000, .end = 0x50000800};
  EXPECT_EQ(assign_bars(device, bars, small).error(), Error::no_memory);
  AddressPool none{};
  EXPECT_EQ(assign_bars(device, bars, none).error(), Error::no_memory);
  AddressPool high{.next = std::uint64_t{1} << 32, .end = std::uint64_t{1} << 33};
  EXPECT_EQ(assign_bars(device, bars, high).error(), Error::no_memory);
  AddressPool wrapping{.next = UINT64_MAX - 16, .end = UINT64_MAX};
  EXPECT_EQ(assign_bars(device, bars, wrapping).error(), Error::no_memory);
  EXPECT_EQ(device.read32(0x10), 0U);
}

TEST(Capabilities, AreFoundInAList) {
  Device device{0x1AF4, 0};
  EXPECT_FALSE(find_capability(device, 0x11));
  device.write8(0x34, 0x40);
  EXPECT_FALSE(find_capability(device, 0)) << "it has no list";
  device.capability(0x40, 0x09, 0x50);
  device.capability(0x50, 0x11, 0);
  EXPECT_EQ(find_capability(device, 0x11), 0x50U);
  EXPECT_EQ(find_capability(device, 0x05), std::nullopt);
  device.capability(0x50, 0x11, 0x40);  // bites its tail
  EXPECT_EQ(find_capability(device, 0x05), std::nullopt);
}

TEST(Messages, GoIntoTheTable) {
  Device device{0x1AF4, 0};
  device.write8(0x34, 0x98);
  device.capability(0x98, 0x11, 0);
  device.write16(0x9A, 0x4002);          // three entries, all masked
  device.Memory::write32(0x9C, 0x2001);  // in the second BAR
  const auto table = find_messages(device);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->entries, 3U);
  EXPECT_EQ(table->bar, 1U);
  EXPECT_EQ(table->offset, 0x2000U);
  Memory bar{0x2030};
  ASSERT_TRUE(set_message(*table, bar, 2, 0xFEE0'1000, 0x31));
  EXPECT_EQ(bar.read32(0x2020), 0xFEE0'1000U);
  EXPECT_EQ(bar.read32(0x2024), 0U);
  EXPECT_EQ(bar.read32(0x2028), 0x31U);
  EXPECT_EQ(bar.read32(0x202C), 0U);
  EXPECT_EQ(set_message(*table, bar, 3, 0, 0).error(), Error::invalid_argument);
  Memory short_bar{0x2028};
  EXPECT_EQ(set_message(*table, short_bar, 2, 0, 0).error(), Error::invalid_argument);
  enable_messages(*table, device);
  EXPECT_EQ(device.read16(0x9A), 0x8002);
  EXPECT_EQ(device.read16(0x04) & 1 << 10, 1 << 10);
}

TEST(Messages, AreNotThereIfTheCapabilityLies) {
  Device device{0x1AF4, 0};
  device.write8(0x34, 0x98);
  device.capability(0x98, 0x11, 0);
  device.Memory::write32(0x9C, 0x2007);  // there is no such BAR
  EXPECT_FALSE(find_messages(device));
  device.write8(0x34, 0xFC);
  device.capability(0xFC, 0x11, 0);  // it ends beyond the configuration space
  EXPECT_FALSE(find_messages(device));
}

TEST(Line, HasAPin) {
  Device device{0x1AF4, 0};
  EXPECT_FALSE(line_pin(device));
  device.write8(0x3D, 2);
  EXPECT_EQ(line_pin(device), 1U);
  device.write8(0x3D, 9);
  EXPECT_FALSE(line_pin(device));
}

TEST(Line, IsWhatTheFirmwareHasWritten) {
  Device device{0x1AF4, 0};
  EXPECT_FALSE(written_line(device));
  device.write8(0x3C, 11);
  EXPECT_EQ(written_line(device), 11U);
  for (const std::uint8_t none : {std::uint8_t{0}, std::uint8_t{16}, std::uint8_t{0xFF}}) {
    device.write8(0x3C, none);
    EXPECT_FALSE(written_line(device));
  }
}

}  // namespace
}  // namespace lichen::driver::pci

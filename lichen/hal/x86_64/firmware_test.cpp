// What a loader and the firmware of a PC may say, from bytes.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "lichen/hal/x86_64/acpi_tables.hpp"
#include "lichen/hal/x86_64/loader.hpp"

namespace lichen::hal::detail {
namespace {

constexpr Physical top = std::numeric_limits<Physical>::max();

class Memory {
 public:
  explicit Memory(std::size_t size) : bytes_(size) {}
  template <class T>
  Memory& put(std::size_t at, T value) {
    std::memcpy(&bytes_.at(at), &value, sizeof value);
    return *this;
  }
  Memory& text(std::size_t at, std::string_view value) {
    std::memcpy(&bytes_.at(at), value.data(), value.size());
    return *this;
  }
  Memory& range(std::size_t at, std::uint64_t begin, std::uint64_t size, std::uint32_t type = 1) {
    return put(at, begin).put(at + 8, size).put(at + 16, type);
  }
  // A start_info of PVH at 0x10.
  Memory& pvh(std::uint64_t words, std::uint64_t ranges, std::uint32_t count) {
    return put(0x10, 0x336e'c578U)
        .put(0x14, 1U)
        .put<std::uint64_t>(0x10 + 24, words)
        .put<std::uint64_t>(0x10 + 40, ranges)
        .put(0x10 + 48, count);
  }
  // Makes the sum of these bytes zero.
  Memory& seal(std::size_t at, std::size_t size, std::size_t sum_at) {
    unsigned sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum += std::to_integer<unsigned>(bytes_.at(at + i));
    bytes_.at(at + sum_at) = static_cast<std::byte>(0U - sum);
    return *this;
  }
  Memory& table(std::size_t at, std::string_view signature, std::uint32_t size) {
    return text(at, signature).put(at + 4, size).seal(at, size, 9);
  }
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] FirmwareTables tables() const {
    FirmwareTables tables;
    tables.read(find_root(bytes_), [&](Physical at, std::size_t size) -> Bytes {
      if (at > bytes_.size() || size > bytes_.size() - at) return {};
      return bytes().subspan(at, size);
    });
    return tables;
  }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<std::array<Physical, 2>> ranges_of(const MemoryMap& map) {
  std::vector<std::array<Physical, 2>> all;
  for (const MemoryRange& one : map.ranges()) all.push_back({one.begin, one.end});
  return all;
}
using Ranges = std::vector<std::array<Physical, 2>>;

TEST(MemoryMap, HasWholePages) {
  MemoryMap map;
  map.add(1, 0x5001);
  EXPECT_EQ(ranges_of(map), (Ranges{{0x1000, 0x5000}}));
  map.remove(0x2fff, 0x3001);
  EXPECT_EQ(ranges_of(map), (Ranges{{0x1000, 0x2000}, {0x4000, 0x5000}}));
  map.add(0x3000, 0x2000);
  map.remove(0x5000, 0x1000);
  EXPECT_EQ(map.ranges().size(), 2U);
}

// A sum that goes beyond the last address is no small one.
TEST(MemoryMap, DoesNotWrapRound) {
  MemoryMap map;
  map.add(top - 10, top);
  EXPECT_TRUE(map.ranges().empty());
  map.add(top - 0x2fff, top);
  EXPECT_EQ(ranges_of(map), (Ranges{{top - 0x2fff, top - 0xfff}}));
  map.add(0x1000, 0x2000);
  map.remove(0x8000, top);
  EXPECT_EQ(ranges_of(map), (Ranges{{0x1000, 0x2000}}));
}

TEST(Pvh, TellsWordsAndMemory) {
  Memory memory{0x200};
  memory.pvh(0x100, 0x60, 3).text(0x100, "two words").put<std::uint64_t>(0x10 + 32, 0xe0000);
  memory.range(0x60, 0, 0x9fc00).range(0x78, 0x9f000, 0x1000, 2).range(0x90, 0x100000, 0x300000);
  MemoryMap map;
  const auto word = read_pvh(memory.bytes(), 0x10, map);
  ASSERT_TRUE(word);
  EXPECT_EQ(word->command_line, "two words");
  EXPECT_EQ(word->firmware_root, 0xe0000U);
  EXPECT_EQ(ranges_of(map), (Ranges{{0, 0x9f000}, {0x100000, 0x400000}}));
}

TEST(Pvh, IsNotBelievedBeyondWhatCanBeSeen) {
  Memory memory{0x80};
  memory.pvh(top, 0x60, UINT32_MAX).range(0x60, top - 0xff, 0x20'0000);
  MemoryMap map;
  const auto word = read_pvh(memory.bytes(), 0x10, map);
  ASSERT_TRUE(word);
  EXPECT_EQ(word->command_line, "");
  EXPECT_TRUE(map.ranges().empty()) << "its end has wrapped round";
  EXPECT_TRUE(read_pvh(memory.bytes(), 0x50, map).failed_with(Error::protocol_error));
  EXPECT_TRUE(read_pvh(memory.bytes(), top, map).failed_with(Error::protocol_error));
  memory.pvh(0x70, top - 8, 2);
  EXPECT_TRUE(read_pvh(memory.bytes(), 0x10, map));
  EXPECT_TRUE(map.ranges().empty());
}

// Tags that end behind the end of all, or whose ranges are too small to be any.
TEST(Multiboot2, IsNotBelievedBeyondItsOwnSize) {
  Memory memory{0x200};
  memory.put(0, 0x70U).put(8, 1U).put(12, 8U + 5).text(16, "words");
  memory.put(24, 6U).put(28, 16U + 24).put(32, 24U).range(40, 0x100000, 0x100000);
  memory.put(64, 14U).put(68, 28U).text(72, "RSD PTR ");
  MemoryMap map;
  const auto word = read_multiboot2(memory.bytes(), 0, map);
  ASSERT_TRUE(word);
  EXPECT_EQ(word->command_line, "words");
  EXPECT_EQ(word->copied_root.size(), 20U);
  EXPECT_EQ(ranges_of(map), (Ranges{{0x100000, 0x200000}}));

  MemoryMap none;
  for (const std::uint32_t step : {0U, 8U, 23U, UINT32_MAX}) {
    memory.put(32, step);
    EXPECT_TRUE(read_multiboot2(memory.bytes(), 0, none));
    EXPECT_TRUE(none.ranges().empty()) << step;
  }
  memory.put(32, 24U).put(28, 0x1000U);
  EXPECT_EQ(read_multiboot2(memory.bytes(), 0, none)->copied_root.size(), 0U);
  EXPECT_TRUE(none.ranges().empty());
  EXPECT_TRUE(read_multiboot2(memory.bytes(), 0x200, none).failed_with(Error::protocol_error));
}

TEST(DeviceWord, HasASizeThatCanBeTold) {
  const auto device = parse_device_word("4K@0xfeb00000:5:0");
  ASSERT_TRUE(device);
  EXPECT_EQ(device->registers.address, 0xfeb0'0000U);
  EXPECT_EQ(device->registers.size, 4096U);
  EXPECT_EQ(device->line, 5U);
  EXPECT_TRUE(parse_device_word("512@0x1:1"));
  for (const std::string_view wrong :
       {"", "4K", "4K@0x", "4K@1:5", "4K@0x1", "4K@0x1:", "4K@0x1:4294967295", "4K@0x1:5x",
        "18014398509481985K@0x1:1", "99999999999999999999@0x1:1", "-4@0x1:1"})
    EXPECT_FALSE(parse_device_word(wrong)) << wrong;
}

TEST(Acpi, FindsTablesWhoseSumIsRight) {
  Memory memory{0x400};
  memory.text(0x20, "RSD PTR ").put(0x20 + 16, 0x60U).seal(0x20, old_root_size, 8);
  memory.put(0x60 + 36, 0x100U).put(0x60 + 40, 0x180U).put(0x60 + 44, 0xffff'fff0U);
  memory.table(0x60, "RSDT", 48).table(0x100, "APIC", 60).table(0x180, "MCFG", 60);
  EXPECT_EQ(memory.tables().find("APIC").size(), 60U);
  EXPECT_EQ(memory.tables().find("MCFG").size(), 60U);
  EXPECT_TRUE(memory.tables().find("FACP").empty());
  EXPECT_TRUE(memory.tables().program().empty());
  memory.put(0x180 + 44, 1U);
  EXPECT_TRUE(memory.tables().find("MCFG").empty());
  memory.put(0x100 + 4, 0x1000U);
  EXPECT_TRUE(memory.tables().find("APIC").empty()) << "it ends beyond what can be seen";
}

TEST(Acpi, EntriesEndWithTheirTable) {
  Memory memory{60};
  memory.put<std::uint16_t>(44, 0x0801).put<std::uint16_t>(52, 0x0902);
  std::size_t count = 0;
  each_entry(memory.bytes(), 44, [&](std::uint8_t, Bytes entry) { count += entry.size(); });
  EXPECT_EQ(count, 8U);
}

TEST(Acpi, NamesTheStateInWhichAPcIsOff) {
  Memory memory{16};
  memory.text(2, "_S5_").put<std::uint8_t>(6, 0x12).put<std::uint8_t>(7, 6);
  memory.put<std::uint8_t>(8, 4).put<std::uint8_t>(9, 0x0a).put<std::uint8_t>(10, 5);
  EXPECT_EQ(off_type(memory.bytes()), 5);
  EXPECT_EQ(off_type(memory.bytes().first(10)), 0);
  EXPECT_EQ(off_type({}), 0);
}

}  // namespace
}  // namespace lichen::hal::detail

// What a loader (PVH, Multiboot2) and the firmware (ACPI) leave in a PC's memory, which is the
// input: whatever is in it, nothing beyond it is read, what is found lies in it, and memory that
// is taken for usable was called so. The first byte chooses what is read, the next two are where.
#include <algorithm>
#include <bitset>
#include <cstdint>
#include <cstring>
#include <memory>

#include "lichen/hal/types.hpp"
#include "lichen/hal/x86_64/acpi_tables.hpp"
#include "lichen/hal/x86_64/loader.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::hal;
using namespace lichen::hal::detail;

namespace {

struct Memory {
  explicit Memory(std::span<const std::uint8_t> input)
      : copy{new std::byte[input.size()]}, size{input.size()} {
    if (size > 0) std::memcpy(copy.get(), input.data(), size);
  }
  [[nodiscard]] Bytes bytes() const { return {copy.get(), size}; }
  void check(Bytes part) const {
    CHECK(part.empty() ||
          (part.data() >= copy.get() && part.data() + part.size() <= copy.get() + size));
  }

  std::unique_ptr<std::byte[]> copy;
  std::size_t size;
};

void check_map(const MemoryMap& map) {
  CHECK(map.ranges().size() <= MemoryMap::most_ranges);
  for (const MemoryRange& one : map.ranges()) {
    CHECK(one.begin < one.end && one.begin % page_size == 0 && one.end % page_size == 0);
    for (const MemoryRange& other : map.ranges())
      CHECK(&other == &one || other.end <= one.begin || one.end <= other.begin);
  }
}

void read_loader(const Memory& memory, Physical at, bool pvh) {
  MemoryMap map;
  const auto word = (pvh ? read_pvh : read_multiboot2)(memory.bytes(), at, map);
  check_map(map);
  if (!word) {
    CHECK(map.ranges().empty());
    return;
  }
  memory.check(std::as_bytes(std::span{word->command_line}));
  CHECK(word->command_line.find('\0') == std::string_view::npos);
  memory.check(word->copied_root);
}

// Adds and removes, beside a map of pages. The first and the last pages there are, so that sums
// wrap round.
void change_map(std::span<const std::uint8_t> input) {
  constexpr std::size_t half = 32;
  std::bitset<2 * half> model;
  MemoryMap map;
  const auto address = [](unsigned place) {
    const Physical within = place / 4 % half * page_size;
    const Physical beside = place % 4 == 0 ? 0 : place % 4 * (page_size / 3);
    return (place >= 128 ? ~Physical{0} - (half * page_size - 1) : 0) + within + beside;
  };
  const auto page_at = [](std::size_t place) {
    return place < half ? place * page_size : ~Physical{0} - ((2 * half - place) * page_size - 1);
  };
  for (; input.size() >= 3; input = input.subspan(3)) {
    const Physical begin = address(input[1]);
    const Physical end = address(input[2]);
    const bool adds = (input[0] & 1) != 0;
    if (adds)
      map.add(begin, end);
    else
      map.remove(begin, end);
    check_map(map);
    if (begin >= end) continue;
    for (std::size_t i = 0; i < model.size(); ++i) {
      const Physical first = page_at(i);
      const Physical last = first + (page_size - 1);
      const bool whole = begin <= first && last < end;
      const bool part = begin <= last && first < end;
      if (adds ? whole : part) model.set(i, adds);
      CHECK(model[i] == std::ranges::any_of(map.ranges(), [&](const MemoryRange& one) {
              return one.begin <= first && first < one.end;
            }));
    }
  }
}

void check_found(const FoundDevice& device) {
  if (device.bus == DeviceBus::virtio_mmio) return;
  CHECK(device.registers.size >= 1U << 20 && device.registers.size <= 256U << 20);
}

// Checksums are made right, or the fuzzer would find nothing; `leaves` some as they are.
void read_tables(const Memory& memory, unsigned leaves) {
  const auto make_right = [&](std::size_t at, std::size_t size, std::size_t sum_at) {
    if (leaves % 8 == 7 || size <= sum_at) return;
    unsigned sum = 0;
    memory.copy[at + sum_at] = std::byte{};
    for (std::size_t i = 0; i < size; ++i) sum += std::to_integer<unsigned>(memory.copy[at + i]);
    memory.copy[at + sum_at] = static_cast<std::byte>(0U - sum);
  };
  for (std::size_t at = 0; at + root_size <= memory.size; at += 16)
    if (std::memcmp(&memory.copy[at], "RSD PTR ", 8) == 0) make_right(at, old_root_size, 8);
  const Bytes root = find_root(memory.bytes());
  memory.check(root);
  FirmwareTables tables;
  std::size_t seen = 0;
  tables.read(root, [&](Physical at, std::size_t size) -> Bytes {
    CHECK(++seen <= 2 * 34 && size <= 1U << 20);
    if (at > memory.size || size > memory.size - at) return {};
    if (size > 36) make_right(at, size, 9);
    return memory.bytes().subspan(at, size);
  });
  for (const std::string_view name : {"APIC", "FACP", "HPET", "MCFG", "SSDT"}) {
    const Bytes table = tables.find(name);
    memory.check(table);
    CHECK(table.empty() || (table.size() >= 36 && find_text(table, name) == 0));
    each_entry(table, 44, [&](std::uint8_t, Bytes entry) {
      CHECK(entry.size() >= 2);
      memory.check(entry);
    });
    each_bridge(table, &check_found);
  }
  memory.check(tables.program());
  each_described(tables.program(), &check_found);
  (void)off_type(tables.program());
  each_described(memory.bytes(), &check_found);
  (void)off_type(memory.bytes());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::span<const std::uint8_t> input{data + 3, size - 3};
  const Physical at = data[1] | Physical{data[2]} << 8;
  switch (data[0] % 4) {
    case 0: read_loader(Memory{input}, at, true); break;
    case 1: read_loader(Memory{input}, at, false); break;
    case 2: read_tables(Memory{input}, data[1]); break;
    default: change_map(input);
  }
  return 0;
}

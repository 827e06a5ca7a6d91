#include "lichen/hal/x86_64/acpi_tables.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

namespace {

constexpr std::string_view root_signature = "RSD PTR ";

bool begins_with(Bytes bytes, std::string_view text) noexcept {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

bool sums_to_zero(Bytes bytes) noexcept {
  unsigned sum = 0;
  const std::byte* const begin = bytes.data();
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += static_cast<unsigned>(begin[i]);
  return sum % 256 == 0;
}

// Most lie in the page that their header is in, and are seen with it.
Bytes table_at(Physical address, SeeFirmware see) noexcept {
  constexpr std::size_t header = 36;
  const Bytes start = see(address, header);
  const auto length = field<std::uint32_t>(start, 4);
  constexpr std::size_t most = std::size_t{1} << 20;
  if (length < header || length > most) return {};
  const Bytes whole = see(address, length);
  return whole.size() == length && sums_to_zero(whole) ? whole : Bytes{};
}

}  // namespace

std::size_t find_text(Bytes bytes, std::string_view text) noexcept {
  const std::byte* const begin = bytes.data();
  const auto first = static_cast<std::byte>(text[0]);
  for (std::size_t at = 0; at + text.size() <= bytes.size(); ++at)
    if (begin[at] == first && std::memcmp(begin + at, text.data(), text.size()) == 0) return at;
  return bytes.size();
}

Bytes find_root(Bytes area) noexcept {
  constexpr auto signature =
      std::bit_cast<std::uint64_t>(std::array<char, 8>{'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '});
  for (std::size_t at = 0; at + root_size <= area.size(); at += 16)
    if (field<std::uint64_t>(area, at) == signature &&
        sums_to_zero(area.subspan(at, old_root_size)))
      return area.subspan(at, root_size);
  return {};
}

void FirmwareTables::read(Bytes root, SeeFirmware see) noexcept {
  if (!begins_with(root, root_signature)) return;
  const bool wide = field<std::uint8_t>(root, 15) >= 2 && field<std::uint64_t>(root, 24) != 0;
  const Bytes list =
      table_at(wide ? field<std::uint64_t>(root, 24) : field<std::uint32_t>(root, 16), see);
  const std::size_t step = wide ? 8 : 4;
  for (std::size_t at = 36; at + step <= list.size() && count_ < tables_.size(); at += step)
    tables_[count_++] =
        table_at(wide ? field<std::uint64_t>(list, at) : field<std::uint32_t>(list, at), see);
  // FADT, 5.2.9.
  const Bytes fixed = find("FACP");
  const auto wide_program = field<std::uint64_t>(fixed, 140);
  const Physical program = wide_program != 0 ? wide_program : field<std::uint32_t>(fixed, 40);
  if (program != 0) program_ = table_at(program, see);
}

Bytes FirmwareTables::find(std::string_view signature) const noexcept {
  for (const Bytes table : std::span{tables_}.first(count_))
    if (begins_with(table, signature)) return table;
  return {};
}

// PCI Firmware Specification 3.3, 4.1.2: from 44 on, 16 bytes for each range of buses.
void each_bridge(Bytes table, ShowDevice show) noexcept {
  for (std::size_t at = 44; at + 16 <= table.size(); at += 16) {
    const auto segment = field<std::uint16_t>(table, at + 8);
    const auto first = field<std::uint8_t>(table, at + 10);
    const auto last = field<std::uint8_t>(table, at + 11);
    if (segment != 0 || last < first) continue;
    const std::uint64_t each = std::uint64_t{1} << 20;
    show({.bus = DeviceBus::pci_express,
          .registers = {.address = field<std::uint64_t>(table, at) + first * each,
                        .size = (last - first + 1) * each},
          .first_bus = first,
          .lines_are_written = true});
  }
}

// ACPI 6.4, 6.4.3.4 and 6.4.3.6: a range of memory of fixed place, a list of interrupts.
void each_described(Bytes program, ShowDevice show) noexcept {
  using namespace std::string_view_literals;
  constexpr std::string_view virtio_name = "LNRO0005";
  constexpr std::string_view memory_range = "\x86\x09\x00"sv;  // its length, fixed
  constexpr std::byte interrupt_list{0x89};
  for (std::size_t at = find_text(program, virtio_name); at < program.size();) {
    program = program.subspan(at + virtio_name.size());
    at = find_text(program, virtio_name);
    const Bytes one = program.first(at);
    const std::size_t range = find_text(one, memory_range);
    constexpr std::size_t range_size = 12;
    constexpr std::size_t list_size = 9;
    if (range + range_size + list_size > one.size()) continue;
    const Bytes list = one.subspan(range + range_size);
    if (list[0] != interrupt_list || field<std::uint8_t>(list, 4) == 0) continue;
    show({.bus = DeviceBus::virtio_mmio,
          .registers = {.address = field<std::uint32_t>(one, range + 4),
                        .size = field<std::uint32_t>(one, range + 8)},
          .line = field<std::uint32_t>(list, 5)});
  }
}

std::uint8_t off_type(Bytes program) noexcept {
  constexpr std::uint8_t package = 0x12;
  constexpr std::uint8_t byte_follows = 0x0a;
  const Bytes rest = program.subspan(find_text(program, "_S5_"));
  if (field<std::uint8_t>(rest, 4) != package) return 0;
  // The package's size takes one to four bytes, the number of its members one.
  const std::size_t at = 5 + 1 + (field<std::uint8_t>(rest, 5) >> 6) + 1;
  const auto first = field<std::uint8_t>(rest, at);
  return first == byte_follows ? field<std::uint8_t>(rest, at + 1) : first;
}

}  // namespace lichen::hal::detail

#pragma clang attribute pop

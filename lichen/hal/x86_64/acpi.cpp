#include "lichen/hal/x86_64/acpi.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/x86_64/machine.hpp"

namespace lichen::hal::detail {

namespace {

constexpr std::size_t old_root_size = 20;
constexpr std::size_t root_size = 36;

constinit Physical firmware_root = 0;
constinit std::array<std::byte, root_size> copied_root{};
constinit std::array<Bytes, 32> tables{};
constinit std::size_t table_count = 0;
constinit Bytes the_program{};
constinit bool looked = false;

bool begins_with(Bytes bytes, std::string_view text) noexcept {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

bool sums_to_zero(Bytes bytes) noexcept {
  unsigned sum = 0;
  const std::byte* const begin = bytes.data();
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += static_cast<unsigned>(begin[i]);
  return sum % 256 == 0;
}

// In the last 128 KiB below 1 MiB, at a multiple of 16 bytes.
Bytes find_root() noexcept {
  if (copied_root[0] != std::byte{}) return copied_root;
  if (firmware_root != 0) {
    auto root = map_firmware(firmware_root, root_size);
    return root ? Bytes{*root, root_size} : Bytes{};
  }
  constexpr Physical begin = 0xe'0000;
  constexpr std::size_t size = 0x2'0000;
  auto area = map_firmware(begin, size);
  if (!area) return {};
  const Bytes bytes{*area, size};
  constexpr auto signature =
      std::bit_cast<std::uint64_t>(std::array<char, 8>{'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '});
  for (std::size_t at = 0; at + root_size <= size; at += 16)
    if (field<std::uint64_t>(bytes, at) == signature &&
        sums_to_zero(bytes.subspan(at, old_root_size)))
      return bytes.subspan(at, root_size);
  return {};
}

// Maps it whole.
Bytes table_at(Physical address) noexcept {
  constexpr std::size_t header = 36;
  auto start = map_firmware(address, header);
  if (!start) return {};
  const auto length = base::load_little<std::uint32_t>({*start + 4, 4});
  constexpr std::size_t most = std::size_t{1} << 20;
  if (length < header || length > most) return {};
  // Most lie in the page that their header is in.
  const std::byte* whole = *start;
  if (address % page_size + length > page_size) {
    auto mapped = map_firmware(address, length);
    if (!mapped) return {};
    whole = *mapped;
  }
  return sums_to_zero({whole, length}) ? Bytes{whole, length} : Bytes{};
}

void look() noexcept {
  const Bytes root = find_root();
  if (!begins_with(root, "RSD PTR ")) return;
  const bool wide = field<std::uint8_t>(root, 15) >= 2 && field<std::uint64_t>(root, 24) != 0;
  const Bytes list =
      table_at(wide ? field<std::uint64_t>(root, 24) : field<std::uint32_t>(root, 16));
  const std::size_t step = wide ? 8 : 4;
  for (std::size_t at = 36; at + step <= list.size() && table_count < tables.size(); at += step)
    tables[table_count++] =
        table_at(wide ? field<std::uint64_t>(list, at) : field<std::uint32_t>(list, at));
}

}  // namespace

void set_firmware_root(Physical address) noexcept { firmware_root = address; }

void copy_firmware_root(Bytes root) noexcept {
  if (root.size() < old_root_size) return;
  std::memcpy(copied_root.data(), root.data(), std::min(root.size(), root_size));
}

std::size_t find_text(Bytes bytes, std::string_view text) noexcept {
  const std::byte* const begin = bytes.data();
  const auto first = static_cast<std::byte>(text[0]);
  for (std::size_t at = 0; at + text.size() <= bytes.size(); ++at)
    if (begin[at] == first && std::memcmp(begin + at, text.data(), text.size()) == 0) return at;
  return bytes.size();
}

Bytes firmware_program() noexcept { return the_program; }

Bytes find_table(std::string_view signature) noexcept {
  if (!looked) {
    looked = true;
    look();
    // FADT, 5.2.9.
    const Bytes fixed = find_table("FACP");
    const auto wide = field<std::uint64_t>(fixed, 140);
    const Physical program = wide != 0 ? wide : field<std::uint32_t>(fixed, 40);
    if (program != 0) the_program = table_at(program);
  }
  for (const Bytes table : std::span{tables}.first(table_count))
    if (begins_with(table, signature)) return table;
  return {};
}

}  // namespace lichen::hal::detail

#include "lichen/hal/x86_64/acpi.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/x86_64/machine.hpp"

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

namespace {

constinit Physical firmware_root = 0;
constinit std::array<std::byte, root_size> copied_root{};
constinit FirmwareTables tables;
constinit bool looked = false;

// What was seen last, up to the end of its page.
constinit Physical seen_at = 0;
constinit Bytes seen{};

Bytes see(Physical at, std::size_t size) noexcept {
  if (at >= seen_at && at - seen_at < seen.size() && size <= seen.size() - (at - seen_at))
    return seen.subspan(at - seen_at, size);
  const std::size_t whole = std::max<std::size_t>(size, page_size - at % page_size);
  const auto mapped = map_firmware(at, whole);
  if (!mapped) return {};
  seen_at = at;
  seen = {*mapped, whole};
  return seen.first(size);
}

// In the last 128 KiB below 1 MiB.
Bytes look_for_root() noexcept {
  if (copied_root[0] != std::byte{}) return copied_root;
  if (firmware_root != 0) return see(firmware_root, root_size);
  return find_root(see(0xe'0000, 0x2'0000));
}

}  // namespace

void set_firmware_root(Physical address) noexcept { firmware_root = address; }

void copy_firmware_root(Bytes root) noexcept {
  if (root.size() < old_root_size) return;
  std::memcpy(copied_root.data(), root.data(), std::min(root.size(), root_size));
}

Bytes find_table(std::string_view signature) noexcept {
  if (!looked) {
    looked = true;
    tables.read(look_for_root(), &see);
  }
  return tables.find(signature);
}

Bytes firmware_program() noexcept { return tables.program(); }

}  // namespace lichen::hal::detail

#pragma clang attribute pop

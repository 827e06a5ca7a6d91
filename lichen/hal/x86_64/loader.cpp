#include "lichen/hal/x86_64/loader.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

namespace {

// From there on; nothing if that is beyond the end.
Bytes from(Bytes bytes, std::uint64_t at) noexcept {
  return bytes.subspan(static_cast<std::size_t>(std::min<std::uint64_t>(at, bytes.size())));
}

// Up to a zero, or to the end.
std::string_view text_in(Bytes bytes) noexcept {
  const std::string_view all{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return all.substr(0, all.find('\0'));
}

// A range as PVH and Multiboot2 lay it out: an address, a size, a type. Xen's public header
// arch-x86/hvm/start_info.h; Multiboot2, section 3.6.8.
constexpr std::size_t range_size = 24;

void add_range(Bytes range, MemoryMap& map) noexcept {
  constexpr std::uint32_t usable = 1;
  if (field<std::uint32_t>(range, 16) != usable) return;
  const auto begin = field<std::uint64_t>(range, 0);
  const auto size = field<std::uint64_t>(range, 8);
  map.add(begin, begin + std::min(size, std::numeric_limits<std::uint64_t>::max() - begin));
}

bool take_number(std::string_view& text, std::uint64_t& number, int base = 10) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{};
}

bool take_text(std::string_view& text, std::string_view wanted) noexcept {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(wanted.size());
  return true;
}

}  // namespace

// Xen's public header arch-x86/hvm/start_info.h, version 1.
Result<LoaderWord> read_pvh(Bytes memory, Physical at, MemoryMap& map) noexcept {
  constexpr std::uint32_t magic = 0x336e'c578;
  constexpr std::size_t info_size = 56;
  const Bytes info = from(memory, at);
  if (info.size() < info_size || field<std::uint32_t>(info, 0) != magic ||
      field<std::uint32_t>(info, 4) < 1)
    return Error::protocol_error;
  const Bytes ranges = from(memory, field<std::uint64_t>(info, 40));
  const std::size_t count =
      std::min<std::size_t>(field<std::uint32_t>(info, 48), ranges.size() / range_size);
  for (std::size_t i = 0; i < count; ++i)
    add_range(ranges.subspan(i * range_size, range_size), map);
  const auto words = field<std::uint64_t>(info, 24);
  return LoaderWord{.command_line = words == 0 ? std::string_view{} : text_in(from(memory, words)),
                    .firmware_root = field<std::uint64_t>(info, 32)};
}

// Multiboot2, section 3.6: a size, then tags of a type and a size, each at a multiple of eight.
Result<LoaderWord> read_multiboot2(Bytes memory, Physical at, MemoryMap& map) noexcept {
  constexpr std::size_t first_tag = 8;
  constexpr std::size_t tag_header = 8;
  constexpr std::size_t memory_header = 16;
  enum : std::uint32_t {
    tag_end = 0,
    tag_command_line = 1,
    tag_memory = 6,
    tag_acpi = 14,
    tag_acpi2 = 15
  };
  Bytes rest = from(memory, at);
  rest = rest.first(std::min<std::size_t>(field<std::uint32_t>(rest, 0), rest.size()));
  if (rest.size() < first_tag) return Error::protocol_error;
  LoaderWord word;
  for (rest = rest.subspan(first_tag); rest.size() >= tag_header;) {
    const auto type = field<std::uint32_t>(rest, 0);
    const auto size = field<std::uint32_t>(rest, 4);
    if (type == tag_end || size < tag_header || size > rest.size()) break;
    const Bytes tag = rest.first(size);
    if (type == tag_command_line) word.command_line = text_in(tag.subspan(tag_header));
    // The loader has left it in memory that it calls usable.
    if (type == tag_acpi2 || type == tag_acpi) word.copied_root = tag.subspan(tag_header);
    if (type == tag_memory) {
      const auto step = field<std::uint32_t>(tag, tag_header);
      for (Bytes ranges = from(tag, memory_header); step >= range_size && ranges.size() >= step;
           ranges = ranges.subspan(step))
        add_range(ranges, map);
    }
    rest = from(rest, (std::uint64_t{size} + 7) & ~std::uint64_t{7});
  }
  return word;
}

std::optional<FoundDevice> parse_device_word(std::string_view text) noexcept {
  FoundDevice device{.bus = DeviceBus::virtio_mmio};
  std::uint64_t& size = device.registers.size;
  std::uint64_t line = 0;
  if (!take_number(text, size)) return std::nullopt;
  for (const auto& [unit, shift] : {std::pair{'K', 10}, {'M', 20}, {'G', 30}})
    if (text.starts_with(unit)) {
      if (size > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
      size <<= shift;
      text.remove_prefix(1);
      break;
    }
  if (!take_text(text, "@0x") || !take_number(text, device.registers.address, 16) ||
      !take_text(text, ":") || !take_number(text, line) || line >= no_line)
    return std::nullopt;
  if (!text.empty() && !text.starts_with(':')) return std::nullopt;
  device.line = static_cast<std::uint32_t>(line);
  return device;
}

}  // namespace lichen::hal::detail

#pragma clang attribute pop

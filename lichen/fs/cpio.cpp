#include "lichen/fs/cpio.hpp"

#include <algorithm>
#include <array>

#include "lichen/base/span.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::fs {

namespace {

constexpr std::string_view magic = "070701";
constexpr std::string_view trailer = "TRAILER!!!";
constexpr std::size_t digits = 8;
enum Field : std::size_t { inode = 0, mode = 1, links = 4, time = 5, size = 6, name_size = 11 };
constexpr std::size_t field_count = 13;
constexpr std::size_t header_size = magic.size() + field_count * digits;
static_assert(header_size == 110);

// Type bits of a mode (POSIX.1-2017, <tar.h> and <sys/stat.h> as every archive has them).
constexpr std::uint32_t type_mask = 0170000;
constexpr std::uint32_t regular_file = 0100000;
constexpr std::uint32_t directory = 0040000;
constexpr std::uint32_t symbolic_link = 0120000;

Result<std::uint32_t> parse_number(std::string_view text) noexcept {
  std::uint32_t number = 0;
  for (const char digit : text) {
    std::uint32_t value = 0;
    if (digit >= '0' && digit <= '9')
      value = static_cast<std::uint32_t>(digit - '0');
    else if (digit >= 'a' && digit <= 'f')
      value = static_cast<std::uint32_t>(digit - 'a') + 10;
    else if (digit >= 'A' && digit <= 'F')
      value = static_cast<std::uint32_t>(digit - 'A') + 10;
    else
      return Error::protocol_error;
    number = number << 4 | value;
  }
  return number;
}

io::FileType type_of(std::uint32_t mode) noexcept {
  switch (mode & type_mask) {
    case regular_file: return io::FileType::file;
    case directory: return io::FileType::folder;
    case symbolic_link: return io::FileType::link;
    default: return io::FileType::other;
  }
}

// Sizes are of 32 bits, so that sums of them do not overflow.
static_assert(sizeof(std::size_t) == 8);
constexpr std::size_t padded(std::size_t offset) noexcept { return (offset + 3) & ~std::size_t{3}; }

}  // namespace

Result<std::optional<CpioEntry>> CpioReader::next() noexcept {
  const std::string_view all = base::as_string_view(archive_);
  const std::string_view rest = all.substr(offset_);
  if (!rest.starts_with(magic.substr(0, rest.size()))) return Error::protocol_error;
  if (rest.size() < header_size) return Error::end_of_stream;
  std::array<std::uint32_t, field_count> fields;
  for (std::size_t i = 0; i < field_count; ++i)
    fields[i] = TRY(parse_number(rest.substr(magic.size() + i * digits, digits)));

  const std::size_t name_at = offset_ + header_size;
  const std::size_t content_at = padded(name_at + fields[name_size]);
  const std::size_t end = content_at + fields[size];
  if (fields[name_size] == 0) return Error::protocol_error;
  if (end > all.size()) return Error::end_of_stream;
  const std::string_view name = all.substr(name_at, fields[name_size] - 1);
  if (all[name_at + name.size()] != '\0' || name.contains('\0')) return Error::protocol_error;

  if (name == trailer) {
    // Writers fill up their last record. Another archive behind this one would not be seen.
    if (fields[size] != 0 || all.find_first_not_of('\0', content_at) != std::string_view::npos)
      return Error::protocol_error;
    offset_ = all.size();
    return std::optional<CpioEntry>{};
  }
  offset_ = std::min(padded(end), all.size());
  return std::optional<CpioEntry>{{.name = name,
                                   .type = type_of(fields[mode]),
                                   .inode = fields[inode],
                                   .links = fields[links],
                                   .modified_s = fields[time],
                                   .content = archive_.subspan(content_at, fields[size])}};
}

}  // namespace lichen::fs

#pragma clang attribute pop

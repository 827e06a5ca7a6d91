// The portable ASCII archive format of cpio, "newc": what `cpio -o -H newc` writes and an initramfs
// is (cpio(5), "New ASCII Format"; Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst).
//
//   archive  = { header name NUL pad content pad } trailer { NUL }
//   header   = "070701" and thirteen numbers of eight hexadecimal digits: inode, mode, user, group,
//              links, time, size, two of the device, two of the device it is, size of the name
//              with its zero, check
//   pad      = zeros up to a multiple of four bytes from the start
//   trailer  = an entry named "TRAILER!!!"
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/io/file.hpp"

namespace lichen::fs {

struct CpioEntry {
  std::string_view name;  // as it stands there, without its zero
  io::FileType type = io::FileType::other;
  std::uint32_t inode = 0;
  std::uint32_t links = 0;
  std::uint32_t modified_s = 0;  // since 1970-01-01 00:00 UTC
  std::span<const std::byte> content;
};

// Reads an archive from its start to its end. The views it yields are of the archive's own bytes;
// every number in it is checked against what is there.
class CpioReader {
 public:
  explicit CpioReader(std::span<const std::byte> archive) noexcept : archive_{archive} {}

  // The next entry; nothing at the trailer. Error::end_of_stream for an archive that is cut off,
  // protocol_error for what is no such archive. MUST NOT be called again after either.
  Result<std::optional<CpioEntry>> next() noexcept;
  // Where the next entry begins, or where the one that failed did.
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }

 private:
  std::span<const std::byte> archive_;
  std::size_t offset_ = 0;
};

}  // namespace lichen::fs

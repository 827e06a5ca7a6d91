// The header before each frame at a virtio network card and at a TAP device of Linux: struct
// virtio_net_hdr with num_buffers (virtio 1.2, 5.1.6).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "lichen/io/net_device.hpp"

namespace lichen::io {

struct NetHeader {
  static constexpr std::uint8_t needs_checksum = 1;
  static constexpr std::uint8_t checksum_is_right = 2;
  static constexpr std::uint8_t tcp4 = 1;
  static constexpr std::uint8_t tcp6 = 4;
  static constexpr std::uint8_t ecn = 0x80;

  std::uint8_t flags = 0;
  std::uint8_t segmentation = 0;
  std::uint16_t header_size = 0;
  std::uint16_t segment_size = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
  std::uint16_t buffers = 0;
};
static_assert(sizeof(NetHeader) == 12 && std::endian::native == std::endian::little);

// The largest frame: an IP packet of 64 KiB behind its Ethernet header.
inline constexpr std::size_t largest_frame = 14 + 65'535;

inline NetHeader header_of(const FrameWork& work) noexcept {
  NetHeader header;
  if (work.needs_checksum) header.flags |= NetHeader::needs_checksum;
  if (work.checksum_is_right) header.flags |= NetHeader::checksum_is_right;
  header.checksum_start = work.checksum_start;
  header.checksum_offset = work.checksum_offset;
  if (work.segmentation == Segmentation::none) return header;
  header.segmentation = work.segmentation == Segmentation::tcp4 ? NetHeader::tcp4 : NetHeader::tcp6;
  header.segment_size = work.segment_size;
  header.header_size = work.header_size;
  return header;
}

inline FrameWork work_of(const NetHeader& header) noexcept {
  FrameWork work{.needs_checksum = (header.flags & NetHeader::needs_checksum) != 0,
                 .checksum_is_right = (header.flags & NetHeader::checksum_is_right) != 0,
                 .checksum_start = header.checksum_start,
                 .checksum_offset = header.checksum_offset};
  const auto kind = static_cast<std::uint8_t>(header.segmentation & ~NetHeader::ecn);
  if (kind != NetHeader::tcp4 && kind != NetHeader::tcp6) return work;
  work.segmentation = kind == NetHeader::tcp4 ? Segmentation::tcp4 : Segmentation::tcp6;
  work.segment_size = header.segment_size;
  work.header_size = header.header_size;
  return work;
}

}  // namespace lichen::io

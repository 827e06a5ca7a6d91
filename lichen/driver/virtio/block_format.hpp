// What a block device and its driver say to each other (virtio 1.2, 5.2).
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/driver/virtio/features.hpp"
#include "lichen/driver/virtio/transport.hpp"

namespace lichen::driver::virtio {

// 5.2.3. What is not named here is not asked for.
namespace block_feature {
inline constexpr Features size_max = Features{1} << 1;
inline constexpr Features seg_max = Features{1} << 2;
inline constexpr Features read_only = Features{1} << 5;
inline constexpr Features blk_size = Features{1} << 6;
inline constexpr Features flush = Features{1} << 9;
inline constexpr Features topology = Features{1} << 10;
inline constexpr Features config_wce = Features{1} << 11;
inline constexpr Features mq = Features{1} << 12;
inline constexpr Features discard = Features{1} << 13;
inline constexpr Features write_zeroes = Features{1} << 14;
inline constexpr Features all = size_max | seg_max | read_only | blk_size | flush | topology |
                                config_wce | mq | discard | write_zeroes;
}  // namespace block_feature

// 5.2.6.
enum class BlockRequest : std::uint32_t { in = 0, out = 1, flush = 4, discard = 11, zeroes = 13 };

struct BlockHeader {
  BlockRequest type{};
  std::uint32_t reserved = 0;
  std::uint64_t sector = 0;  // of 512 bytes, whatever the size of the device's blocks
};

// What discard and write-zeroes send instead of data.
struct BlockRange {
  std::uint64_t sector = 0;
  std::uint32_t count = 0;
  std::uint32_t flags = 0;
};
inline constexpr std::uint32_t range_unmap = 1;
inline constexpr std::uint32_t virtio_sector = 512;

namespace block_status {
inline constexpr std::uint8_t ok = 0;
inline constexpr std::uint8_t io_error = 1;
inline constexpr std::uint8_t unsupported = 2;
inline constexpr std::uint8_t none = 0xFF;  // ours: the device has not written it
}  // namespace block_status

// 5.2.4, where it differs from what a device without the feature would do.
struct BlockConfig {
  std::uint64_t capacity = 0;  // sectors of 512 bytes
  std::uint32_t segment_size = ~std::uint32_t{0};
  std::uint32_t segments = 1;
  std::uint32_t block_size = virtio_sector;
  std::uint32_t blocks_per_physical = 1;
  std::uint32_t first_aligned = 0;  // blocks
  std::uint32_t best_transfer = 0;  // blocks
  bool writeback = false;
  std::uint16_t queues = 1;
  std::uint32_t most_discarded = 0;  // sectors of 512 bytes in one request
  std::uint32_t most_zeroed = 0;
  bool unmaps = false;  // write-zeroes may
};
// Says what the device says, whether it makes sense or not.
BlockConfig read_block_config(Transport& transport, Features agreed) noexcept;
// Where CONFIG_WCE was agreed on: 1: a volatile cache, 0: none.
inline constexpr std::size_t block_writeback_field = 32;

}  // namespace lichen::driver::virtio

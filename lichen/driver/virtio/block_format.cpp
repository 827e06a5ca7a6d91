#include "lichen/driver/virtio/block_format.hpp"

#include <algorithm>

namespace lichen::driver::virtio {

namespace {

enum : std::size_t {
  capacity_field = 0,
  size_max_field = 8,
  seg_max_field = 12,
  blk_size_field = 20,
  physical_block_exp_field = 24,
  alignment_offset_field = 25,
  opt_io_size_field = 28,
  num_queues_field = 34,
  max_discard_field = 36,
  max_discard_seg_field = 40,
  max_zeroes_field = 48,
  max_zeroes_seg_field = 52,
  zeroes_unmap_field = 56,
};

}  // namespace

BlockConfig read_block_config(Transport& transport, Features agreed) noexcept {
  const auto has = [&](Features feature) { return (agreed & feature) != 0; };
  return read_config(transport, [&](Transport& from) {
    BlockConfig config;
    config.capacity =
        from.config32(capacity_field) | std::uint64_t{from.config32(capacity_field + 4)} << 32;
    if (has(block_feature::size_max)) config.segment_size = from.config32(size_max_field);
    if (has(block_feature::seg_max)) config.segments = from.config32(seg_max_field);
    if (has(block_feature::blk_size)) config.block_size = from.config32(blk_size_field);
    if (has(block_feature::topology)) {
      // More than 2^16 blocks in one is no advice.
      const unsigned exponent = from.config8(physical_block_exp_field);
      config.blocks_per_physical = exponent <= 16 ? 1U << exponent : 1;
      config.first_aligned = from.config8(alignment_offset_field);
      config.best_transfer = from.config32(opt_io_size_field);
    }
    // 5.2.5.2: who does not say has a cache if it can be flushed.
    config.writeback = has(block_feature::flush);
    if (has(block_feature::config_wce)) config.writeback = from.config8(block_writeback_field) != 0;
    if (has(block_feature::mq)) config.queues = from.config16(num_queues_field);
    // 5.2.6.2: at most so many in a request, and of one segment at least.
    if (has(block_feature::discard) && from.config32(max_discard_seg_field) != 0)
      config.most_discarded = from.config32(max_discard_field);
    if (has(block_feature::write_zeroes) && from.config32(max_zeroes_seg_field) != 0) {
      config.most_zeroed = from.config32(max_zeroes_field);
      config.unmaps = from.config8(zeroes_unmap_field) != 0;
    }
    return config;
  });
}

}  // namespace lichen::driver::virtio

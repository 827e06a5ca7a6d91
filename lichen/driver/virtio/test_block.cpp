#include "lichen/driver/virtio/test_block.hpp"

#include <algorithm>
#include <cstring>

namespace lichen::driver::virtio::test {

namespace {

enum : std::uint32_t { in = 0, out = 1, flush = 4, discard = 11, zeroes = 13 };
enum : std::uint8_t { ok = 0, io_error = 1, unsupported = 2 };
constexpr std::uint64_t sector_size = 512;

}  // namespace

BlockModel::BlockModel(Features features, std::size_t queue_count)
    : DeviceModel{DeviceKind::block, queue_count, features}, content(std::size_t{4096} * 512) {
  set_config(0, content.size() / sector_size, 8);
  set_config(8, 64 * 1024, 4);  // size_max
  set_config(12, 8, 4);         // seg_max
  set_config(20, 512, 4);       // blk_size
  set_config(24, 3, 1);         // physical blocks of 4 KiB
  set_config(25, 1, 1);         // the first begins at block 1
  set_config(28, 128, 4);       // best: 64 KiB
  set_config(32, 1, 1);         // writeback
  set_config(34, queue_count, 2);
  set_config(36, 100, 4);  // max_discard_sectors
  set_config(40, 1, 4);
  set_config(48, 64, 4);  // max_write_zeroes_sectors
  set_config(52, 1, 4);
  set_config(56, 1, 1);  // may unmap
}

void BlockModel::set_config(std::size_t offset, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i)
    config.at(offset + i) = static_cast<std::byte>(value >> 8 * i);
}

// 5.2.6, and what a driver must not do (5.2.6.1).
BlockModel::Asked BlockModel::read_header(const Popped& buffer, std::size_t queue) {
  Asked what{.queue = queue};
  EXPECT_GE(buffer.read.size(), 1U);
  EXPECT_GE(buffer.write.size(), 1U);
  EXPECT_EQ(buffer.read[0].size(), 16U);
  EXPECT_EQ(buffer.write.back().size(), 1U);
  EXPECT_LE(buffer.read.size() + buffer.write.size(), queues[queue].size);
  std::uint32_t reserved = 0;
  std::memcpy(&what.type, buffer.read[0].data(), 4);
  std::memcpy(&reserved, buffer.read[0].data() + 4, 4);
  std::memcpy(&what.sector, buffer.read[0].data() + 8, 8);
  EXPECT_EQ(reserved, 0U);
  what.segments = buffer.read.size() + buffer.write.size() - 2;
  if (what.type == in || what.type == out) {
    const auto& data = what.type == in ? buffer.write : buffer.read;
    const std::size_t first = what.type == in ? 0 : 1;
    EXPECT_EQ((what.type == in ? buffer.read : buffer.write).size(), 1U);
    for (std::size_t i = first; i < first + what.segments; ++i) {
      what.bytes += data[i].size();
      EXPECT_LE(data[i].size(), has(block_feature::size_max) ? 64 * 1024 : ~std::size_t{0});
    }
    EXPECT_LE(what.segments, has(block_feature::seg_max) ? 8U : 1U);
    EXPECT_NE(what.bytes, 0U);
    EXPECT_EQ(what.bytes % sector_size, 0U);
    if (what.type == out) EXPECT_FALSE(has(block_feature::read_only));
  } else if (what.type == flush) {
    EXPECT_TRUE(has(block_feature::flush));
    EXPECT_EQ(what.sector, 0U);
    EXPECT_EQ(what.segments, 0U);
  } else {
    EXPECT_TRUE(what.type == discard ? has(block_feature::discard)
                                     : has(block_feature::write_zeroes));
    EXPECT_EQ(what.segments, 1U);
    EXPECT_EQ(buffer.read.at(1).size(), 16U);
    std::uint32_t count = 0;
    std::uint32_t flags = 0;
    std::memcpy(&what.sector, buffer.read[1].data(), 8);
    std::memcpy(&count, buffer.read[1].data() + 8, 4);
    std::memcpy(&flags, buffer.read[1].data() + 12, 4);
    EXPECT_EQ(flags & ~1U, 0U);
    EXPECT_LE(count, what.type == discard ? 100U : 64U);
    EXPECT_NE(count, 0U);
    if (what.type == discard) EXPECT_EQ(flags, 0U);
    what.unmap = flags != 0;
    what.bytes = count * sector_size;
  }
  return what;
}

void BlockModel::fetch() {
  if (!works()) return;
  for (std::size_t i = 0; i < queues.size(); ++i) {
    if (!queues[i].ring) continue;
    while (std::optional<Popped> buffer = queues[i].ring->pop()) {
      const Asked what = read_header(*buffer, i);
      asked.push_back(what);
      taken.emplace_back(*std::move(buffer), what);
    }
  }
}

std::uint8_t BlockModel::carry_out(const Popped& buffer, const Asked& what) {
  const std::uint64_t at = what.sector * sector_size;
  if (what.type == flush) return ok;
  if (at > content.size() || what.bytes > content.size() - at) return io_error;
  std::byte* disk = content.data() + at;
  switch (what.type) {
    case in:
      for (std::size_t i = 0; i < what.segments; ++i) {
        std::memcpy(buffer.write[i].data(), disk, buffer.write[i].size());
        disk += buffer.write[i].size();
      }
      return ok;
    case out:
      for (std::size_t i = 1; i <= what.segments; ++i) {
        std::memcpy(disk, buffer.read[i].data(), buffer.read[i].size());
        disk += buffer.read[i].size();
      }
      return ok;
    case discard: std::fill_n(disk, what.bytes, std::byte{0xD1}); return ok;
    case zeroes: std::fill_n(disk, what.bytes, std::byte{}); return ok;
    default: return unsupported;
  }
}

std::size_t BlockModel::work(std::size_t most) {
  fetch();
  std::size_t count = 0;
  while (count < most && !taken.empty()) {
    const auto which =
        taken.begin() + static_cast<std::ptrdiff_t>(shuffles ? random.below(taken.size()) : 0);
    const auto [buffer, what] = std::move(*which);
    taken.erase(which);
    const std::uint8_t status = says_status ? *says_status : carry_out(buffer, what);
    buffer.write.back()[0] = static_cast<std::byte>(status);
    const std::uint32_t truth =
        what.type == in ? static_cast<std::uint32_t>(what.bytes + 1) : std::uint32_t{1};
    queues[what.queue].ring->use(std::array{Done{buffer, says_written.value_or(truth)}});
    interrupt_for(queues[what.queue]);
    ++count;
  }
  return count;
}

Task<Result<void>> device_works(DiskWorld& world) {
  for (;;) {
    CO_TRY(co_await sleep_for(std::chrono::microseconds{10}));
    world.device.work();
    world.events();
  }
}

Task<Result<void>> with_service(DiskWorld& world, Task<Result<void>> body, bool works) {
  Scope scope{OnError::keep_going};
  scope.spawn(world.disk->serve());
  if (works) scope.spawn(device_works(world));
  const Result<void> outcome = co_await std::move(body);
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

}  // namespace lichen::driver::virtio::test

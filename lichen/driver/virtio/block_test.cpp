// A disk against a device of the tests' own (virtio 1.2, 5.2), in virtual time.
#include "lichen/driver/virtio/block.hpp"

#include "lichen/driver/virtio/test_block.hpp"
#include "lichen/io/test_block_device.hpp"

namespace lichen::driver::virtio::test {
namespace {

TEST_P(BlockTest, IsBroughtUpInOrder) {  // 3.1.1
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.device.history, (std::vector<std::uint8_t>{0, 1, 3, 11, 15}));
  EXPECT_EQ(world.device.accepted, block_usual | feature::version_1 | GetParam());
  const io::BlockInfo info = world.disk->info();
  EXPECT_EQ(info.sector_size, 512U);
  EXPECT_EQ(info.sectors, 4096U);
  EXPECT_FALSE(info.read_only);
  EXPECT_TRUE(info.volatile_cache);
  EXPECT_TRUE(info.discards);
  EXPECT_TRUE(info.writes_zeroes);
  EXPECT_EQ(info.best_write, 4096U);
  EXPECT_EQ(info.first_aligned, 1U);
  EXPECT_EQ(info.best_transfer, 65'536U);
}

TEST_P(BlockTest, KeepsTheContractOfBlockDevices) {
  constexpr Features rings = feature::event_index | feature::indirect_descriptors;
  for (const Features left_out :
       {Features{0}, rings, block_feature::seg_max, block_feature::size_max | feature::event_index,
        block_feature::discard | block_feature::write_zeroes | block_feature::flush |
            block_feature::config_wce}) {
    SCOPED_TRACE(left_out);
    DiskWorld world{(block_usual & ~left_out) | GetParam()};
    world.device.shuffles = true;
    ASSERT_TRUE(world.open({.requests = left_out == 0 ? std::uint16_t{3} : std::uint16_t{64}}));
    EXPECT_TRUE(*world.loop.run(with_service(world, io::test::keeps_the_contract(*world.disk))));
    EXPECT_EQ(world.disk->counters().queues.failed, 0U);
    EXPECT_EQ(world.disk->counters().faults, 0U);
  }
}

// 5.2.4: positions are numbers of 512 bytes for the device, of blocks for whoever uses it.
TEST_P(BlockTest, HasSectorsOfTheDevicesSize) {
  DiskWorld world{block_usual | GetParam()};
  world.device.set_config(20, 4096, 4);
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.disk->info().sector_size, 4096U);
  EXPECT_EQ(world.disk->info().sectors, 512U);
  EXPECT_EQ(world.disk->info().best_write, 32'768U);
  EXPECT_TRUE(*world.loop.run(with_service(world, [](DiskWorld& in) -> Task<Result<void>> {
    Content bytes(512);
    EXPECT_TRUE((co_await in.disk->read(0, bytes)).failed_with(Error::invalid_argument));
    CO_TRY(co_await in.disk->write(3, content_of(1, 8192)));
    CO_TRY(co_await in.disk->write_zeroes(20, 20, false));
    co_return co_await in.disk->discard(40, 30);
  }(world))));
  const auto& asked = world.device.asked;
  EXPECT_EQ(asked[0].sector, 24U);
  EXPECT_EQ(asked[0].bytes, 8192U);
  // 64 and 100 sectors at a time are 8 and 12 whole blocks.
  EXPECT_EQ(asked[1].sector, 160U);
  EXPECT_EQ(asked[1].bytes, 8 * 4096U);
  EXPECT_EQ(asked[4].sector, 320U);
  EXPECT_EQ(asked[4].bytes, 12 * 4096U);
  EXPECT_EQ(asked.size(), 1U + 3U + 3U);
}

TEST_P(BlockTest, RefusesADiskThatMakesNoSense) {
  struct Field {
    std::size_t offset;
    std::uint64_t value;
    unsigned bytes;
  };
  for (const Field& field : {Field{20, 0, 4}, Field{20, 1000, 4}, Field{20, 1U << 20, 4},
                             Field{12, 0, 4}, Field{8, 511, 4}}) {
    DiskWorld world{block_usual | GetParam()};
    world.device.set_config(field.offset, field.value, field.bytes);
    EXPECT_TRUE(world.open().failed_with(Error::not_supported));
    EXPECT_EQ(world.device.status, 0);
  }
  {
    DiskWorld world{block_usual | GetParam()};
    world.device.queues[0].limit = 2;
    EXPECT_TRUE(world.open().failed_with(Error::not_supported));
  }
  {
    DiskWorld world{block_usual | GetParam()};
    world.device.kind = DeviceKind::net;
    EXPECT_TRUE(world.open().failed_with(Error::not_supported));
  }
  {  // Advice that makes none, and requests that can ask for nothing.
    DiskWorld world{block_usual | GetParam()};
    world.device.set_config(24, 200, 1);
    world.device.set_config(28, 0xFFFF'FFFF, 4);
    world.device.set_config(36, 0, 4);
    world.device.set_config(52, 0, 4);
    ASSERT_TRUE(world.open());
    EXPECT_EQ(world.disk->info().best_write, 512U);
    EXPECT_EQ(world.disk->info().best_transfer, 0U);
    EXPECT_FALSE(world.disk->info().discards);
    EXPECT_FALSE(world.disk->info().writes_zeroes);
  }
  for (std::size_t allocations = 0; allocations < 2; ++allocations) {
    DiskWorld world{block_usual | GetParam()};
    world.memory.allocations_left = allocations;
    EXPECT_TRUE(world.open().failed_with(Error::no_memory));
  }
}

// 5.2.3, 5.2.6.1.
TEST_P(BlockTest, WritesNothingToADiskThatIsReadOnly) {
  DiskWorld world{block_usual | block_feature::read_only | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.disk->info().read_only);
  EXPECT_TRUE(*world.loop.run(with_service(world, [](DiskWorld& in) -> Task<Result<void>> {
    Content bytes(512);
    EXPECT_TRUE((co_await in.disk->write(0, bytes)).failed_with(Error::read_only));
    EXPECT_TRUE((co_await in.disk->discard(0, 1)).failed_with(Error::read_only));
    EXPECT_TRUE((co_await in.disk->write_zeroes(0, 1, false)).failed_with(Error::read_only));
    co_return co_await in.disk->read(0, bytes);
  }(world))));
  EXPECT_EQ(world.device.asked.size(), 1U);
}

// 5.2.5.2.
TEST_P(BlockTest, KnowsWhetherThereIsACache) {
  const auto has_cache = [&](Features features, std::uint8_t writeback, bool write_through) {
    DiskWorld world{features | GetParam()};
    world.device.set_config(32, writeback, 1);
    EXPECT_TRUE(world.open({.write_through = write_through}));
    if (write_through && (features & block_feature::config_wce) != 0)
      EXPECT_EQ(world.device.config[32], std::byte{0});
    return world.disk->info().volatile_cache;
  };
  EXPECT_TRUE(has_cache(block_usual, 1, false));
  EXPECT_FALSE(has_cache(block_usual, 0, false));
  EXPECT_FALSE(has_cache(block_usual, 1, true));
  EXPECT_TRUE(has_cache(block_usual & ~block_feature::config_wce, 0, true));
  EXPECT_FALSE(has_cache(block_usual & ~block_feature::flush, 1, false));
}

// A core is told of nothing while it looks, and once when it sleeps; the device once for many.
Task<Result<void>> saves_words(DiskWorld& world) {
  Scope scope;
  std::array<Content, 12> bytes;
  for (unsigned i = 0; i < bytes.size(); ++i) {
    bytes[i].resize(512);
    scope.spawn(world.disk->read(i, bytes[i]));
  }
  CO_TRY(co_await rest());
  // The first was shown at once, for the device had nothing to do.
  EXPECT_EQ(world.disk->counters().queues.shown, 1U);
  world.events();
  EXPECT_EQ(world.disk->counters().queues.shown, 2U);
  EXPECT_EQ(world.device.work(6), 6U);
  EXPECT_EQ(world.device.line, 0);
  world.events();
  CO_TRY(co_await rest());
  EXPECT_EQ(scope.active(), 6U);
  EXPECT_FALSE(world.sleep());
  EXPECT_EQ(world.device.work(2), 2U);
  EXPECT_EQ(world.device.line, 1);
  EXPECT_TRUE(world.sleep());
  world.events();
  CO_TRY(co_await rest());
  EXPECT_EQ(world.device.work(), 4U);
  EXPECT_EQ(world.device.line, 0);
  EXPECT_TRUE(world.sleep());  // it sees that something has come
  world.events();
  CO_TRY(co_await scope.join());
  EXPECT_FALSE(world.sleep());
  co_return Result<void>{};
}
TEST_P(BlockTest, TellsAndIsToldSeldom) {
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(*world.loop.run(with_service(world, saves_words(world), false)));
}

// A full queue holds back those who come later; whoever is stopped hands over nothing more.
Task<Result<void>> is_held_back(DiskWorld& world) {
  Scope early{OnError::keep_going};
  Scope late{OnError::keep_going};
  std::array<Content, 8> bytes;
  for (Content& each : bytes) each.resize(512);
  for (unsigned i = 0; i < 4; ++i) early.spawn(world.disk->read(i, bytes[i]));
  for (unsigned i = 4; i < 8; ++i) late.spawn(world.disk->read(i, bytes[i]));
  CO_TRY(co_await rest());
  world.events();
  world.device.fetch();
  EXPECT_EQ(world.device.asked.size(), 4U);
  early.request_stop();  // too late: the device has our memory
  late.request_stop();
  CO_TRY(co_await rest());
  EXPECT_EQ(early.active(), 4U);
  EXPECT_EQ(late.active(), 0U);
  EXPECT_TRUE((co_await late.join()).failed_with(Error::stopped));
  world.device.work();
  world.events();
  (co_await early.join()).ignore();
  EXPECT_EQ(world.disk->counters().queues.requests, 4U);

  // A large one is stopped in the middle, and waits for what is with the device.
  Content large(std::size_t{20} * 512 * 1024);
  world.device.content.resize(large.size());
  world.device.set_config(0, large.size() / 512, 8);
  world.device.change_config();
  world.events();
  CO_TRY(co_await rest());
  EXPECT_EQ(world.disk->info().sectors, large.size() / 512);
  Scope one{OnError::keep_going};
  one.spawn(world.disk->read(0, large));
  CO_TRY(co_await rest());
  one.request_stop();
  CO_TRY(co_await rest());
  EXPECT_EQ(one.active(), 1U);
  world.events();
  EXPECT_EQ(world.device.work(), 4U);
  world.events();
  EXPECT_TRUE((co_await one.join()).failed_with(Error::stopped));
  EXPECT_EQ(world.disk->counters().queues.requests, 8U);
  co_return Result<void>{};
}
TEST_P(BlockTest, HoldsBackWhatDoesNotFit) {
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open({.requests = 4}));
  EXPECT_TRUE(*world.loop.run(with_service(world, is_held_back(world), false)));
}

TEST_P(BlockTest, GrowsAndShrinks) {  // 5.2.5: the capacity may change
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(*world.loop.run(with_service(world, [](DiskWorld& in) -> Task<Result<void>> {
    in.device.set_config(0, 100, 8);
    in.device.change_config();
    CO_TRY(co_await sleep_for(std::chrono::milliseconds{1}));
    EXPECT_EQ(in.disk->info().sectors, 100U);
    Content bytes(512);
    EXPECT_TRUE((co_await in.disk->read(100, bytes)).failed_with(Error::out_of_range));
    // The device knows before we do.
    in.device.content.resize(std::size_t{50} * 512);
    EXPECT_TRUE((co_await in.disk->read(60, bytes)).failed_with(Error::io_failed));
    co_return co_await in.disk->read(49, bytes);
  }(world))));
}

// 4.1.5.1.3, 5.2.2: several queues, each with a vector, as far as both sides have them.
TEST_P(BlockTest, HasSeveralQueues) {
  struct Case {
    std::size_t device, cores;
    unsigned vectors;
    std::size_t expected;
  };
  for (const auto& [device_queues, cores, vectors, expected] :
       {Case{4, 4, 5, 4}, Case{4, 2, 5, 2}, Case{2, 4, 5, 2}, Case{4, 4, 3, 2}, Case{4, 4, 1, 1},
        Case{4, 4, 0, 1}}) {
    coro::test::TestLoop loop;
    TestMemory memory;
    BlockModel device{block_usual | block_feature::mq | GetParam(), device_queues};
    PciModel function{device, vectors};
    PciTransport transport = *PciTransport::create(function);
    const std::vector<coro::Core*> homes(cores, &loop);
    auto opened = *loop.run(Disk::open(transport, memory, {.cores = homes}));
    ASSERT_TRUE(opened);
    EXPECT_EQ((*opened)->queues(), expected);
    for (std::size_t i = 0; i < device_queues; ++i) {
      EXPECT_EQ(device.queues[i].enabled, i < expected);
      if (i < expected && vectors > 1) EXPECT_EQ(device.queues[i].vector, i + 1);
    }
    EXPECT_EQ(device.config_vector, vectors != 0 ? 0 : no_vector);
    opened->reset();
  }
}

INSTANTIATE_TEST_SUITE_P(Rings, BlockTest, testing::Values(Features{0}, feature::packed_ring),
                         [](const auto& info) { return info.param == 0 ? "split" : "packed"; });

}  // namespace
}  // namespace lichen::driver::virtio::test

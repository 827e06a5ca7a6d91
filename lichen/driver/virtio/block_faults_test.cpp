// A disk whose device breaks down, lies, fails or goes away (virtio 1.2, 5.2), in virtual time.
#include <array>
#include <optional>

#include "lichen/driver/virtio/block.hpp"
#include "lichen/driver/virtio/test_block.hpp"

namespace lichen::driver::virtio::test {
namespace {

using namespace std::chrono_literals;

class BlockFaultsTest : public BlockTest {};

// What a call came to; nothing while it is in progress.
using Outcome = std::optional<Result<void>>;
Task<> note(Task<Result<void>> call, Outcome& outcome) { outcome = co_await std::move(call); }

bool ended_well(const Outcome& outcome) { return outcome && *outcome; }
bool ended_with(const Outcome& outcome, Error error) {
  return outcome && outcome->failed_with(error);
}

// 5.2.6: what the device says of a request.
Task<Result<void>> fails(DiskWorld& world) {
  Content bytes(512);
  struct Said {
    std::optional<std::uint8_t> status;
    std::optional<std::uint32_t> written;
    Error becomes;
  };
  for (const Said& said : {Said{1, {}, Error::io_failed}, Said{2, {}, Error::not_supported},
                           Said{3, {}, Error::io_failed}, Said{0xFF, {}, Error::io_failed},
                           Said{0, 512, Error::io_failed}, Said{0, 0, Error::io_failed}}) {
    world.device.says_status = said.status;
    world.device.says_written = said.written;
    EXPECT_TRUE((co_await world.disk->read(0, bytes)).failed_with(said.becomes));
  }
  EXPECT_EQ(world.disk->counters().queues.failed, 6U);
  EXPECT_EQ(world.disk->counters().queues.bad, 4U);
  EXPECT_EQ(world.disk->counters().faults, 0U);
  world.device.says_status.reset();
  world.device.says_written.reset();
  // Memory that the device cannot reach, in the first request or later.
  Content large(std::size_t{3} * 1024 * 1024);
  world.memory.unreachable = large.data();
  EXPECT_TRUE((co_await world.disk->write(0, large)).failed_with(Error::out_of_range));
  EXPECT_TRUE((co_await world.disk->write(0, std::span{large}.first(1024)))
                  .failed_with(Error::invalid_argument));
  const std::array<std::span<const std::byte>, 2> pieces{bytes, std::span{large}.first(1024)};
  EXPECT_TRUE((co_await world.disk->write_pieces(0, pieces)).failed_with(Error::invalid_argument));
  co_return co_await world.disk->read(0, bytes);
}
TEST_P(BlockFaultsTest, SaysWhatFailed) {
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(*world.loop.run(with_service(world, fails(world))));
}

// 2.1.2, 2.4: the device breaks down with requests; they are done again when it is up.
Task<Result<void>> breaks_down(DiskWorld& world) {
  const Content first = content_of(1, 4096);
  const Content second = content_of(2, 4096);
  CO_TRY(co_await sleep_for(1ms));
  Scope scope{OnError::keep_going};
  Outcome write;
  Outcome read;
  Outcome flush;
  Content into(4096);
  scope.spawn(note(world.disk->write(8, first), write));
  scope.spawn(note(world.disk->read(8, into), read));
  scope.spawn(note(world.disk->flush(), flush));
  CO_TRY(co_await rest());
  world.events();
  world.device.fetch();
  EXPECT_EQ(world.device.asked.size(), 3U);
  world.device.reset_reads = 5;
  world.device.break_down();
  world.events();
  CO_TRY(co_await rest());
  // The device may still write to our memory: nobody goes on, and who comes waits.
  EXPECT_FALSE(write || read || flush);
  Outcome later;
  scope.spawn(note(world.disk->write(100, second), later));
  CO_TRY(co_await sleep_for(50ms));
  EXPECT_EQ(world.device.resets, 3U);  // when it was opened, when it broke down, when it came up
  EXPECT_TRUE(ended_with(flush, Error::io_failed));
  EXPECT_FALSE(write || read || later);
  world.device.reset_reads = 0;
  EXPECT_EQ(world.device.work(), 3U);
  world.events();
  CO_TRY(co_await scope.join());
  EXPECT_TRUE(ended_well(write) && ended_well(read) && ended_well(later));
  EXPECT_TRUE(std::ranges::equal(std::span{world.device.content}.subspan(4096, 4096), first));
  EXPECT_TRUE(std::ranges::equal(std::span{world.device.content}.subspan(51'200, 4096), second));
  EXPECT_TRUE(into == first);
  EXPECT_EQ(world.disk->counters().faults, 1U);
  EXPECT_EQ(world.disk->counters().starts, 2U);
  EXPECT_EQ(world.disk->counters().queues.repeated, 2U);
  co_return Result<void>{};
}
TEST_P(BlockFaultsTest, ComesBackAfterTheDeviceBrokeDown) {
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(*world.loop.run(with_service(world, breaks_down(world), false)));
}

// What was written and not flushed may be lost with the device's state: the next flush says so.
Task<Result<void>> forgets(DiskWorld& world) {
  const auto break_down = [&]() -> Task<Result<void>> {
    world.device.break_down();
    co_return co_await sleep_for(2s);
  };
  const Content bytes = content_of(1, 512);
  CO_TRY(co_await world.disk->write(0, bytes));
  CO_TRY(co_await break_down());
  EXPECT_TRUE((co_await world.disk->flush()).failed_with(Error::io_failed));
  CO_TRY(co_await world.disk->flush());
  CO_TRY(co_await world.disk->write(0, bytes));
  CO_TRY(co_await world.disk->flush());
  CO_TRY(co_await break_down());
  CO_TRY(co_await world.disk->flush());
  CO_TRY(co_await world.disk->write_zeroes(0, 8, false));
  CO_TRY(co_await break_down());
  Content read(512);
  CO_TRY(co_await world.disk->read(0, read));
  EXPECT_TRUE((co_await world.disk->flush()).failed_with(Error::io_failed));
  co_return Result<void>{};
}
TEST_P(BlockFaultsTest, SaysThatUnflushedWritesMayBeLost) {
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(*world.loop.run(with_service(world, forgets(world))));
}

TEST_P(BlockFaultsTest, LosesNothingWithoutACache) {
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open({.write_through = true}));
  EXPECT_TRUE(*world.loop.run(with_service(world, [](DiskWorld& in) -> Task<Result<void>> {
    CO_TRY(co_await in.disk->write(0, content_of(1, 512)));
    in.device.break_down();
    CO_TRY(co_await sleep_for(2s));
    EXPECT_EQ(in.disk->counters().starts, 2U);
    EXPECT_EQ(in.device.config[32], std::byte{0});
    co_return co_await in.disk->flush();
  }(world))));
}

// What a ring must not say (2.7.8, 2.8.22) ends in a reset, and nobody gets what is not theirs.
Task<Result<void>> lies(DiskWorld& world) {
  CO_TRY(co_await world.disk->write(0, content_of(1, 4096)));
  CO_TRY(co_await world.disk->flush());
  std::uint64_t faults = 0;
  for (const auto& [id, length] : {std::pair{0xFFFFU, 1U}, {40U, 1U}, {0U, 5000U}}) {
    Scope scope;
    Content into(4096);
    Outcome read;
    scope.spawn(note(world.disk->read(0, into), read));
    CO_TRY(co_await rest(1));
    world.device.fetch();
    const std::uint32_t taken = world.device.taken.empty() ? 0 : world.device.taken[0].first.id;
    world.device.queues[0].ring->forge(id == 0 ? taken : id, length);
    world.events();
    EXPECT_FALSE(read);
    CO_TRY(co_await scope.join());
    EXPECT_TRUE(ended_well(read));
    EXPECT_TRUE(into == content_of(1, 4096));
    EXPECT_EQ(world.disk->counters().faults, ++faults);
  }
  co_return Result<void>{};
}
TEST_P(BlockFaultsTest, IsNotDeceived) {
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(*world.loop.run(with_service(world, lies(world))));
}

// A request that the device breaks down over again and again is given up; the others are done.
Task<Result<void>> poison(DiskWorld& world) {
  Scope scope{OnError::keep_going};
  Outcome read;
  Content into(512);
  scope.spawn(note(world.disk->read(0, into), read));
  for (unsigned tries = 0; tries < 10 && !read; ++tries) {
    CO_TRY(co_await rest());
    world.events();
    world.device.fetch();
    world.device.break_down();
    world.events();
    CO_TRY(co_await sleep_for(2s));
  }
  EXPECT_TRUE(ended_with(read, Error::io_failed));
  EXPECT_EQ(world.disk->counters().faults, 3U);
  scope.spawn(note(world.disk->read(0, into), read = {}));
  CO_TRY(co_await rest());
  world.events();
  world.device.work();
  world.events();
  CO_TRY(co_await scope.join());
  EXPECT_TRUE(ended_well(read));
  co_return Result<void>{};
}
TEST_P(BlockFaultsTest, GivesUpWhatBreaksTheDeviceDown) {
  DiskWorld world{block_usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(*world.loop.run(with_service(world, poison(world), false)));
}

// It does not answer, and then it does; or nothing is there any more; or something else is, or one
// that has lost a feature or its queue.
enum class Becomes : std::uint8_t { nothing, another, one_of_less, one_without_queue };
constexpr Error says(Becomes what) {
  if (what == Becomes::nothing) return Error::closed;
  return what == Becomes::one_without_queue ? Error::io_failed : Error::not_supported;
}
Task<Result<void>> goes_away(DiskWorld& world, Becomes becomes) {
  Scope scope{OnError::keep_going};
  std::array<Outcome, 6> reads;
  std::array<Content, 6> into;
  for (unsigned i = 0; i < reads.size(); ++i) {
    into[i].resize(512);
    scope.spawn(note(world.disk->read(i, into[i]), reads[i]));
  }
  CO_TRY(co_await rest());
  world.events();
  world.device.fetch();
  world.device.reset_reads = 100'000;
  if (becomes == Becomes::another) world.device.set_config(20, 4096, 4);
  if (becomes == Becomes::one_of_less) world.device.offered &= ~block_feature::discard;
  if (becomes == Becomes::one_without_queue) world.device.queues[0].limit = 0;
  world.device.break_down();
  world.events();
  CO_TRY(co_await sleep_for(10s));
  for (const Outcome& each : reads) EXPECT_FALSE(each);
  world.device.is_gone = becomes == Becomes::nothing;
  world.device.write_status(0);
  world.device.reset_reads = 0;
  world.device.write_status(0);
  CO_TRY(co_await sleep_for(10s));
  for (const Outcome& each : reads) EXPECT_TRUE(ended_with(each, says(becomes)));
  CO_TRY(co_await scope.join());
  const Error after = (co_await world.disk->read(0, into[0])).error();
  EXPECT_EQ(after, says(becomes));
  // Nobody is kept busy by what is of no use.
  world.device.change_config();
  world.disk->interrupted(Disk::config_vector);
  EXPECT_TRUE(world.disk->deliver());
  EXPECT_FALSE(world.disk->deliver());
  world.device.is_gone = false;
  co_return Result<void>{};
}
TEST_P(BlockFaultsTest, NoticesThatTheDeviceIsGone) {
  for (const Becomes becomes :
       {Becomes::nothing, Becomes::another, Becomes::one_of_less, Becomes::one_without_queue}) {
    DiskWorld world{block_usual | GetParam()};
    ASSERT_TRUE(world.open({.requests = 4}));
    EXPECT_TRUE(*world.loop.run(with_service(world, goes_away(world, becomes), false)));
  }
}

// All at once, at random: whatever happens each call ends, and what ended well is true.
struct Chaos {
  DiskWorld& world;
  Random random;
  bool over = false;
  unsigned well = 0;
  unsigned failed = 0;
};

Task<Result<void>> chaotic_user(Chaos& chaos, std::uint64_t part) {
  Content known = content_of(part, 16 * 512);
  bool is_known = false;
  for (unsigned round = 0; round < 30; ++round) {
    io::BlockDevice& disk = *chaos.world.disk;
    if (!is_known || chaos.random.below(2) == 0) {
      known = content_of(part * 1'000 + round, known.size());
      is_known = false;
      for (unsigned tries = 0; tries < 20 && !is_known; ++tries)
        is_known = (co_await disk.write(part * 16, known)).has_value();
      ++(is_known ? chaos.well : chaos.failed);
    } else {
      Content read(known.size());
      const std::array<std::span<std::byte>, 2> pieces{std::span{read}.first(1024),
                                                       std::span{read}.subspan(1024)};
      const Result<void> done = co_await disk.read_pieces(part * 16, pieces);
      if (done) EXPECT_TRUE(read == known);
      ++(done ? chaos.well : chaos.failed);
    }
    if (chaos.random.below(4) == 0) (co_await disk.flush()).ignore();
  }
  co_return Result<void>{};
}

Task<Result<void>> chaos_runs(Chaos& chaos) {
  DiskWorld& world = chaos.world;
  Scope scope{OnError::keep_going};
  for (unsigned i = 0; i < 8; ++i) scope.spawn(chaotic_user(chaos, i));
  while (scope.active() != 0) {
    switch (chaos.random.below(12)) {
      case 0:
        world.device.says_status = static_cast<std::uint8_t>(1 + chaos.random.below(2));
        world.device.work(1);
        world.device.says_status.reset();
        break;
      case 1:
        if (chaos.random.below(8) == 0 && world.device.works()) world.device.break_down();
        break;
      case 2:
        if (chaos.random.below(8) == 0 && world.device.works())
          world.device.queues[0].ring->forge(0xFF00, 1);
        break;
      case 3: world.device.fetch(); break;
      case 4: world.events(); break;
      case 5:
        CO_TRY(co_await sleep_for(std::chrono::milliseconds{1 + chaos.random.below(30)}));
        break;
      case 6:
        if (world.sleep()) world.events();
        break;
      case 7:
        if (world.device.works())
          world.device.queues[0].ring->notifications(chaos.random.below(2) == 0);
        break;
      default:
        world.device.work(1 + chaos.random.below(6));
        co_await yield();
        break;
    }
  }
  co_return co_await scope.join();
}
TEST_P(BlockFaultsTest, EndsEachCallInRandomSchedules) {
  unsigned well = 0;
  for (std::uint64_t seed = 1; seed <= 40 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Features features = block_usual | GetParam();
    if (seed % 3 == 0) features &= ~feature::event_index;
    if (seed % 5 == 0) features &= ~feature::indirect_descriptors;
    DiskWorld world{features};
    world.device.queues[0].limit = seed % 2 == 0 ? 16 : 64;
    world.device.shuffles = seed % 4 != 0;
    ASSERT_TRUE(world.open({.requests = static_cast<std::uint16_t>(1 + seed % 7)}));
    Chaos chaos{world, Random{seed}};
    const auto outcome = world.loop.run(with_service(world, chaos_runs(chaos), false));
    ASSERT_TRUE(outcome.has_value());
    EXPECT_TRUE(*outcome);
    well += chaos.well;
  }
  EXPECT_GT(well, 5'000U);
}

INSTANTIATE_TEST_SUITE_P(Rings, BlockFaultsTest, testing::Values(Features{0}, feature::packed_ring),
                         [](const auto& info) { return info.param == 0 ? "split" : "packed"; });

}  // namespace
}  // namespace lichen::driver::virtio::test

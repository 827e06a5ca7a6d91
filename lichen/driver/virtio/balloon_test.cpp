// A virtio balloon (virtio 1.2, 5.5).
#include "lichen/driver/virtio/balloon.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "lichen/coro/coro_test.hpp"
#include "lichen/driver/virtio/mmio_transport.hpp"
#include "lichen/driver/virtio/test_device.hpp"

namespace lichen::driver::virtio::test {
namespace {

constexpr std::uint32_t pages_of_piece = 16;

// Pieces that nobody reads: only their numbers matter.
class Pieces final : public BalloonMemory {
 public:
  explicit Pieces(std::size_t count) : all_(count) {
    for (std::size_t i = 0; i < count; ++i) free_.push_back(count - 1 - i);
  }
  ~Pieces() { EXPECT_EQ(free_.size(), all_.size()) << "not all have come back"; }
  std::size_t piece_size() const noexcept override { return size; }
  Result<Bytes> take() noexcept override {
    if (free_.size() <= reserve) return Error::no_memory;
    const std::size_t index = free_.back();
    free_.pop_back();
    return Bytes{&all_[index], size};
  }
  void give_back(Bytes piece) noexcept override {
    const std::size_t index = index_of(piece.data());
    EXPECT_EQ(std::ranges::count(free_, index), 0) << "twice";
    free_.push_back(index);
  }
  BusAddress address(std::span<const std::byte> piece) const noexcept override {
    return first + index_of(piece.data()) * size;
  }
  Statistics statistics() const noexcept override {
    return {.total = all_.size() * size, .free = free_.size() * size};
  }
  [[nodiscard]] std::size_t free() const { return free_.size(); }

  static constexpr std::size_t size = pages_of_piece * std::size_t{4096};
  static constexpr BusAddress first = 0x8'0000'0000;
  std::size_t reserve = 2;

 private:
  [[nodiscard]] std::size_t index_of(const std::byte* piece) const {
    return static_cast<std::size_t>(piece - all_.data());
  }
  std::vector<std::byte> all_;  // one byte stands for each
  std::vector<std::size_t> free_;
};

class BalloonModel final : public DeviceModel {
 public:
  explicit BalloonModel(Features features) : DeviceModel{DeviceKind::balloon, 3, features} {}
  void want(std::uint32_t pages) {
    std::memcpy(config.data(), &pages, sizeof pages);
    change_config();
  }
  [[nodiscard]] std::uint32_t actual() const {
    std::uint32_t pages = 0;
    std::memcpy(&pages, &config[4], sizeof pages);
    return pages;
  }
  // What was told of pages that come and go.
  void serve() {
    if (!works()) return;
    for (const unsigned queue : {0U, 1U}) {
      while (std::optional<Popped> popped = queues[queue].ring->pop()) {
        EXPECT_TRUE(popped->write.empty());
        for (const Bytes part : popped->read) take_numbers(queue, part);
        queues[queue].ring->use(std::array{Done{*std::move(popped), 0}});
        interrupt_for(queues[queue]);
      }
    }
  }
  std::map<std::uint16_t, std::uint64_t> statistics() {
    std::map<std::uint16_t, std::uint64_t> told;
    std::optional<Popped> popped = queues[2].ring->pop();
    if (!popped) return told;
    const Bytes bytes = popped->read[0];
    EXPECT_EQ(bytes.size() % 10, 0U);
    for (std::size_t at = 0; at + 10 <= bytes.size(); at += 10) {
      std::uint16_t tag = 0;
      std::memcpy(&tag, &bytes[at], sizeof tag);
      std::memcpy(&told[tag], &bytes[at + 2], 8);
    }
    queues[2].ring->use(std::array{Done{*std::move(popped), 0}});
    interrupt_for(queues[2]);
    return told;
  }

  std::set<std::uint32_t> taken;

 private:
  void take_numbers(unsigned queue, Bytes part) {
    EXPECT_EQ(part.size() % 4, 0U);
    for (std::size_t at = 0; at + 4 <= part.size(); at += 4) {
      std::uint32_t number = 0;
      std::memcpy(&number, &part[at], sizeof number);
      EXPECT_EQ(queue == 0 ? taken.insert(number).second : taken.erase(number) == 1, true)
          << number;
    }
  }
  void was_reset() override { taken.clear(); }
};

struct World {
  explicit World(Features features, std::size_t pieces = 100)
      : memory_of_machine{pieces}, device{features} {}
  ~World() { balloon.reset(); }
  Result<void> open() {
    auto opened = *loop.run(Balloon::open(transport, memory, memory_of_machine));
    if (!opened) return opened.error();
    balloon = *std::move(opened);
    return {};
  }
  // Until nothing happens any more.
  Task<Result<void>> settle() {
    for (int turn = 0; turn < 50; ++turn) {
      device.serve();
      if (device.line != 0) {
        balloon->interrupted_by_line();
        balloon->deliver();
      }
      CO_TRY(co_await coro::test::settle());
    }
    co_return Result<void>{};
  }

  coro::test::TestLoop loop;
  TestMemory memory;
  Pieces memory_of_machine;
  BalloonModel device;
  MmioRegisters registers{device};
  MmioTransport transport = *MmioTransport::create(registers);
  std::unique_ptr<Balloon> balloon;
};

class BalloonTest : public testing::TestWithParam<Features> {};
INSTANTIATE_TEST_SUITE_P(Rings, BalloonTest,
                         testing::Values(feature::event_index | 3,
                                         feature::event_index | feature::packed_ring | 1));

Task<Result<void>> grows_and_shrinks(World& world) {
  Scope scope{OnError::keep_going};
  scope.spawn(world.balloon->run());
  CO_TRY(co_await world.settle());
  EXPECT_TRUE((co_await world.balloon->run()).failed_with(Error::busy));
  for (const std::uint32_t pieces : {1U, 40U, 3U, 70U, 0U, 20U}) {
    world.device.want(pieces * pages_of_piece + 7);  // what is left of one stays here
    CO_TRY(co_await world.settle());
    EXPECT_EQ(world.balloon->held(), pieces);
    EXPECT_EQ(world.memory_of_machine.free(), 100 - pieces);
    EXPECT_EQ(world.device.taken.size(), pieces * pages_of_piece);
    EXPECT_EQ(world.device.actual(), pieces * pages_of_piece);
  }
  // The first one that was told, and the pages behind it.
  EXPECT_EQ(world.device.taken.count(Pieces::first / 4096), 1U);
  EXPECT_EQ(world.device.taken.count(Pieces::first / 4096 + pages_of_piece - 1), 1U);
  scope.request_stop();
  co_return co_await scope.join();
}
TEST_P(BalloonTest, GrowsAndShrinks) {
  World world{GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(grows_and_shrinks(world))->failed_with(Error::stopped));
}

Task<Result<void>> wants_too_much(World& world) {
  Scope scope{OnError::keep_going};
  scope.spawn(world.balloon->run());
  world.device.want(0xFFFF'FFFF);
  CO_TRY(co_await world.settle());
  EXPECT_EQ(world.balloon->held(), 98U) << "some is kept";
  EXPECT_EQ(world.memory_of_machine.free(), 2U);
  // It is tried again, without a word of the device's.
  world.memory_of_machine.reserve = 1;
  CO_TRY(co_await sleep_for(std::chrono::seconds{2}));
  CO_TRY(co_await world.settle());
  EXPECT_EQ(world.balloon->held(), 99U);
  world.device.want(0);
  CO_TRY(co_await world.settle());
  EXPECT_EQ(world.balloon->held(), 0U);
  EXPECT_EQ(world.memory_of_machine.free(), 100U);
  scope.request_stop();
  co_return co_await scope.join();
}
TEST_P(BalloonTest, KeepsWhatTheMachineNeeds) {
  World world{GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(wants_too_much(world))->failed_with(Error::stopped));
}

// Who was stopped while the device had the numbers goes on where he was.
Task<Result<void>> stops_in_between(World& world) {
  for (const std::uint32_t pieces : {10U, 4U}) {
    world.device.want(pieces * pages_of_piece);
    Scope scope{OnError::keep_going};
    scope.spawn(world.balloon->run());
    world.balloon->interrupted();
    world.balloon->deliver();
    CO_TRY(co_await coro::test::settle());
    scope.request_stop();
    EXPECT_TRUE((co_await scope.join()).failed_with(Error::stopped));
    EXPECT_EQ(world.balloon->held(), pieces == 10 ? 0U : 10U);
    Scope again{OnError::keep_going};
    again.spawn(world.balloon->run());
    CO_TRY(co_await world.settle());
    EXPECT_EQ(world.balloon->held(), pieces);
    EXPECT_EQ(world.device.taken.size(), pieces * pages_of_piece);
    again.request_stop();
    (co_await again.join()).ignore();
  }
  // And one who never goes on loses nothing.
  world.device.want(30 * pages_of_piece);
  co_return co_await coro::test::stop_while_waiting(world.balloon->run());
}
TEST_P(BalloonTest, GoesOnWhereItWasStopped) {
  World world{GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(stops_in_between(world))->failed_with(Error::stopped));
}

TEST_P(BalloonTest, TellsStatistics) {
  World world{GetParam()};
  ASSERT_TRUE(world.open());
  if (!world.device.has(2)) return;
  for (int times = 0; times < 3; ++times) {
    const auto told = world.device.statistics();
    EXPECT_EQ(told.at(4), 100 * Pieces::size);
    EXPECT_EQ(told.at(5), 100 * Pieces::size);
    EXPECT_EQ(told.at(6), 100 * Pieces::size);
    EXPECT_TRUE(world.device.statistics().empty()) << "it has not looked yet";
    world.balloon->interrupted_by_line();
    world.balloon->deliver();
  }
}

Task<Result<void>> fails(World& world, bool lies) {
  Scope scope{OnError::keep_going};
  scope.spawn(world.balloon->run());
  world.device.want(5 * pages_of_piece);
  CO_TRY(co_await world.settle());
  EXPECT_EQ(world.balloon->held(), 5U);
  if (lies) {
    world.device.want(9 * pages_of_piece);
    world.balloon->interrupted_by_line();
    world.balloon->deliver();
    CO_TRY(co_await coro::test::settle());
    world.device.queues[0].ring->forge(77, 0);
    world.balloon->interrupted();
  } else {
    world.device.break_down();
    world.balloon->interrupted_by_line();
  }
  world.balloon->deliver();
  co_return co_await scope.join();
}
TEST_P(BalloonTest, GivesUpADeviceThatLies) {
  for (const bool lies : {false, true}) {
    World world{GetParam()};
    ASSERT_TRUE(world.open());
    EXPECT_TRUE(world.loop.run(fails(world, lies))->failed_with(Error::io_failed));
    EXPECT_EQ(world.device.status, 0);
  }
}

TEST(Balloon, IsWhatItSays) {
  World world{0};
  world.device.kind = DeviceKind::net;
  EXPECT_TRUE(world.open().failed_with(Error::not_supported));
}

}  // namespace
}  // namespace lichen::driver::virtio::test

// A network card against a device of the tests' own (virtio 1.2, 5.1), in virtual time.
#include "lichen/driver/virtio/net.hpp"

#include <numeric>

#include "lichen/driver/virtio/test_card.hpp"

namespace lichen::driver::virtio::test {
namespace {

TEST_P(NetTest, IsBroughtUpInOrder) {  // 3.1.1
  World world{usual | mtu_bit | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.device.history, (std::vector<std::uint8_t>{0, 1, 3, 11, 15}));
  EXPECT_EQ(world.device.accepted, usual | mtu_bit | feature::version_1 | GetParam());
  EXPECT_EQ(world.card->mtu(), 1500U);
  EXPECT_EQ(world.card->address()[0], std::byte{0x52});
  EXPECT_EQ(world.card->address()[5], std::byte{0x56});
  EXPECT_TRUE(world.card->features().checksum);
  EXPECT_TRUE(world.card->features().segmentation4);
  world.device.fetch();
  EXPECT_EQ(world.device.buffers.size(), 64U);
}

TEST_P(NetTest, NegotiatesOnlyWhatHoldsTogether) {  // 2.2, 5.1.3.1
  {
    World world{(usual & ~Features{1}) | GetParam()};  // no checksums from us: nothing else either
    ASSERT_TRUE(world.open());
    EXPECT_EQ(world.device.accepted & every_offload, 0U);
    EXPECT_FALSE(world.card->features().checksum);
  }
  {
    World world{(usual & ~merge) | GetParam()};  // large frames would not fit into a buffer
    ASSERT_TRUE(world.open());
    EXPECT_EQ(world.device.accepted & 0x180, 0U);
    EXPECT_TRUE(world.card->features().segmentation4);
  }
  {
    World world{usual | GetParam()};
    ASSERT_TRUE(world.open({.offload = false}));
    EXPECT_EQ(world.device.accepted & every_offload, 0U);
  }
}

TEST_P(NetTest, GivesUpADeviceThatIsNone) {  // 2.1, 2.2.2, 4.2.3.1
  {
    World world{usual | GetParam()};
    world.device.refused = merge;
    EXPECT_TRUE(world.open().failed_with(Error::not_supported));
    EXPECT_NE(world.device.status & status::failed, 0);
  }
  {
    World world{usual | GetParam()};
    world.device.offered &= ~feature::version_1;
    EXPECT_TRUE(world.open().failed_with(Error::not_supported));
  }
  {
    World world{usual & ~address_bit};
    EXPECT_TRUE(world.open().failed_with(Error::not_supported));
  }
  {
    World world{usual | GetParam()};
    world.device.queues.clear();
    EXPECT_TRUE(world.open().failed_with(Error::not_found));
    EXPECT_EQ(world.device.status, 0);  // reset before its memory is freed
  }
  {
    World world{usual | GetParam()};
    world.device.reset_reads = 1'000'000;
    EXPECT_TRUE(world.open().failed_with(Error::timed_out));
    world.device.reset_reads = 5;  // some need a moment
    EXPECT_TRUE(world.open());
    world.device.reset_reads = 0;
  }
  for (std::size_t left = 0; left < 4; ++left) {
    World world{usual | GetParam()};
    world.memory.allocations_left = left;
    EXPECT_TRUE(world.open().failed_with(Error::no_memory));
  }
  World world{usual};
  world.registers.version = 1;
  EXPECT_TRUE(MmioTransport::create(world.registers).failed_with(Error::not_supported));
  world.registers.version = 2;
  world.device.kind = DeviceKind::none;
  EXPECT_TRUE(MmioTransport::create(world.registers).failed_with(Error::not_found));
}

// 5.1.6.2: small ones are copied and need no interrupt; large ones are sent from where they lie,
// and send() returns when the device is done with them.
Task<Result<void>> sends(World& world) {
  const Content small = frame_of(1, 60);
  EXPECT_EQ(
      CO_TRY(co_await send(*world.card, small,
                           {.needs_checksum = true, .checksum_start = 34, .checksum_offset = 16})),
      1U);
  EXPECT_EQ(world.device.queues[1].notified, 1U);
  EXPECT_EQ(world.device.transmit(), 1U);
  EXPECT_EQ(world.device.line, 0);
  EXPECT_EQ(world.device.sent[0].bytes, small);
  EXPECT_EQ(world.device.sent[0].header.flags, 1);
  EXPECT_EQ(world.device.sent[0].header.checksum_start, 34);

  const Content large = frame_of(2, 60'000);
  Scope scope;
  bool returned = false;
  scope.spawn([](World& in, const Content& bytes, bool& done) -> Task<Result<void>> {
    const std::size_t count = CO_TRY(co_await send(*in.card, bytes,
                                                   {.needs_checksum = true,
                                                    .segmentation = io::Segmentation::tcp4,
                                                    .segment_size = 1448,
                                                    .header_size = 54}));
    EXPECT_EQ(count, 1U);
    done = true;
    co_return Result<void>{};
  }(world, large, returned));
  CO_TRY(co_await settle());
  EXPECT_FALSE(returned);
  scope.request_stop();  // too late: the device reads our bytes
  CO_TRY(co_await settle());
  EXPECT_FALSE(returned);
  EXPECT_EQ(world.device.transmit(), 1U);
  EXPECT_EQ(world.device.line, 1);
  world.interrupts();
  (co_await scope.join()).ignore();
  EXPECT_TRUE(returned);
  EXPECT_EQ(world.device.sent[1].bytes, large);
  EXPECT_EQ(world.device.sent[1].header.segmentation, 1);
  EXPECT_EQ(world.device.sent[1].header.segment_size, 1448);

  // What cannot be sent.
  EXPECT_TRUE((co_await send(*world.card, Content(66'000))).failed_with(Error::too_large));
  EXPECT_TRUE((co_await send(*world.card, {})).failed_with(Error::invalid_argument));
  world.memory.unreachable = large.data();
  EXPECT_TRUE((co_await send(*world.card, large)).failed_with(Error::invalid_argument));
  co_return Result<void>{};
}
TEST_P(NetTest, Sends) {
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(sends(world)).value());
}

// A full ring holds the sender back until the device has taken half of it.
Task<Result<void>> waits_for_room(World& world) {
  Scope scope;
  int sent = 0;
  scope.spawn([](World& in, int& count) -> Task<Result<void>> {
    for (; count < 100; ++count) CO_TRY(co_await send(*in.card, frame_of(1, 100)));
    co_return Result<void>{};
  }(world, sent));
  while (scope.active() != 0) {
    CO_TRY(co_await settle());
    EXPECT_GT(world.device.transmit(), 0U);
    world.interrupts();
  }
  CO_TRY(co_await scope.join());
  world.device.transmit();
  EXPECT_EQ(world.device.sent.size(), 100U);
  co_return Result<void>{};
}
TEST_P(NetTest, HoldsTheSenderBackWhenTheRingIsFull) {
  World world{usual | GetParam(), 8};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(waits_for_room(world)).value());
}

// 5.1.6.4: frames of one buffer, of several side by side, and of scattered ones.
Task<Result<void>> receives(World& world) {
  std::vector<io::ReceivedFrame> got;
  Scope scope;
  scope.spawn(receive_all(*world.card, got));
  CO_TRY(co_await settle());
  const auto comes = [&](unsigned number, std::size_t size, io::NetHeader header = {}) {
    return world.device.receive({header, frame_of(number, size)});
  };
  EXPECT_TRUE(comes(1, 60));
  world.device.flush();
  EXPECT_EQ(world.device.line, 1);
  world.interrupts();
  CO_TRY(co_await settle());
  EXPECT_EQ(got.size(), 1U);
  EXPECT_TRUE(same(got[0], frame_of(1, 60)));

  EXPECT_TRUE(comes(2, 30'000,
                    {.flags = 1,
                     .segmentation = 1,
                     .header_size = 54,
                     .segment_size = 1448,
                     .checksum_start = 34,
                     .checksum_offset = 16}));
  world.device.flush();
  world.interrupts();
  CO_TRY(co_await settle());
  EXPECT_EQ(got.size(), 2U);
  EXPECT_TRUE(same(got[1], frame_of(2, 30'000)));
  EXPECT_TRUE(got[1].work.needs_checksum);
  EXPECT_EQ(got[1].work.segmentation, io::Segmentation::tcp4);
  EXPECT_EQ(got[1].work.segment_size, 1448);
  EXPECT_EQ(world.card->pair(0).counters().receive.assembled, 0U);

  world.device.fetch();
  std::ranges::reverse(world.device.buffers);
  EXPECT_TRUE(comes(3, 30'000));
  EXPECT_TRUE(comes(4, 2'036));
  EXPECT_TRUE(comes(5, 2'037));
  world.device.flush();
  world.interrupts();
  CO_TRY(co_await settle());
  EXPECT_EQ(got.size(), 5U);
  EXPECT_TRUE(same(got[2], frame_of(3, 30'000)));
  EXPECT_TRUE(same(got[3], frame_of(4, 2'036)));
  EXPECT_TRUE(same(got[4], frame_of(5, 2'037)));
  EXPECT_EQ(world.card->pair(0).counters().receive.assembled, 2U);

  std::array<io::ReceivedFrame, 1> other;
  EXPECT_TRUE((co_await world.card->receive(other)).failed_with(Error::busy));
  scope.request_stop();
  EXPECT_TRUE((co_await scope.join()).failed_with(Error::stopped));
  got.clear();
  co_return Result<void>{};
}
TEST_P(NetTest, Receives) {
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(receives(world)).value());
}

// All buffers are held above; frames are lost until some come back, and that wakes the receiver.
Task<Result<void>> starves(World& world) {
  std::vector<io::ReceivedFrame> got;
  Scope scope;
  scope.spawn(receive_all(*world.card, got));
  CO_TRY(co_await settle());
  unsigned lost = 0;
  for (unsigned i = 0; i < 30; ++i) {
    lost += world.device.receive({{}, frame_of(i, 100)}) ? 0 : 1;
    world.device.flush();
    world.interrupts();
    CO_TRY(co_await settle());
  }
  EXPECT_EQ(got.size(), 16U);
  EXPECT_EQ(lost, 14U);
  EXPECT_TRUE(world.device.queues[0].ring->notifications(true));  // it wants more
  const unsigned notified = world.device.queues[0].notified;
  got.clear();
  CO_TRY(co_await settle());
  EXPECT_GT(world.device.queues[0].notified, notified);
  EXPECT_TRUE(world.device.receive({{}, frame_of(99, 100)}));
  world.device.flush();
  world.interrupts();
  CO_TRY(co_await settle());
  EXPECT_EQ(got.size(), 1U);
  got.clear();
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}
TEST_P(NetTest, GoesOnAfterAllBuffersWereHeld) {
  for (const std::uint16_t queue_size : {64, 1}) {
    SCOPED_TRACE(queue_size);
    World world{usual | GetParam(), queue_size};
    ASSERT_TRUE(world.open({.receive_buffers = 16}));
    EXPECT_TRUE(world.loop.run(starves(world)).value());
  }
}

// Under load nobody asks for interrupts; when it ends the receiver waits for one.
Task<Result<void>> polls(World& world) {
  std::vector<io::ReceivedFrame> got;
  Scope scope;
  scope.spawn(receive_all(*world.card, got));
  CO_TRY(co_await settle());
  unsigned interrupts = 0;
  for (unsigned i = 0; i < 40; ++i) EXPECT_TRUE(world.device.receive({{}, frame_of(i, 100)}));
  for (unsigned i = 40; i < 200; ++i) {
    EXPECT_TRUE(world.device.receive({{}, frame_of(i, 100)}));
    world.device.flush();
    interrupts += world.device.line;
    world.interrupts();
    CO_TRY(co_await settle(2));
  }
  CO_TRY(co_await settle());
  EXPECT_EQ(got.size(), 200U);
  EXPECT_EQ(interrupts, 1U);
  const std::uint64_t waits = world.card->pair(0).counters().waits;
  CO_TRY(co_await settle());
  EXPECT_EQ(world.card->pair(0).counters().waits, waits);  // it sleeps
  EXPECT_TRUE(world.device.receive({{}, frame_of(1, 100)}));
  world.device.flush();
  EXPECT_EQ(world.device.line, 1);
  got.clear();
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}

TEST_P(NetTest, PollsUnderLoadAndSleepsAfterwards) {
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(polls(world)).value());
}

INSTANTIATE_TEST_SUITE_P(Rings, NetTest, testing::Values(Features{0}, feature::packed_ring),
                         [](const auto& info) { return info.param == 0 ? "split" : "packed"; });

}  // namespace
}  // namespace lichen::driver::virtio::test

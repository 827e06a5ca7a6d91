// A network card whose device breaks down, lies, or is late in all ways (virtio 1.2, 5.1), in
// virtual time.
#include <cstring>
#include <deque>
#include <optional>

#include "lichen/driver/virtio/net.hpp"
#include "lichen/driver/virtio/test_card.hpp"

namespace lichen::driver::virtio::test {
namespace {

class NetFaultsTest : public NetTest {};

// 2.1.2, 2.4: the device breaks down with frames in both directions; they are lost and counted, who
// waits for the device goes on, and it comes up again.
Task<Result<void>> breaks_down(World& world) {
  std::vector<io::ReceivedFrame> got;
  Scope scope{OnError::keep_going};
  scope.spawn(receive_all(*world.card, got));
  CO_TRY(co_await settle());
  EXPECT_TRUE(world.device.receive({{}, frame_of(1, 100)}));
  world.device.flush();
  world.interrupts();
  CO_TRY(co_await settle());
  EXPECT_EQ(got.size(), 1U);  // and is held across the reset

  const Content large = frame_of(2, 20'000);
  bool returned = false;
  scope.spawn([](World& in, const Content& bytes, bool& done) -> Task<Result<void>> {
    EXPECT_EQ(CO_TRY(co_await send(*in.card, bytes)), 1U);
    done = true;
    co_return Result<void>{};
  }(world, large, returned));
  CO_TRY(co_await settle());
  EXPECT_FALSE(returned);
  EXPECT_TRUE((co_await send(*world.card, frame_of(3, 100))).failed_with(Error::busy));
  world.device.reset_reads = 20;
  world.device.break_down();
  world.interrupts();
  CO_TRY(co_await settle());
  EXPECT_FALSE(returned);  // the device has not confirmed the reset: it may still read
  EXPECT_TRUE((co_await send(*world.card, frame_of(3, 100))).failed_with(Error::busy));
  CO_TRY(co_await sleep_for(std::chrono::milliseconds{100}));
  EXPECT_TRUE(returned);
  EXPECT_EQ(world.card->pair(0).counters().send.lost, 1U);
  EXPECT_EQ(world.card->counters().faults, 1U);
  EXPECT_EQ(world.card->counters().starts, 2U);
  EXPECT_TRUE(world.device.works());

  EXPECT_TRUE(same(got[0], frame_of(1, 100)));
  EXPECT_TRUE(world.device.receive({{}, frame_of(4, 100)}));
  world.device.flush();
  world.interrupts();
  EXPECT_EQ(CO_TRY(co_await send(*world.card, frame_of(5, 100))), 1U);
  CO_TRY(co_await settle());
  EXPECT_EQ(world.device.transmit(), 1U);
  EXPECT_TRUE(same(got.back(), frame_of(4, 100)));
  EXPECT_EQ(world.device.sent.back().bytes, frame_of(5, 100));
  got.clear();
  world.device.reset_reads = 0;
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}
TEST_P(NetFaultsTest, ComesBackAfterTheDeviceBrokeDown) {
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(breaks_down(world)).value());
}

// Of a frame that is there no interrupt has told.
Task<Result<void>> overlooks(World& world) {
  std::vector<io::ReceivedFrame> got;
  Scope scope{OnError::keep_going};
  NetPair& pair = world.card->pair(0);
  EXPECT_TRUE(pair.prepare_sleep()) << "nobody waits";
  scope.spawn(receive_all(*world.card, got));
  CO_TRY(co_await settle());
  for (unsigned number = 1; number <= 3; ++number) {
    EXPECT_TRUE(pair.prepare_sleep());
    EXPECT_FALSE(pair.deliver());
    EXPECT_TRUE(world.device.receive({{}, frame_of(number, 100)}));
    world.device.flush();
    world.device.line = 0;
    CO_TRY(co_await settle());
    EXPECT_EQ(got.size(), number - 1);
    EXPECT_FALSE(pair.prepare_sleep());
    EXPECT_TRUE(pair.deliver());
    CO_TRY(co_await settle());
    EXPECT_EQ(got.size(), number);
  }
  got.clear();
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}
TEST_P(NetFaultsTest, LooksOnceMoreBeforeTheCoreSleeps) {
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(overlooks(world)).value());
}

// A device that does not come back is told nothing, and for a second waited for by who has lent it
// something.
Task<Result<void>> dies(World& world) {
  Scope scope{OnError::keep_going};
  std::vector<io::ReceivedFrame> got;
  std::optional<Result<void>> ended;
  scope.spawn([](World& in, auto& frames, auto& outcome) -> Task<> {
    outcome = co_await receive_all(*in.card, frames);
  }(world, got, ended));
  const Content large = frame_of(2, 20'000);
  bool returned = false;
  scope.spawn([](World& in, const Content& bytes, bool& done) -> Task<Result<void>> {
    CO_TRY(co_await send(*in.card, bytes));
    done = true;
    co_return Result<void>{};
  }(world, large, returned));
  CO_TRY(co_await settle());
  world.device.reset_reads = 1'000'000;
  world.device.break_down();
  world.interrupts();
  const unsigned told = world.device.queues[2].notified;
  EXPECT_TRUE((co_await world.card->set_promiscuous(true)).failed_with(Error::io_failed));
  EXPECT_EQ(world.device.queues[2].notified, told);
  CO_TRY(co_await sleep_for(std::chrono::milliseconds{500}));
  EXPECT_FALSE(returned || ended);
  CO_TRY(co_await sleep_for(std::chrono::seconds{2}));
  EXPECT_TRUE(returned);
  EXPECT_TRUE(ended && ended->failed_with(Error::timed_out));
  world.device.reset_reads = 0;
  co_return co_await scope.join();
}
TEST_P(NetFaultsTest, WaitsForTheResetOfADeadDeviceForASecond) {
  constexpr Features commands = Features{1} << 17 | Features{1} << 18;
  World world{usual | commands | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(dies(world)).value());
}

// What a device must not say (2.7.8, 2.8.22, 5.1.6.4.1). Frames that cannot be are dropped; a ring
// that cannot be ends in a reset, and no frame of doubtful origin is handed over.
Task<Result<void>> lies(World& world) {
  std::vector<io::ReceivedFrame> got;
  Scope scope{OnError::keep_going};
  scope.spawn(receive_all(*world.card, got));
  CO_TRY(co_await settle());
  const std::array<io::NetHeader, 6> headers{{
      {.flags = 1, .checksum_start = 90, .checksum_offset = 9},
      {.flags = 1, .checksum_start = 0xFFFF, .checksum_offset = 0xFFFF},
      {.segmentation = 1, .segment_size = 1448},  // without a checksum to be written
      {.flags = 1, .segmentation = 3, .segment_size = 1448, .checksum_start = 34},
      {.flags = 1, .segmentation = 1, .checksum_start = 34},  // into nothing
      {.flags = 1, .segmentation = 0x7F, .segment_size = 1, .checksum_start = 34},
  }};
  for (const io::NetHeader& header : headers) {
    EXPECT_TRUE(world.device.receive({header, frame_of(1, 100)}));
    world.device.flush();
    world.interrupts();
    CO_TRY(co_await settle());
  }
  EXPECT_TRUE(world.device.receive({{}, {}}));
  world.device.flush();
  world.interrupts();
  CO_TRY(co_await settle());
  EXPECT_EQ(got.size(), 0U);
  EXPECT_EQ(world.card->pair(0).counters().receive.bad, headers.size() + 1);
  EXPECT_EQ(world.card->counters().faults, 0U);
  const auto honest = [&]() -> Task<Result<void>> {
    EXPECT_TRUE(world.device.receive(
        {{.flags = 1, .header_size = 0xFFFF, .checksum_start = 34, .checksum_offset = 16},
         frame_of(1, 100)}));
    world.device.flush();
    world.interrupts();
    CO_TRY(co_await settle());
    EXPECT_EQ(got.size(), 1U);
    if (!got.empty()) EXPECT_LE(got[0].work.header_size, 100U);
    got.clear();
    co_return Result<void>{};
  };
  CO_TRY(co_await honest());

  using Lie = void (*)(NetModel&);
  const std::array<Lie, 7> rings{{
      [](NetModel& device) { device.queues[0].ring->forge(0xFFFF, 100); },
      [](NetModel& device) { device.queues[0].ring->forge(3, 1'000'000); },
      [](NetModel& device) { device.queues[0].ring->forge(3, 11); },  // less than a header
      [](NetModel& device) {                                          // of more buffers than exist
        device.received.push_back({device.buffers.front(), 200});
        const io::NetHeader header{.buffers = 300};
        std::memcpy(device.buffers.front().write[0].data(), &header, sizeof header);
      },
      [](NetModel& device) {  // of none
        device.received.push_back({device.buffers.front(), 200});
        const io::NetHeader header{};
        std::memcpy(device.buffers.front().write[0].data(), &header, sizeof header);
      },
      [](NetModel& device) {  // larger than any packet
        const io::NetHeader header{.buffers = 40};
        std::memcpy(device.buffers.front().write[0].data(), &header, sizeof header);
        for (int i = 0; i < 40; ++i) {
          device.received.push_back({device.buffers.front(), 2'048});
          device.buffers.pop_front();
        }
      },
      [](NetModel& device) {  // the same one twice
        const io::NetHeader header{.buffers = 1};
        std::memcpy(device.buffers.front().write[0].data(), &header, sizeof header);
        device.received.push_back({device.buffers.front(), 100});
        device.received.push_back({device.buffers.front(), 100});
      },
  }};
  std::uint64_t faults = 0;
  for (const Lie lie : rings) {
    world.device.fetch();
    lie(world.device);
    world.device.flush();
    world.device.line |= 1;
    world.interrupts();
    CO_TRY(co_await sleep_for(std::chrono::seconds{3}));
    EXPECT_EQ(world.card->counters().faults, ++faults);
    EXPECT_EQ(got.size(), 0U);
    EXPECT_EQ(world.device.resets, faults + 1 + faults);  // at once, and when it is brought up
    CO_TRY(co_await honest());
  }
  // Half a frame, and then it breaks down.
  world.device.fetch();
  const io::NetHeader header{.buffers = 3};
  std::memcpy(world.device.buffers.front().write[0].data(), &header, sizeof header);
  world.device.received.push_back({world.device.buffers.front(), 2'048});
  world.device.flush();
  world.interrupts();
  CO_TRY(co_await settle());
  world.device.break_down();
  world.interrupts();
  CO_TRY(co_await sleep_for(std::chrono::seconds{3}));
  EXPECT_EQ(world.card->pair(0).counters().receive.lost, 1U);
  CO_TRY(co_await honest());

  world.device.queues[1].ring->forge(1, 0);  // sent what nobody gave it
  EXPECT_EQ(CO_TRY(co_await send(*world.card, frame_of(1, 100))), 1U);
  EXPECT_EQ(world.card->pair(0).counters().send.lost, 1U);
  CO_TRY(co_await sleep_for(std::chrono::seconds{3}));
  CO_TRY(co_await honest());
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}
TEST_P(NetFaultsTest, IsNotDeceived) {
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(lies(world)).value());
}

// A device that never stops breaking down, or is not there any more, costs little time.
Task<Result<void>> hopeless(World& world) {
  std::array<io::ReceivedFrame, 1> frames;
  Scope scope{OnError::keep_going};
  scope.spawn([](World& in) -> Task<Result<void>> {
    for (;;) {
      CO_TRY(co_await sleep_for(std::chrono::milliseconds{1}));
      if (in.device.works()) in.device.break_down();
      in.interrupts();
    }
  }(world));
  const auto received =
      co_await with_timeout(std::chrono::seconds{100}, world.card->receive(frames));
  EXPECT_TRUE(received.failed_with(Error::timed_out));
  EXPECT_LT(world.card->counters().starts, 120U);
  scope.request_stop();
  (co_await scope.join()).ignore();
  if (world.device.works()) world.device.break_down();
  world.interrupts();
  world.device.offered = 0;
  const auto gone = co_await with_timeout(std::chrono::seconds{100}, world.card->receive(frames));
  EXPECT_TRUE(gone.failed_with(Error::not_supported));
  EXPECT_EQ(CO_TRY(co_await send(*world.card, frame_of(3, 100))), 1U);
  co_return Result<void>{};
}
TEST_P(NetFaultsTest, IsPatientWithADeviceThatKeepsBreakingDown) {
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(hopeless(world)).value());
}

// Both sides in random steps: what the device took arrives whole and in order, both ways, whatever
// is late: interrupts, buffers that come back, the device itself.
struct Traffic {
  World& world;
  Random random;
  unsigned offered = 0;  // by the wire; those that were not lost:
  std::deque<unsigned> expected{};
  unsigned sent = 0;
  std::vector<io::ReceivedFrame> held{};
  static constexpr unsigned count = 300;

  static std::size_t size_of(unsigned number) {
    return number % 7 == 0 ? 1'000 + number * 97 % 50'000 : 60 + number * 31 % 1'455;
  }
};

Task<Result<void>> traffic_out(Traffic& traffic) {
  while (traffic.sent < Traffic::count) {
    std::array<Content, 4> bytes;
    std::array<std::array<std::span<const std::byte>, 3>, 4> pieces;
    std::array<io::OutgoingFrame, 4> frames;
    const std::size_t wanted =
        std::min<std::size_t>(1 + traffic.random.below(4), Traffic::count - traffic.sent);
    for (unsigned i = 0; i < wanted; ++i) {
      bytes[i] = frame_of(traffic.sent + i, Traffic::size_of(traffic.sent + i));
      const std::size_t cut = traffic.random.below(bytes[i].size());
      pieces[i] = {std::span{bytes[i]}.first(cut), {}, std::span{bytes[i]}.subspan(cut)};
      frames[i] = {pieces[i], {}};
    }
    traffic.sent += CO_TRY(co_await traffic.world.card->send(std::span{frames}.first(wanted)));
    if (traffic.random.below(3) == 0) co_await yield();
  }
  co_return Result<void>{};
}

Task<Result<void>> traffic_in(Traffic& traffic) {
  for (;;) {
    std::array<io::ReceivedFrame, 3> frames;
    const std::size_t count = CO_TRY(co_await traffic.world.card->receive(frames));
    for (io::ReceivedFrame& frame : std::span{frames}.first(count)) {
      if (traffic.expected.empty()) {
        ADD_FAILURE() << "from nowhere";
        co_return Error::internal;
      }
      const unsigned number = traffic.expected.front();
      traffic.expected.pop_front();
      EXPECT_TRUE(same(frame, frame_of(number, Traffic::size_of(number)))) << number;
      traffic.held.push_back(std::move(frame));
    }
    while (!traffic.held.empty() && traffic.random.below(3) != 0) {
      const std::size_t which = traffic.random.below(traffic.held.size());
      traffic.held.erase(traffic.held.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
}

Task<Result<void>> traffic_both_ways(Traffic& traffic) {
  World& world = traffic.world;
  Scope scope{OnError::keep_going};
  scope.spawn(traffic_out(traffic));
  scope.spawn(traffic_in(traffic));
  const auto work_left = [&] {
    return traffic.offered < Traffic::count || !traffic.expected.empty() ||
           traffic.sent < Traffic::count;
  };
  for (unsigned idle = 0; work_left() && idle < 2'000; ++idle) {
    switch (traffic.random.below(6)) {
      case 0:
        if (traffic.offered == Traffic::count) break;
        if (world.device.receive(
                {{}, frame_of(traffic.offered, Traffic::size_of(traffic.offered))}))
          traffic.expected.push_back(traffic.offered);
        ++traffic.offered;
        idle = 0;
        break;
      case 1: world.device.flush(); break;
      case 2:
        if (world.device.transmit(1 + traffic.random.below(8)) != 0) idle = 0;
        break;
      case 3: world.interrupts(); break;
      case 4: {
        // A device that sleeps looks again when it is notified, or before it falls asleep.
        for (QueueModel& queue : std::span{world.device.queues}.first(2))
          queue.ring->notifications(traffic.random.below(2) == 0);
        break;
      }
      default: co_await yield();
    }
    // Whoever holds everything for ever gets nothing more.
    if (traffic.held.size() > 6 || idle > 500) traffic.held.clear();
  }
  EXPECT_FALSE(work_left()) << traffic.offered << ' ' << traffic.expected.size() << ' '
                            << traffic.sent;
  scope.request_stop();
  world.device.transmit();
  world.interrupts();
  (co_await scope.join()).ignore();
  while (world.device.transmit() != 0) {
  }
  EXPECT_EQ(world.device.sent.size(), Traffic::count);
  for (unsigned i = 0; i < world.device.sent.size(); ++i)
    EXPECT_EQ(world.device.sent[i].bytes, frame_of(i, Traffic::size_of(i))) << i;
  traffic.held.clear();
  co_return Result<void>{};
}
TEST_P(NetFaultsTest, CarriesTrafficInRandomSchedules) {
  for (std::uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Features features = usual | GetParam();
    if (seed % 3 == 0) features &= ~feature::event_index;
    if (seed % 5 == 0) features &= ~feature::indirect_descriptors;
    World world{features, static_cast<std::uint16_t>(seed % 2 == 0 ? 32 : 64)};
    world.device.shuffles = seed % 4 == 0;
    ASSERT_TRUE(world.open({.receive_buffers = seed % 7 == 0 ? 40U : 128U, .send_frames = 20}));
    Traffic traffic{world, Random{seed}};
    const auto outcome = world.loop.run(traffic_both_ways(traffic));
    ASSERT_TRUE(outcome.has_value());
    EXPECT_TRUE(*outcome);
    EXPECT_EQ(world.card->counters().faults, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Rings, NetFaultsTest, testing::Values(Features{0}, feature::packed_ring),
                         [](const auto& info) { return info.param == 0 ? "split" : "packed"; });

}  // namespace
}  // namespace lichen::driver::virtio::test

// A network card against a device of the tests' own (virtio 1.2, 5.1), in virtual time.
#include "lichen/driver/virtio/net.hpp"

#include <cstring>
#include <deque>
#include <numeric>

#include "lichen/base/random.hpp"
#include "lichen/coro/coro_test.hpp"
#include "lichen/driver/virtio/mmio_transport.hpp"
#include "lichen/driver/virtio/test_device.hpp"

namespace lichen::driver::virtio::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr Features every_offload = 0x1983;  // both checksums, TSO for both IPs, both ways
constexpr Features merge = Features{1} << 15;
constexpr Features address_bit = Features{1} << 5;
constexpr Features mtu_bit = Features{1} << 3;
constexpr Features usual =
    every_offload | merge | address_bit | feature::event_index | feature::indirect_descriptors;

// A frame that is known by its number.
Bytes frame_of(unsigned number, std::size_t size) {
  Bytes bytes(size);
  Random random{number};
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

struct World {
  explicit World(Features features, std::uint16_t queue_size = 64) : device{features} {
    for (QueueModel& queue : device.queues) queue.limit = queue_size;
  }
  ~World() { card.reset(); }

  Result<void> open(NetOptions options = {}) {
    auto opened = loop.run(NetCard::open(transport, memory, options));
    if (!opened.has_value()) return Error::timed_out;
    if (!*opened) return opened->error();
    card = std::move(**opened);
    return {};
  }
  // What the interrupt controller and the core's event source do.
  void interrupts() {
    if (device.line == 0) return;
    card->interrupted_by_line();
    card->deliver();
  }

  coro::test::TestLoop loop;
  TestMemory memory;
  NetModel device;
  MmioRegisters registers{device};
  MmioTransport transport = *MmioTransport::create(registers);
  std::unique_ptr<NetCard> card;
};

Task<> settle(int turns = 50) {
  for (int i = 0; i < turns; ++i) co_await yield();
}

Task<Result<std::size_t>> send(NetCard& card, std::span<const std::byte> bytes,
                               io::FrameWork work = {}) {
  const std::array<std::span<const std::byte>, 2> pieces{bytes.first(bytes.size() / 2),
                                                         bytes.subspan(bytes.size() / 2)};
  const std::array<io::OutgoingFrame, 1> frames{io::OutgoingFrame{pieces, work}};
  co_return co_await card.send(frames);
}

Task<Result<void>> receive_all(NetCard& card, std::vector<io::ReceivedFrame>& into) {
  for (;;) {
    std::array<io::ReceivedFrame, 4> frames;
    const std::size_t count = CO_TRY(co_await card.receive(frames));
    for (io::ReceivedFrame& frame : std::span{frames}.first(count))
      into.push_back(std::move(frame));
  }
}

bool same(const io::ReceivedFrame& frame, const Bytes& bytes) {
  return std::ranges::equal(frame.bytes.bytes(), bytes);
}

class NetTest : public testing::TestWithParam<Features> {
 protected:
  void TearDown() override { EXPECT_EQ(coro::test::frames_alive, 0U); }
};

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
  const Bytes small = frame_of(1, 60);
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

  const Bytes large = frame_of(2, 60'000);
  Scope scope;
  bool returned = false;
  scope.spawn([](World& in, const Bytes& bytes, bool& done) -> Task<Result<void>> {
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
  EXPECT_TRUE((co_await send(*world.card, Bytes(66'000))).failed_with(Error::too_large));
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
  EXPECT_EQ(world.card->counters().receive.assembled, 0U);

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
  EXPECT_EQ(world.card->counters().receive.assembled, 2U);

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
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open({.receive_buffers = 16}));
  EXPECT_TRUE(world.loop.run(starves(world)).value());
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
  const std::uint64_t waits = world.card->counters().waits;
  CO_TRY(co_await settle());
  EXPECT_EQ(world.card->counters().waits, waits);  // it sleeps
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

  const Bytes large = frame_of(2, 20'000);
  bool returned = false;
  scope.spawn([](World& in, const Bytes& bytes, bool& done) -> Task<Result<void>> {
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
  EXPECT_TRUE(returned);
  EXPECT_EQ(CO_TRY(co_await send(*world.card, frame_of(3, 100))), 1U);
  EXPECT_EQ(world.card->counters().send.lost, 2U);
  CO_TRY(co_await sleep_for(std::chrono::milliseconds{100}));
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
TEST_P(NetTest, ComesBackAfterTheDeviceBrokeDown) {
  World world{usual | GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(breaks_down(world)).value());
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
  EXPECT_EQ(world.card->counters().receive.bad, headers.size() + 1);
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
  EXPECT_EQ(world.card->counters().receive.lost, 1U);
  CO_TRY(co_await honest());

  world.device.queues[1].ring->forge(1, 0);  // sent what nobody gave it
  EXPECT_EQ(CO_TRY(co_await send(*world.card, frame_of(1, 100))), 1U);
  EXPECT_EQ(world.card->counters().send.lost, 1U);
  CO_TRY(co_await sleep_for(std::chrono::seconds{3}));
  CO_TRY(co_await honest());
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}
TEST_P(NetTest, IsNotDeceived) {
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
TEST_P(NetTest, IsPatientWithADeviceThatKeepsBreakingDown) {
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
    std::array<Bytes, 4> bytes;
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
TEST_P(NetTest, CarriesTrafficInRandomSchedules) {
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

INSTANTIATE_TEST_SUITE_P(Rings, NetTest, testing::Values(Features{0}, feature::packed_ring),
                         [](const auto& info) { return info.param == 0 ? "split" : "packed"; });

}  // namespace
}  // namespace lichen::driver::virtio::test

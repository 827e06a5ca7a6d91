// virtio over PCI (virtio 1.2, 4.1): capabilities that can and cannot be, and a card with vectors.
#include <numeric>

#include "lichen/base/random.hpp"
#include "lichen/coro/coro_test.hpp"
#include "lichen/driver/virtio/net.hpp"
#include "lichen/driver/virtio/pci_transport.hpp"
#include "lichen/driver/virtio/test_device.hpp"

namespace lichen::driver::virtio::test {
namespace {

constexpr Features usual = Features{1} << 5 | Features{1} << 15 | feature::event_index;

struct PciTest : testing::Test {
  NetModel device{usual};
  PciModel function{device, 3};
  // Somewhere in one of the capabilities.
  std::uint8_t& byte(std::size_t capability, std::size_t offset) {
    return function.bytes[PciModel::capabilities[capability] + offset];
  }
  Result<void> look() {
    const auto made = PciTransport::create(function);
    if (!made) return made.error();
    return {};
  }
};

TEST_F(PciTest, FindsTheStructures) {  // 4.1.4
  PciTransport transport = *PciTransport::create(function);
  EXPECT_EQ(transport.kind(), DeviceKind::net);
  EXPECT_EQ(transport.vectors(), 3);
  EXPECT_EQ(transport.offered(), usual | feature::version_1);
  EXPECT_EQ(transport.config8(0), 0x52);
  EXPECT_EQ(transport.config16(10), 1500);
  EXPECT_EQ(transport.config8(64), 0);  // behind the end
  EXPECT_EQ(transport.config16(63), 0);
  EXPECT_EQ(transport.config32(~std::size_t{0} - 8), 0U);
  EXPECT_EQ(transport.queue_limit(0), 64);
  EXPECT_EQ(transport.queue_limit(3), 0);
  EXPECT_EQ(transport.queue_limit(0xFFFF), 0);
  EXPECT_TRUE(transport.enable_queue(7, {.size = 1}).failed_with(Error::not_found));
}

TEST_F(PciTest, KnowsTransitionalDevices) {  // 4.1.2.1
  function.bytes[2] = 0x00;
  function.bytes[3] = 0x10;
  function.bytes[0x2E] = 1;
  EXPECT_EQ(PciTransport::create(function)->kind(), DeviceKind::net);
  function.bytes[0x34] = 0;  // legacy only
  EXPECT_TRUE(look().failed_with(Error::not_supported));
  function.bytes[3] = 0x20;
  EXPECT_TRUE(look().failed_with(Error::not_found));
  function.bytes[0] = 0;
  EXPECT_TRUE(look().failed_with(Error::not_found));
}

TEST_F(PciTest, BelievesNoCapability) {  // 4.1.4: each field of each structure that is needed
  const auto refuses = [&](std::size_t capability, std::size_t offset, std::uint8_t value) {
    const std::uint8_t before = std::exchange(byte(capability, offset), value);
    EXPECT_TRUE(look().failed_with(Error::not_supported)) << capability << ' ' << offset;
    byte(capability, offset) = before;
  };
  for (const std::size_t needed : {0U, 1U, 2U}) {
    refuses(needed, 0, 0x05);   // of another kind
    refuses(needed, 2, 8);      // too short
    refuses(needed, 2, 0xFF);   // beyond the configuration space
    refuses(needed, 3, 9);      // unknown
    refuses(needed, 4, 6);      // no BAR
    refuses(needed, 4, 0);      // none there
    refuses(needed, 11, 0xFF);  // beyond the BAR
    refuses(needed, 15, 0xFF);
  }
  refuses(0, 13, 0);  // of no length
  refuses(0, 8, 2);   // not aligned
  refuses(1, 2, 16);  // without a multiplier
  refuses(1, 16, 3);  // no power of two
  EXPECT_TRUE(look());
  byte(3, 1) = PciModel::capabilities[0];  // a list without an end
  EXPECT_TRUE(look());
  byte(3, 3) = 9;  // without a configuration
  EXPECT_EQ(PciTransport::create(function)->config8(0), 0);
  function.bytes[0x34] = 0x10;  // inside the header
  EXPECT_TRUE(look().failed_with(Error::not_supported));
}

TEST_F(PciTest, SurvivesAnyConfigurationSpace) {
  Random random{1};
  for (int i = 0; i < 20'000; ++i) {
    PciModel other{device, 3};
    for (auto n = 1 + random.below(6); n > 0; --n)
      other.bytes[0x34 + random.below(256 - 0x34)] = static_cast<std::uint8_t>(random());
    const auto made = PciTransport::create(other);
    if (!made) EXPECT_TRUE(made.failed_with(Error::not_supported));
  }
}

Task<Result<void>> echoes(NetModel& device, NetCard& card) {
  Scope scope;
  unsigned echoed = 0;
  scope.spawn([](NetCard& on, unsigned& count) -> Task<Result<void>> {
    for (;;) {
      std::array<io::ReceivedFrame, 1> frames;
      CO_TRY(co_await on.receive(frames));
      const std::array<std::span<const std::byte>, 1> pieces{frames[0].bytes.bytes()};
      const std::array<io::OutgoingFrame, 1> back{io::OutgoingFrame{pieces, {}}};
      EXPECT_EQ(CO_TRY(co_await on.send(back)), 1U);
      ++count;
    }
  }(card, echoed));
  for (unsigned i = 0; i < 1'000; ++i) {
    // The last ones are longer than what is copied.
    const std::vector<std::byte> bytes(60 + i * 3, static_cast<std::byte>(i));
    EXPECT_TRUE(device.receive({{}, bytes}));
    device.flush();
    for (unsigned turn = 0; turn < 100 && echoed == i; ++turn) {
      for (const Vector vector : std::exchange(device.raised, {})) card.interrupted(vector);
      card.deliver();
      co_await yield();
      device.transmit();
    }
    EXPECT_EQ(device.sent.size(), i + 1);
    if (device.sent.size() > i) EXPECT_EQ(device.sent[i].bytes, bytes);
  }
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}

TEST_F(PciTest, CarriesFramesWithAVectorForEachQueue) {  // 4.1.5.1.2
  for (const unsigned vectors : {3U, 1U}) {
    NetModel card_device{usual | feature::packed_ring};
    PciModel card_function{card_device, vectors};
    coro::test::TestLoop loop;
    TestMemory memory;
    PciTransport transport = *PciTransport::create(card_function);
    std::unique_ptr<NetCard> card = *loop.run(NetCard::open(transport, memory)).value();
    EXPECT_EQ(card_device.config_vector, 0);
    EXPECT_EQ(card_device.queues[0].vector, vectors == 3 ? 1 : 0);
    EXPECT_EQ(card_device.queues[1].vector, vectors == 3 ? 2 : 0);
    EXPECT_TRUE(loop.run(echoes(card_device, *card)).value());
    card.reset();
  }
}

TEST_F(PciTest, NoticesAVectorThatIsRefused) {  // 4.1.5.1.2.1
  device.vectors = 1;
  coro::test::TestLoop loop;
  TestMemory memory;
  PciTransport transport = *PciTransport::create(function);
  EXPECT_TRUE(loop.run(NetCard::open(transport, memory))->failed_with(Error::limit_reached));
}

}  // namespace
}  // namespace lichen::driver::virtio::test

// An entropy device (virtio 1.2, 5.4).
#include "lichen/driver/virtio/entropy.hpp"

#include <algorithm>
#include <array>

#include "lichen/coro/coro_test.hpp"
#include "lichen/driver/virtio/mmio_transport.hpp"
#include "lichen/driver/virtio/test_device.hpp"

namespace lichen::driver::virtio::test {
namespace {

struct World {
  ~World() { entropy.reset(); }
  Result<void> open() {
    auto opened = *loop.run(Entropy::open(transport, memory));
    if (!opened) return opened.error();
    entropy = *std::move(opened);
    return {};
  }
  // Gives so many bytes of 1, 2, 3, ...
  void give(std::uint32_t size) {
    const Popped popped = device.queues[0].ring->pop().value();
    EXPECT_TRUE(popped.read.empty());  // 5.4.6.1
    for (std::size_t i = 0; i < std::min<std::size_t>(size, popped.write[0].size()); ++i)
      popped.write[0][i] = static_cast<std::byte>(++given);
    device.queues[0].ring->use(std::array{Done{popped, size}});
    device.interrupt_for(device.queues[0]);
    interrupt();
  }
  void interrupt() {
    entropy->interrupted_by_line();
    entropy->deliver();
  }

  coro::test::TestLoop loop;
  TestMemory memory;
  DeviceModel device{DeviceKind::entropy, 1, feature::event_index};
  MmioRegisters registers{device};
  MmioTransport transport = *MmioTransport::create(registers);
  std::unique_ptr<Entropy> entropy;
  unsigned given = 0;
};

Task<> settle() {
  for (int i = 0; i < 4; ++i) co_await yield();
}

Task<Result<void>> fills(World& world) {
  std::array<std::byte, 200> bytes{};
  Scope scope{OnError::keep_going};
  scope.spawn(world.entropy->fill(bytes));
  for (const std::uint32_t size : {16U, 100U, 1024U}) {  // fewer than asked for, or more
    CO_TRY(co_await settle());
    EXPECT_EQ(scope.active(), 1U);
    EXPECT_TRUE((co_await world.entropy->fill(bytes)).failed_with(Error::busy));
    world.give(size);
  }
  CO_TRY(co_await scope.join());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    EXPECT_EQ(bytes[i], static_cast<std::byte>(i + 1)) << i;

  // Who is stopped leaves the question open, and the next one gets the answer.
  scope.spawn(world.entropy->fill(bytes));
  CO_TRY(co_await settle());
  scope.request_stop();
  EXPECT_TRUE((co_await scope.join()).failed_with(Error::stopped));
  Scope again{OnError::keep_going};
  again.spawn(world.entropy->fill(bytes));
  CO_TRY(co_await settle());
  world.give(200);
  co_return co_await again.join();
}
TEST(Entropy, FillsInPieces) {
  World world;
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(fills(world)).value());
}

Task<Result<void>> fails(World& world, std::uint32_t says) {
  std::array<std::byte, 200> bytes{};
  Scope scope{OnError::keep_going};
  scope.spawn(world.entropy->fill(bytes));
  CO_TRY(co_await settle());
  if (says == 1) {
    world.device.break_down();
    world.interrupt();
  } else {
    world.give(says);
  }
  co_return co_await scope.join();
}
TEST(Entropy, GivesUpADeviceThatLies) {  // 5.4.6.2: at least one byte; 2.1.2
  for (const std::uint32_t says : {0U, 1U, 1025U}) {
    World world;
    ASSERT_TRUE(world.open());
    EXPECT_TRUE(world.loop.run(fails(world, says))->failed_with(Error::io_failed));
    EXPECT_EQ(world.device.status, 0);
    std::array<std::byte, 1> bytes;
    EXPECT_TRUE(world.loop.run(world.entropy->fill(bytes))->failed_with(Error::io_failed));
  }
}

TEST(Entropy, IsNoNetworkCard) {
  World world;
  world.device.kind = DeviceKind::net;
  EXPECT_TRUE(world.open().failed_with(Error::not_supported));
}

}  // namespace
}  // namespace lichen::driver::virtio::test

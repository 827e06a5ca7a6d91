// A network card of the tests' own, brought up, and what is done with it.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/coro/coro_test.hpp"
#include "lichen/driver/virtio/mmio_transport.hpp"
#include "lichen/driver/virtio/net.hpp"
#include "lichen/driver/virtio/test_device.hpp"

namespace lichen::driver::virtio::test {

using Content = std::vector<std::byte>;

inline constexpr Features every_offload = 0x1983;  // both checksums, TSO for both IPs, both ways
inline constexpr Features merge = Features{1} << 15;
inline constexpr Features address_bit = Features{1} << 5;
inline constexpr Features mtu_bit = Features{1} << 3;
inline constexpr Features usual =
    every_offload | merge | address_bit | feature::event_index | feature::indirect_descriptors;

// A frame that is known by its number.
inline Content frame_of(unsigned number, std::size_t size) {
  Content bytes(size);
  Random random{number};
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

struct World {
  explicit World(Features features, std::uint16_t queue_size = 64, std::size_t pairs = 1)
      : device{features, pairs} {
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

inline Task<> settle(int turns = 50) {
  for (int i = 0; i < turns; ++i) co_await yield();
}

inline Task<Result<std::size_t>> send(NetCard& card, std::span<const std::byte> bytes,
                                      io::FrameWork work = {}) {
  const std::array<std::span<const std::byte>, 2> pieces{bytes.first(bytes.size() / 2),
                                                         bytes.subspan(bytes.size() / 2)};
  const std::array<io::OutgoingFrame, 1> frames{io::OutgoingFrame{pieces, work}};
  co_return co_await card.send(frames);
}

inline Task<Result<void>> receive_all(NetCard& card, std::vector<io::ReceivedFrame>& into) {
  for (;;) {
    std::array<io::ReceivedFrame, 4> frames;
    const std::size_t count = CO_TRY(co_await card.receive(frames));
    for (io::ReceivedFrame& frame : std::span{frames}.first(count))
      into.push_back(std::move(frame));
  }
}

inline bool same(const io::ReceivedFrame& frame, const Content& bytes) {
  return std::ranges::equal(frame.bytes.bytes(), bytes);
}

// With split and with packed rings.
class NetTest : public testing::TestWithParam<Features> {
 protected:
  void TearDown() override { EXPECT_EQ(coro::test::frames_alive, 0U); }
};

}  // namespace lichen::driver::virtio::test

// A virtio console (virtio 1.2, 5.3): one port, several ports, and devices that lie.
#include "lichen/driver/virtio/console.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/coro/coro_test.hpp"
#include "lichen/driver/virtio/mmio_transport.hpp"
#include "lichen/driver/virtio/test_device.hpp"

namespace lichen::driver::virtio::test {
namespace {

constexpr Features sized = 1 << 0;
constexpr Features several = 1 << 1;

// Event and value of each message; see 5.3.6.2.
using Message = std::tuple<std::uint32_t, std::uint16_t, std::uint16_t>;

class ConsoleModel final : public DeviceModel {
 public:
  ConsoleModel(Features features, std::uint32_t ports)
      : DeviceModel{DeviceKind::console, ports == 1 ? 2U : 2U * ports + 2U, features} {
    const std::array<std::uint16_t, 4> fields{80, 25, static_cast<std::uint16_t>(ports), 0};
    std::memcpy(config.data(), fields.data(), sizeof fields);
  }
  static std::size_t receive_queue(unsigned port) { return port == 0 ? 0 : 2 * port + 2; }

  // False, and lost, if there is no buffer.
  bool put(std::size_t queue, std::string_view bytes) {
    std::optional<Popped> buffer = queues[queue].ring->pop();
    if (!buffer) return false;
    EXPECT_TRUE(buffer->read.empty());
    EXPECT_LE(bytes.size(), buffer->write[0].size());
    if (!bytes.empty()) std::memcpy(buffer->write[0].data(), bytes.data(), bytes.size());
    const auto written = static_cast<std::uint32_t>(bytes.size());
    queues[queue].ring->use(std::array{Done{*std::move(buffer), written}});
    interrupt_for(queues[queue]);
    return true;
  }
  // What of it was sent; at most so many buffers.
  std::string take(std::size_t queue, unsigned most = ~0U) {
    std::string all;
    for (; most != 0; --most) {
      std::optional<Popped> buffer = queues[queue].ring->pop();
      if (!buffer) break;
      EXPECT_TRUE(buffer->write.empty());
      for (const Bytes part : buffer->read)
        all.append(reinterpret_cast<const char*>(part.data()), part.size());
      queues[queue].ring->use(std::array{Done{*std::move(buffer), 0}});
      interrupt_for(queues[queue]);
    }
    return all;
  }
  bool type(std::string_view text, unsigned port = 0) { return put(receive_queue(port), text); }
  std::string said(unsigned port = 0, unsigned most = ~0U) {
    return take(receive_queue(port) + 1, most);
  }
  bool tell(std::uint32_t port, std::uint16_t event, std::uint16_t value,
            std::string_view rest = {}) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &port, 4);
    std::memcpy(bytes.data() + 4, &event, 2);
    std::memcpy(bytes.data() + 6, &value, 2);
    return put(2, bytes.append(rest));
  }
  std::vector<Message> told() {
    const std::string all = take(3);
    EXPECT_EQ(all.size() % 8, 0U);
    std::vector<Message> messages;
    for (std::size_t at = 0; at + 8 <= all.size(); at += 8) {
      auto& [port, event, value] = messages.emplace_back();
      std::memcpy(&port, &all[at], 4);
      std::memcpy(&event, &all[at + 4], 2);
      std::memcpy(&value, &all[at + 6], 2);
    }
    return messages;
  }
};

struct World {
  explicit World(Features features, std::uint32_t ports = 1) : device{features, ports} {}
  ~World() { console.reset(); }
  Result<void> open(ConsoleOptions options = {}) {
    auto opened = *loop.run(ConsoleDevice::open(transport, memory, options));
    if (!opened) return opened.error();
    console = *std::move(opened);
    return {};
  }
  void interrupt() {
    if (device.line == 0) return;
    console->interrupted_by_line();
    console->deliver();
  }

  coro::test::TestLoop loop;
  TestMemory memory;
  ConsoleModel device;
  MmioRegisters registers{device};
  MmioTransport transport = *MmioTransport::create(registers);
  std::unique_ptr<ConsoleDevice> console;
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span{text});
}

Task<Result<std::string>> read(ConsolePort& port, std::size_t size = 4096) {
  std::string room(size, '\0');
  room.resize(CO_TRY(co_await port.read(std::as_writable_bytes(std::span{room}))));
  co_return room;
}

class ConsoleTest : public testing::TestWithParam<Features> {
 protected:
  void TearDown() override { EXPECT_EQ(coro::test::frames_alive, 0U); }
};
INSTANTIATE_TEST_SUITE_P(Rings, ConsoleTest,
                         testing::Values(feature::event_index,
                                         feature::event_index | feature::packed_ring));

Task<Result<void>> keep(Task<Result<std::string>> reading, std::string& into) {
  into = CO_TRY(co_await std::move(reading));
  co_return Result<void>{};
}

Task<Result<void>> reads(World& world) {
  ConsolePort& port = *world.console->port(0);
  Scope scope{OnError::keep_going};
  std::string got;
  scope.spawn(keep(read(port), got));
  CO_TRY(co_await coro::test::settle());
  EXPECT_EQ(scope.active(), 1U);
  EXPECT_TRUE((co_await read(port)).failed_with(Error::busy));
  EXPECT_TRUE(world.device.type("hello"));
  world.interrupt();
  CO_TRY(co_await scope.join());
  EXPECT_EQ(got, "hello");

  // Who is stopped takes nothing with him.
  EXPECT_TRUE(
      (co_await coro::test::stop_while_waiting(keep(read(port), got))).failed_with(Error::stopped));
  // More than fits at a time, and what there is in small pieces; buffers go back.
  for (unsigned round = 0; round < 20; ++round) {
    EXPECT_TRUE(world.device.type(std::string(1024, static_cast<char>('a' + round))));
    EXPECT_EQ(CO_TRY(co_await read(port, 1000)).size(), 1000U);
    EXPECT_EQ(CO_TRY(co_await read(port)), std::string(24, static_cast<char>('a' + round)));
  }
  EXPECT_TRUE(world.device.type("lent"));
  const io::Buffer lent = CO_TRY(co_await port.receive());
  EXPECT_EQ(lent.size(), 4U);
  unsigned buffers = 0;
  while (world.device.type("x")) ++buffers;
  EXPECT_EQ(buffers, 4U);
  co_return Result<void>{};
}
TEST_P(ConsoleTest, Reads) {
  World world{GetParam() | sized};
  ASSERT_TRUE(world.open());
  EXPECT_FALSE(world.console->has_several());
  EXPECT_TRUE(world.loop.run(reads(world)).value());
  EXPECT_EQ(world.console->port(0)->size().columns, 80);
  EXPECT_EQ(world.console->port(0)->size().rows, 25);
  EXPECT_EQ(world.console->port(1), nullptr);
  world.device.config[0] = std::byte{132};
  world.device.change_config();
  world.interrupt();
  EXPECT_EQ(world.console->port(0)->size().columns, 132);
}

Task<Result<void>> writes(World& world) {
  ConsolePort& port = *world.console->port(0);
  std::string text;
  while (text.size() < 10'000) text += std::to_string(text.size()) + ' ';
  EXPECT_EQ(CO_TRY(co_await port.write(bytes_of("one"))), 3U);
  EXPECT_EQ(world.device.said(), "one");
  Scope scope{OnError::keep_going};
  scope.spawn(port.write_all(bytes_of(text)));
  CO_TRY(co_await coro::test::settle());
  EXPECT_EQ(scope.active(), 1U) << "the device has not taken it yet";
  EXPECT_TRUE((co_await port.write(bytes_of("no"))).failed_with(Error::busy));
  std::string said;
  for (unsigned turn = 0; turn < 100 && said.size() < text.size(); ++turn) {
    said += world.device.said(0, 1 + turn % 3);
    world.interrupt();
    CO_TRY(co_await coro::test::settle());
  }
  CO_TRY(co_await scope.join());
  EXPECT_EQ(said, text);
  co_return Result<void>{};
}
TEST_P(ConsoleTest, Writes) {
  World world{GetParam()};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.loop.run(writes(world)).value());
}

Task<Result<void>> writes_between(World& world) {
  ConsolePort& port = *world.console->port(0);
  Scope scope{OnError::keep_going};
  const std::string text(5'000, 'x');
  scope.spawn(port.write_all(bytes_of(text)));
  CO_TRY(co_await coro::test::settle());
  EXPECT_EQ(port.write_now("lost"), 0U) << "all buffers are with the device";
  EXPECT_EQ(port.write_now("lost"), 0U);
  std::string said = world.device.said(0, 1);
  EXPECT_EQ(port.write_now("now"), 3U);
  for (unsigned turn = 0; turn < 100 && scope.active() != 0; ++turn) {
    said += world.device.said();
    world.interrupt();
    CO_TRY(co_await coro::test::settle());
  }
  CO_TRY(co_await scope.join());
  said += world.device.said();
  EXPECT_EQ(said.size(), text.size() + 3);
  EXPECT_NE(said.find("now"), std::string::npos);
  port.flush_now();
  co_return Result<void>{};
}
TEST_P(ConsoleTest, WritesAtOnceWhileOthersWait) {
  World world{GetParam()};
  ASSERT_TRUE(world.open({.patience_ns = 1'000'000}));
  EXPECT_TRUE(world.loop.run(writes_between(world)).value());
  EXPECT_EQ(world.console->port(0)->write_now(std::string(3'000, 'y')), 3'000U);
  EXPECT_EQ(world.device.said().size(), 3'000U);
}

Task<Result<void>> finds(World& world) {
  ConsoleModel& device = world.device;
  ConsoleDevice& console = *world.console;
  EXPECT_EQ(console.port(0), nullptr);
  EXPECT_EQ(device.told(), (std::vector{Message{0, 0, 1}}));
  EXPECT_TRUE(device.tell(0, 1, 1) && device.tell(2, 1, 1) && device.tell(3, 1, 1));
  world.interrupt();
  EXPECT_EQ(device.told(), (std::vector{Message{0, 3, 1}, Message{2, 3, 1}, Message{3, 3, 1}}));
  EXPECT_TRUE(device.tell(0, 4, 1) && device.tell(0, 6, 1) && device.tell(3, 7, 1, "others"));
  world.interrupt();
  EXPECT_EQ(device.told(), (std::vector{Message{0, 6, 1}}));
  EXPECT_TRUE(console.port(0)->is_console());
  EXPECT_EQ(CO_TRY(co_await console.port(0)->write(bytes_of("here"))), 4U);
  EXPECT_EQ(device.said(0), "here");

  // A name comes later, and somebody at the other end later still.
  Scope scope{OnError::keep_going};
  ConsolePort* port = nullptr;
  scope.spawn([](ConsoleDevice& in, ConsolePort*& found) -> Task<Result<void>> {
    found = CO_TRY(co_await in.find("org.example.port"));
    co_return Result<void>{};
  }(console, port));
  CO_TRY(co_await coro::test::settle());
  EXPECT_TRUE(device.tell(2, 7, 1, "org.example.port"));
  world.interrupt();
  CO_TRY(co_await scope.join());
  EXPECT_EQ(port, console.port(2));
  if (!port) co_return Error::not_found;
  EXPECT_EQ(device.told(), (std::vector{Message{2, 6, 1}}));
  EXPECT_TRUE((co_await port->write(bytes_of("?"))).failed_with(Error::closed));
  EXPECT_EQ(CO_TRY(co_await read(*port)), "");
  scope.spawn(port->opened());
  CO_TRY(co_await coro::test::settle());
  EXPECT_EQ(scope.active(), 1U);
  EXPECT_TRUE(device.tell(2, 6, 1) && device.tell(2, 5, 0, {"\x50\0\x18\0", 4}));
  world.interrupt();
  CO_TRY(co_await scope.join());
  EXPECT_EQ(port->size().columns, 80);
  EXPECT_EQ(port->size().rows, 24);

  // What was typed before the other end was closed is read, and then that it is.
  EXPECT_TRUE(device.type("typed", 2) && device.tell(2, 6, 0));
  world.interrupt();
  EXPECT_EQ(CO_TRY(co_await read(*port)), "typed");
  EXPECT_EQ(CO_TRY(co_await read(*port)), "");

  // It goes, and comes again under another name.
  EXPECT_TRUE(device.tell(2, 2, 1));
  world.interrupt();
  EXPECT_EQ(console.port(2), nullptr);
  EXPECT_TRUE((co_await port->write(bytes_of("?"))).failed_with(Error::closed));
  EXPECT_TRUE(device.tell(2, 1, 1) && device.tell(2, 7, 1, {"again\0", 6}) && device.tell(2, 6, 1));
  world.interrupt();
  EXPECT_EQ(device.told(), (std::vector{Message{2, 3, 1}}));
  EXPECT_EQ(port->name(), "again");
  EXPECT_EQ(CO_TRY(co_await port->write(bytes_of("two"))), 3U);
  EXPECT_EQ(device.said(2), "two");
  EXPECT_EQ(console.bad_messages(), 0U);
  co_return Result<void>{};
}
TEST_P(ConsoleTest, FindsPortsByTheirNames) {
  World world{GetParam() | several, 5};
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.console->has_several());
  EXPECT_TRUE(world.loop.run(finds(world)).value());
}

TEST_P(ConsoleTest, TellsAllEvenIfTheDeviceIsSlow) {
  World world{GetParam() | several, 8};
  ASSERT_TRUE(world.open({.ports = 7}));
  // More is owed than fits into the ring.
  for (unsigned round = 0; round < 4; ++round)
    for (std::uint32_t port = 0; port < 7; ++port) {
      EXPECT_TRUE(world.device.tell(port, 1, 1));
      EXPECT_TRUE(world.device.tell(port, 4, 1));
      world.interrupt();
    }
  std::vector<Message> told;
  for (int turn = 0; turn < 5; ++turn) {
    const auto some = world.device.told();
    told.insert(told.end(), some.begin(), some.end());
    world.interrupt();
  }
  for (std::uint32_t port = 0; port < 7; ++port) {
    EXPECT_GT(std::ranges::count(told, Message{port, 3, 1}), 0);
    EXPECT_GT(std::ranges::count(told, Message{port, 6, 1}), 0);
  }
  // What it does not use is left alone, or refused.
  EXPECT_TRUE(world.device.tell(7, 1, 1));
  world.interrupt();
  EXPECT_TRUE(world.device.told().empty());
}

TEST_P(ConsoleTest, SurvivesAnyMessage) {
  World world{GetParam() | several, 4};
  ASSERT_TRUE(world.open());
  Random random{1};
  for (int i = 0; i < 5'000; ++i) {
    std::string message(1 + random.below(20), '\0');
    for (char& one : message) one = static_cast<char>(random.below(8));
    if (message.size() > 4) message[1] = message[2] = message[3] = 0;
    EXPECT_TRUE(world.device.put(2, message));
    world.interrupt();
    if (i % 7 == 0) world.device.told();
  }
  EXPECT_GT(world.console->bad_messages(), 0U);
}

Task<Result<void>> fails(World& world, void (*lie)(World&)) {
  ConsolePort& port = *world.console->port(0);
  Scope scope{OnError::keep_going};
  std::string got;
  scope.spawn(keep(read(port), got));
  CO_TRY(co_await coro::test::settle());
  lie(world);
  world.interrupt();
  const Result<void> ended = co_await scope.join();
  EXPECT_TRUE((co_await port.write(bytes_of("x"))).failed_with(Error::io_failed));
  EXPECT_TRUE((co_await port.opened()).failed_with(Error::io_failed));
  EXPECT_EQ(port.write_now("x"), 0U);
  co_return ended;
}
TEST_P(ConsoleTest, GivesUpADeviceThatLies) {
  constexpr std::array<void (*)(World&), 3> lies{
      [](World& world) { world.device.break_down(); },
      [](World& world) { world.device.put(0, {}); },
      [](World& world) {
        world.device.queues[0].ring->forge(77, 1);
        world.device.interrupt_for(world.device.queues[0]);
        world.device.line |= 1;
      }};
  for (const auto lie : lies) {
    World world{GetParam()};
    ASSERT_TRUE(world.open());
    EXPECT_TRUE(world.loop.run(fails(world, lie))->failed_with(Error::io_failed));
    EXPECT_EQ(world.device.status, 0);
  }
}

TEST(Console, IsWhatItSays) {
  World world{several, 3};
  EXPECT_TRUE(world.open({.ports = 0}).failed_with(Error::invalid_argument));
  EXPECT_TRUE(world.open({.ports = 8}).failed_with(Error::invalid_argument));
  // Fewer queues than it says to have ports for.
  world.device.queues.resize(6);
  EXPECT_TRUE(world.open());
  world.console.reset();
  world.device.config[4] = {};  // it has none, and a size
  world.device.offered |= sized;
  EXPECT_TRUE(world.open().failed_with(Error::not_supported));
  world.device.kind = DeviceKind::net;
  EXPECT_TRUE(world.open().failed_with(Error::not_supported));
}

}  // namespace
}  // namespace lichen::driver::virtio::test

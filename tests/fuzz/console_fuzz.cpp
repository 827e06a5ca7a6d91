// A console, or several ports with names, whose device does what the input says. Whatever it does:
// who reads gets no more than there is room for and than came, who waits can be stopped and hears
// of a device that failed, and nothing is told to a device that does not listen.
#include <memory>
#include <vector>

#include "lichen/coro/sleep.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/driver/virtio/console.hpp"
#include "tests/fuzz/drive.hpp"
#include "tests/fuzz/hostile_device.hpp"

using namespace lichen;
using namespace lichen::fuzz;
using namespace std::chrono_literals;

namespace {

constexpr unsigned most_ports = 3;
constexpr std::size_t buffer_size = 48;
// 5.3.3.
constexpr Features console_size = 1;
constexpr Features several_ports = 2;

struct World {
  explicit World(std::span<const std::uint8_t> bytes) : input{bytes} {}
  Choices input;
  LentMemory memory;
  HostileDevice device{DeviceKind::console, 2 * most_ports + 2, memory};
  std::unique_ptr<ConsoleDevice> console;
  unsigned tasks = 0;
};

ConsoleOptions describe(World& world) {
  Choices& in = world.input;
  HostileDevice& device = world.device;
  const unsigned forms = in.byte();
  device.offers = feature::version_1 | (forms & (console_size | several_ports));
  if ((forms & 4) != 0) device.offers |= feature::packed_ring;
  if ((forms & 8) != 0) device.offers |= feature::event_index;
  if ((forms & 16) != 0) device.offers |= feature::indirect_descriptors;
  device.vector_count = forms >> 7;
  const unsigned sizes = in.byte();
  for (HostileDevice::Queue& queue : device.queues)
    queue.limit = static_cast<std::uint16_t>(1U << sizes % 7);
  device.config[0] = std::byte{80};
  device.config[2] = std::byte{25};
  device.config[4] = std::byte{in.byte()};  // ports
  return {.several_ports = true, .ports = most_ports, .buffer_size = buffer_size};
}

ConsolePort* some_port(World& world, unsigned number) {
  ConsolePort* const port = world.console->port(number % (most_ports + 1));
  if (port) CHECK(port->name().size() <= ConsolePort::longest_name);
  return port;
}

Task<> read(World& world, ConsolePort& port, bool buffers) {
  ++world.tasks;
  if (buffers) {
    const auto got = co_await port.receive();
    if (got) CHECK(got->size() <= buffer_size);
  } else {
    std::array<std::byte, 20> into;
    const auto got = co_await port.read(into);
    CHECK(!got || *got <= into.size());
  }
  --world.tasks;
}
Task<> write(World& world, ConsolePort& port, std::size_t size) {
  ++world.tasks;
  const std::vector<std::byte> bytes(size);
  const auto put = co_await port.write(bytes);
  CHECK(!put || *put <= size);
  --world.tasks;
}
Task<> wait_for(World& world, ConsolePort& port) {
  ++world.tasks;
  (co_await port.opened()).ignore();
  --world.tasks;
}
Task<> find(World& world) {
  ++world.tasks;
  if (const auto port = co_await world.console->find("a")) CHECK((*port)->name() == "a");
  --world.tasks;
}

void events(World& world) {
  HostileDevice& device = world.device;
  if (device.vector_count == 0) {
    if (device.cause.queues || device.cause.configuration) world.console->interrupted_by_line();
  } else {
    const InterruptCause cause = std::exchange(device.cause, {});
    if (cause.configuration || cause.queues) world.console->interrupted();
  }
  world.console->deliver();
}

// Hands a buffer back with what the input says; of messages the first bytes are near the mark.
void answer(World& world, HostileDevice::Queue& queue, bool message) {
  Choices& in = world.input;
  if (queue.held.empty()) return;
  const std::size_t which = in.byte() % queue.held.size();
  const std::uint32_t room = queue.held[which].room();
  std::array<std::uint8_t, 12> bytes{};
  bytes[0] = in.byte();
  if (message) {
    bytes = {static_cast<std::uint8_t>(bytes[0] % 5), 0, 0, 0,
             static_cast<std::uint8_t>(bytes[0] / 5 % 9)};
    bytes[6] = in.byte();
    bytes[8] = static_cast<std::uint8_t>('a' + (bytes[6] & 2));
  }
  std::size_t at = 0;
  world.device.fill(queue.held[which], [&] {
    return at < bytes.size() ? static_cast<std::byte>(bytes[at++]) : std::byte{};
  });
  const std::uint32_t size = in.byte();
  world.device.use(queue, which,
                   size < 200 ? std::min(room, message ? 9U + size % 4 : size) : size);
}

Task<> step(World& world, Scope& tasks) {
  Choices& in = world.input;
  HostileDevice& device = world.device;
  device.look();
  const unsigned choice = in.byte();
  HostileDevice::Queue& queue = device.queues[choice / 16 % device.queues.size()];
  ConsolePort* const port = some_port(world, choice / 16);
  switch (choice % 16) {
    case 0:
    case 1:
      if (port && world.tasks < 12) tasks.spawn(read(world, *port, choice % 2 == 0));
      break;
    case 2:
      if (port && world.tasks < 12) tasks.spawn(write(world, *port, 1U + in.below(120)));
      break;
    case 3:
      if (port && world.tasks < 12) tasks.spawn(wait_for(world, *port));
      break;
    case 4:
      if (world.tasks < 12) tasks.spawn(find(world));
      break;
    case 5:
    case 6:
    case 7: answer(world, device.queues[2], true); break;
    case 8:
    case 9: answer(world, queue, false); break;
    case 10: device.forge(queue, in.byte(), in.byte()); break;
    case 11: {
      const std::uint16_t place = in.word();
      device.scribble(queue, place, in.byte());
      break;
    }
    case 12: device.make_trouble(in.byte()); break;
    case 13: (co_await sleep_for(std::chrono::milliseconds{in.byte()})).ignore(); break;
    case 14: coro::test::frames_until_failure = in.below(4); break;
    default: break;
  }
  events(world);
  co_await yield();
  coro::test::frames_until_failure = ~std::size_t{0};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coro::test::virtual_now_ns = 1'000'000;
  {
    World world{{data, size}};
    coro::test::TestLoop loop;
    const ConsoleOptions options = describe(world);
    auto opened = loop.run(ConsoleDevice::open(world.device, world.memory, options));
    CHECK(opened);
    if (*opened) {
      world.console = std::move(**opened);
      CHECK(loop.run(drive(world, &step)));
    }
    world.device.resets_late = 0;
    world.device.gone = false;
    world.console.reset();
    CHECK(world.memory.all_freed());
  }
  CHECK(coro::test::frames_alive == 0);
  return 0;
}

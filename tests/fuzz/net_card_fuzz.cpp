// A network card whose device does what the input says, and at last works again. Whatever it does:
// what is received is whole, plausible and nobody else's, bytes that are sent go back only when the
// device has let go of them, and a card that came back carries frames both ways.
#include <memory>
#include <vector>

#include "lichen/coro/sleep.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/driver/virtio/net.hpp"
#include "tests/fuzz/hostile_device.hpp"

using namespace lichen;
using namespace lichen::fuzz;
using namespace std::chrono_literals;

namespace {

constexpr Features known_features =
    net_feature::checksum | net_feature::guest_checksum | net_feature::mtu | net_feature::address |
    net_feature::guest_tcp4 | net_feature::guest_tcp6 | net_feature::host_tcp4 |
    net_feature::host_tcp6 | net_feature::merge_buffers | net_feature::status |
    net_feature::control | net_feature::receive_mode | net_feature::announce |
    net_feature::set_address | net_feature::coalescing;
constexpr std::size_t known_size = 90;  // of the frame that shows that the card works

struct World {
  explicit World(std::span<const std::uint8_t> bytes) : input{bytes} {}

  Choices input;
  LentMemory memory;
  HostileDevice device{DeviceKind::net, 3, memory};
  std::unique_ptr<NetCard> card;
  std::vector<io::ReceivedFrame> frames;
  unsigned tasks = 0;  // that send or command
  unsigned received = 0;
  bool closing = false;
};

NetOptions describe(World& world) {
  Choices& in = world.input;
  HostileDevice& device = world.device;
  const std::uint32_t features = in.number();
  device.offers = feature::version_1 | net_feature::address | (features & known_features);
  const unsigned forms = in.byte();
  if ((forms & 1) != 0) device.offers |= feature::packed_ring;
  if ((forms & 2) != 0) device.offers |= feature::event_index;
  if ((forms & 4) != 0) device.offers |= feature::indirect_descriptors;
  if ((forms & 8) != 0) device.offers |= net_feature::coalescing;
  device.vector_count = forms >> 6;
  for (HostileDevice::Queue& queue : device.queues)
    queue.limit = static_cast<std::uint16_t>(1U << in.below(6));
  const std::uint16_t mtu = in.below(4) == 0 ? in.word() : std::uint16_t{1'500};
  std::memcpy(device.config.data() + net_field::mtu, &mtu, 2);
  device.config[net_field::status] = std::byte{1};
  const unsigned sizes = in.byte();
  return {.queue_size = static_cast<std::uint16_t>(2U << (sizes & 3)),
          .receive_buffers = 4 + (sizes >> 2 & 7),
          .buffer_size = (sizes & 32) != 0 ? 2'048U : 128U,
          .assembled_frames = 2,
          .send_frames = 4,
          .received = {.frames = (sizes & 64) != 0 ? 4U : 0U, .microseconds = 0}};
}

void check(World& world, const io::ReceivedFrame& frame) {
  const std::span<const std::byte> bytes = frame.bytes.bytes();
  CHECK(!bytes.empty() && bytes.size() <= io::largest_frame);
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  CHECK(sum <= 255 * bytes.size());
  const io::FrameWork& work = frame.work;
  CHECK(!work.needs_checksum ||
        std::size_t{work.checksum_start} + work.checksum_offset + 2 <= bytes.size());
  CHECK(work.header_size <= bytes.size());
  CHECK(work.segmentation == io::Segmentation::none ||
        (work.needs_checksum && work.segment_size != 0));
  world.device.check_given_back(bytes);
}

Task<> receive(World& world) {
  std::array<io::ReceivedFrame, 3> into;
  while (!world.closing) {
    const auto count = co_await world.card->receive(into);
    if (!count) {
      if (!co_await sleep_for(10ms)) co_return;
      continue;
    }
    CHECK(*count > 0 && *count <= into.size());
    world.received += static_cast<unsigned>(*count);
    for (io::ReceivedFrame& frame : std::span{into}.first(*count)) {
      check(world, frame);
      world.frames.push_back(std::move(frame));
    }
  }
  co_return;
}

Task<> watch_link(World& world) {
  io::LinkState state;
  while (!world.closing) {
    const auto now = co_await world.card->link_changed(state);
    if (now) CHECK(*now != state);
    if (now.failed_with(Error::not_supported)) co_return;
    if (now) state = *now;
    if (!co_await sleep_for(10ms)) co_return;
  }
  co_return;
}

Task<> send(World& world, std::size_t size, unsigned how) {
  const std::unique_ptr<std::byte[]> memory{new std::byte[size]{}};
  const std::span<std::byte> bytes{memory.get(), size};
  world.memory.lend(bytes, how % 16 != 15);
  ++world.tasks;
  const std::array<std::span<const std::byte>, 2> pieces{bytes.first(size / 3),
                                                         bytes.subspan(size / 3)};
  io::FrameWork work;
  if (how % 16 == 1) work = {.needs_checksum = true, .checksum_start = 14, .checksum_offset = 6};
  if (how % 16 == 2) work.segmentation = io::Segmentation::tcp4;
  const std::array<io::OutgoingFrame, 3> frames{{{pieces, work}, {pieces, {}}, {pieces, {}}}};
  const std::size_t count = 1 + how / 16 % 3;
  const auto sent = co_await world.card->send(std::span{frames}.first(count));
  CHECK(!sent || *sent <= count);
  world.device.check_given_back(bytes);
  world.memory.forget(bytes);
  --world.tasks;
}

Task<> command(World& world, bool promiscuous) {
  ++world.tasks;
  if (promiscuous)
    (co_await world.card->set_promiscuous(true)).ignore();
  else
    (co_await world.card->set_address({std::byte{2}})).ignore();
  --world.tasks;
}

void events(World& world) {
  HostileDevice& device = world.device;
  if (device.vector_count == 0) {
    if (device.cause.queues || device.cause.configuration) world.card->interrupted_by_line();
  } else {
    const InterruptCause cause = std::exchange(device.cause, {});
    if (cause.configuration) world.card->interrupted(VectorPlan::configuration);
    if (cause.queues)
      for (Vector i = 0; i < device.vector_count; ++i) world.card->interrupted(i);
  }
  world.card->deliver();
}

void check_lent(World& world) {
  for (const io::ReceivedFrame& frame : world.frames)
    world.device.check_given_back(frame.bytes.bytes());
}

Task<> step(World& world, Scope& tasks) {
  Choices& in = world.input;
  HostileDevice& device = world.device;
  device.look();
  check_lent(world);
  const unsigned choice = in.byte();
  HostileDevice::Queue& queue = device.queues[choice / 16 % 3];
  switch (choice % 16) {
    case 0:
    case 1: {
      if (world.tasks > 6) break;
      constexpr std::array<std::size_t, 4> sizes{60, 110, 2'500, 40'000};
      const unsigned how = in.byte();
      tasks.spawn(send(world, sizes[choice / 64], how));
      break;
    }
    case 2:
    case 3:
    case 4: {  // a frame comes in, or a part of one
      HostileDevice::Queue& receives = device.queues[0];
      if (receives.held.empty()) break;
      const std::size_t which = in.byte() % receives.held.size();
      const unsigned what = in.byte();
      io::NetHeader header;
      header.buffers = static_cast<std::uint16_t>(what % 8 == 7 ? in.byte() : 1 + what % 4 / 2);
      if ((what & 64) != 0) {
        header.flags = in.byte();
        header.segmentation = in.byte();
        header.header_size = in.word();
        header.segment_size = in.word();
        header.checksum_start = in.byte();
        header.checksum_offset = in.byte();
      }
      std::array<std::byte, sizeof header> first;
      std::memcpy(first.data(), &header, sizeof header);
      const std::uint32_t room = receives.held[which].room();
      std::size_t at = 0;
      device.fill(receives.held[which],
                  [&] { return at < first.size() ? first[at++] : std::byte{7}; });
      const std::uint32_t wish = (what & 128) != 0 ? room : in.byte();
      device.use(receives, which, (what & 32) != 0 ? wish : std::min(room, wish));
      break;
    }
    case 5:
    case 6: {
      if (queue.held.empty()) break;
      const std::size_t which = in.byte() % queue.held.size();
      const std::uint8_t answer = in.byte();
      device.fill(queue.held[which], [&] { return static_cast<std::byte>(answer & 1); });
      device.use(queue, which, answer < 200 ? 1 : in.number());
      break;
    }
    case 7: {
      const std::uint32_t id = in.byte();
      device.forge(queue, id < 200 ? id : in.number(), in.byte());
      break;
    }
    case 8: {
      const std::uint16_t place = in.word();
      device.scribble(queue, place, in.byte());
      break;
    }
    case 9: device.break_down(); break;
    case 10: {
      const std::uint32_t place = in.below(16);
      device.config[place] = static_cast<std::byte>(in.byte());
      ++device.generation;
      device.cause.configuration = true;
      break;
    }
    case 11: {
      const unsigned flags = in.byte();
      if (flags % 8 == 0) device.resets_late = flags;
      device.refuses = flags % 8 == 1;
      device.restless = flags % 8 == 2;
      device.lacks_vectors = flags % 8 == 3;
      if (flags % 8 == 4) device.offers ^= Features{1} << in.below(54);
      if (flags % 8 == 5) queue.limit = in.byte();
      if (flags == 6) device.go_away();
      if (flags == 14) device.gone = false;
      break;
    }
    case 12: (co_await sleep_for(std::chrono::milliseconds{16 * in.byte()})).ignore(); break;
    case 13:
      world.frames.erase(world.frames.begin(),
                         world.frames.begin() +
                             static_cast<std::ptrdiff_t>(in.byte() % (world.frames.size() + 1)));
      break;
    case 14:
      if (world.tasks < 7) tasks.spawn(command(world, choice >= 128));
      break;
    default: coro::test::frames_until_failure = in.below(8); break;
  }
  events(world);
  co_await yield();
  if (choice < 192) coro::test::frames_until_failure = ~std::size_t{0};
}

// What a card does: it sends at once, and says yes to commands.
void work(World& world) {
  HostileDevice& device = world.device;
  device.look();
  for (HostileDevice::Queue* queue : {&device.queues[1], &device.queues[2]})
    while (!queue->held.empty() && !queue->confused) {
      device.fill(queue->held[0], [] { return std::byte{0}; });
      device.use(*queue, 0, queue->held[0].room());
    }
  events(world);
}

// One frame each way, as soon as the card is up.
Task<> prove(World& world) {
  HostileDevice& device = world.device;
  HostileDevice::Queue& receives = device.queues[0];
  world.frames.clear();
  const unsigned before = world.received;
  for (unsigned turns = 0; world.received == before; ++turns) {
    CHECK(turns < 5'000);
    work(world);
    if (!receives.held.empty() && !receives.confused && receives.held[0].room() >= 120) {
      io::NetHeader header;
      header.buffers = 1;
      std::array<std::byte, sizeof header> first;
      std::memcpy(first.data(), &header, sizeof header);
      std::size_t at = 0;
      device.fill(receives.held[0], [&] { return at < first.size() ? first[at++] : std::byte{9}; });
      device.use(receives, 0, sizeof header + known_size);
      events(world);
    }
    (co_await sleep_for(2ms)).ignore();
  }
  CHECK(world.frames.back().bytes.bytes().size() == known_size);
  CHECK(std::ranges::all_of(world.frames.back().bytes.bytes(),
                            [](std::byte byte) { return byte == std::byte{9}; }));
}

Task<Result<void>> run(World& world) {
  const Features offers = world.device.offers;
  const auto config = world.device.config;
  std::array<std::uint16_t, 3> limits{};
  for (std::size_t i = 0; i < limits.size(); ++i) limits[i] = world.device.queues[i].limit;
  Scope service{OnError::keep_going};
  service.spawn(receive(world));
  service.spawn(watch_link(world));
  co_await yield();
  Scope tasks{OnError::keep_going};
  while (!world.input.done())
    if (!co_await step(world, tasks)) coro::test::frames_until_failure = ~std::size_t{0};
  coro::test::frames_until_failure = ~std::size_t{0};
  HostileDevice& device = world.device;
  device.offers = offers;
  device.config = config;
  for (std::size_t i = 0; i < limits.size(); ++i) device.queues[i].limit = limits[i];
  device.refuses = device.restless = device.lacks_vectors = device.gone = false;
  device.resets_late = 0;
  device.break_down();
  device.cause.configuration = true;
  for (unsigned turns = 0; tasks.active() != 0; ++turns) {
    CHECK(turns < 10'000);
    work(world);
    (co_await sleep_for(2ms)).ignore();
  }
  (co_await tasks.join()).ignore();
  CHECK(co_await prove(world));
  world.frames.clear();
  world.closing = true;
  service.request_stop();
  (co_await service.join()).ignore();
  co_return co_await world.card->close();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coro::test::virtual_now_ns = 1'000'000;
  {
    World world{{data, size}};
    coro::test::TestLoop loop;
    const NetOptions options = describe(world);
    auto opened = loop.run(NetCard::open(world.device, world.memory, options));
    CHECK(opened);
    if (*opened) {
      world.card = std::move(**opened);
      const auto ended = loop.run(run(world));
      CHECK(ended && *ended);
    }
    world.card.reset();
    CHECK(world.memory.all_freed());
  }
  CHECK(coro::test::frames_alive == 0);
  return 0;
}

// A balloon or a source of entropy whose device does what the input says. Whatever it does: memory
// that the host has is not used until the device has taken note, all of it comes back in the end,
// nothing comes back twice, and what is taken for chance was written by the device.
#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "lichen/coro/sleep.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/driver/virtio/balloon.hpp"
#include "lichen/driver/virtio/entropy.hpp"
#include "tests/fuzz/drive.hpp"
#include "tests/fuzz/hostile_device.hpp"

using namespace lichen;
using namespace lichen::fuzz;

namespace {

constexpr std::size_t page = 4096;
constexpr unsigned most_tasks = 4;
enum QueueIndex : std::size_t { inflate = 0, deflate = 1 };

// Pieces that nobody reads: only their numbers matter.
class Pieces final : public BalloonMemory {
 public:
  explicit Pieces(std::size_t count) : all_(count), is_free_(count, true), free_{count} {}
  [[nodiscard]] std::size_t piece_size() const noexcept override { return pages * page; }
  Result<std::span<std::byte>> take() noexcept override {
    const auto found = std::ranges::find(is_free_, true);
    if (found == is_free_.end() || free_ <= reserve) return Error::no_memory;
    *found = false;
    --free_;
    return std::span{&all_[static_cast<std::size_t>(found - is_free_.begin())], piece_size()};
  }
  void give_back(std::span<std::byte> piece) noexcept override {
    const std::size_t index = index_of(piece);
    CHECK(!is_free_[index]);
    CHECK(std::ranges::none_of(with_host,
                               [&](std::uint32_t number) { return number / pages == index; }));
    is_free_[index] = true;
    ++free_;
  }
  [[nodiscard]] BusAddress address(std::span<const std::byte> piece) const noexcept override {
    return index_of(piece) * piece_size();
  }
  [[nodiscard]] Statistics statistics() const noexcept override {
    return {.total = all_.size() * piece_size(), .free = free_ * piece_size()};
  }
  [[nodiscard]] bool all_free() const { return free_ == all_.size(); }

  std::size_t pages = 1;  // of a piece
  std::size_t reserve = 0;
  std::set<std::uint32_t> with_host;  // numbers of pages

 private:
  [[nodiscard]] std::size_t index_of(std::span<const std::byte> piece) const {
    const auto index = static_cast<std::size_t>(piece.data() - all_.data());
    CHECK(index < all_.size() && piece.size() == piece_size());
    return index;
  }
  std::vector<std::byte> all_;  // one byte stands for each
  std::vector<bool> is_free_;
  std::size_t free_;
};

struct World {
  World(std::span<const std::uint8_t> bytes, DeviceKind kind, std::size_t queues)
      : input{bytes}, device{kind, queues, memory} {}
  Choices input;
  LentMemory memory;
  Pieces pieces{12};
  HostileDevice device;
  std::unique_ptr<Balloon> balloon;
  std::unique_ptr<Entropy> entropy;
  unsigned tasks = 0;
};

void describe(World& world) {
  HostileDevice& device = world.device;
  const unsigned forms = world.input.byte();
  device.offers = feature::version_1 | (forms & 3);  // 5.5.3
  if ((forms & 4) != 0) device.offers |= feature::packed_ring;
  if ((forms & 8) != 0) device.offers |= feature::event_index;
  device.lacks_vectors = (forms & 16) != 0;
  device.refuses = (forms & 96) == 96;
  device.vector_count = forms >> 7;
  const unsigned sizes = world.input.byte();
  for (HostileDevice::Queue& queue : device.queues)
    queue.limit = static_cast<std::uint16_t>(sizes % 32);
  world.pieces.pages = std::size_t{1} << sizes / 32;
  world.pieces.reserve = world.input.below(4);
  device.config[0] = std::byte{world.input.byte()};  // pages wanted
}

Task<> run_balloon(World& world, unsigned ms) {
  ++world.tasks;
  const auto ended = co_await with_timeout(std::chrono::milliseconds{ms}, world.balloon->run());
  CHECK(!ended);
  --world.tasks;
}
Task<> fill(World& world, std::size_t size, unsigned ms) {
  ++world.tasks;
  std::vector<std::byte> into(size);
  const auto filled =
      co_await with_timeout(std::chrono::milliseconds{ms}, world.entropy->fill(into));
  if (filled && !world.device.queues[0].confused) CHECK(std::ranges::count(into, std::byte{}) == 0);
  --world.tasks;
}

void events(World& world) {
  HostileDevice& device = world.device;
  const auto tell = [&](auto& driver) {
    if (device.vector_count == 0) {
      if (device.cause.queues || device.cause.configuration) driver.interrupted_by_line();
    } else {
      const InterruptCause cause = std::exchange(device.cause, {});
      if (cause.configuration || cause.queues) driver.interrupted();
    }
    driver.deliver();
  };
  if (world.balloon) tell(*world.balloon);
  if (world.entropy) tell(*world.entropy);
}

bool is_confused(const World& world) {
  return std::ranges::any_of(world.device.queues, &HostileDevice::Queue::confused);
}

// What the host has from now on, or has no more.
void note(World& world, const HostileDevice::Queue& queue, const HostileDevice::Held& held) {
  if (!world.balloon || is_confused(world) || !world.device.may_use_memory()) return;
  const std::vector<std::byte> bytes = world.device.content(held);
  const auto which = static_cast<std::size_t>(&queue - world.device.queues.data());
  if (which > deflate) return;
  CHECK(bytes.size() % sizeof(std::uint32_t) == 0);
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint32_t)) {
    std::uint32_t number = 0;
    std::memcpy(&number, &bytes[at], sizeof number);
    if (which == inflate)
      CHECK(world.pieces.with_host.insert(number).second);
    else
      CHECK(world.pieces.with_host.erase(number) == 1);
  }
}

void use_one(World& world, HostileDevice::Queue& queue) {
  Choices& in = world.input;
  if (queue.held.empty()) return;
  const std::size_t which = in.byte() % queue.held.size();
  const std::uint32_t room = queue.held[which].room();
  world.device.fill(queue.held[which], [] { return std::byte{0x5a}; });
  note(world, queue, queue.held[which]);
  const std::uint32_t size = in.byte();
  world.device.use(queue, which, size < 200 ? std::min(room, size) : size * 32);
}

Task<> step(World& world, Scope& tasks) {
  Choices& in = world.input;
  HostileDevice& device = world.device;
  device.look();
  // Whose memory it is nobody knows any more.
  if (!device.may_use_memory() || is_confused(world)) world.pieces.with_host.clear();
  const unsigned choice = in.byte();
  HostileDevice::Queue& queue = device.queues[choice / 16 % device.queues.size()];
  switch (choice % 16) {
    case 0:
    case 1:
      if (world.balloon && world.tasks < most_tasks)
        tasks.spawn(run_balloon(world, 1U + in.word()));
      break;
    case 2:
    case 3:
      if (world.entropy && world.tasks < most_tasks) {
        const std::size_t size = in.word() % 3'000;
        tasks.spawn(fill(world, size, 1U + in.byte()));
      }
      break;
    case 4:
    case 5:
      device.config[0] = std::byte{in.byte()};
      device.cause.configuration = true;
      break;
    case 10: {
      const std::uint32_t id = in.byte();
      if (std::ranges::find(queue.held, id, &HostileDevice::Held::id) != queue.held.end()) break;
      device.forge(queue, id, in.byte());
      break;
    }
    case 11: {
      const std::uint16_t place = in.word();
      device.scribble(queue, place, in.byte());
      break;
    }
    case 12: device.make_trouble(in.byte()); break;
    case 13: (co_await sleep_for(std::chrono::milliseconds{in.word() % 2'000})).ignore(); break;
    case 14: coro::test::frames_until_failure = in.below(4); break;
    default: use_one(world, queue); break;
  }
  events(world);
  co_await yield();
  coro::test::frames_until_failure = ~std::size_t{0};
}

template <class Device>
void open(coro::test::TestLoop& loop, std::unique_ptr<Device>& into,
          Task<Result<std::unique_ptr<Device>>> opening) {
  auto opened = loop.run(std::move(opening));
  CHECK(opened);
  if (*opened) into = std::move(**opened);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coro::test::virtual_now_ns = 1'000'000;
  if (size == 0) return 0;
  {
    const bool balloon = (data[0] & 1) == 0;
    World world{{data + 1, size - 1},
                balloon ? DeviceKind::balloon : DeviceKind::entropy,
                balloon ? std::size_t{3} : std::size_t{1}};
    coro::test::TestLoop loop;
    describe(world);
    if (balloon)
      open(loop, world.balloon, Balloon::open(world.device, world.memory, world.pieces));
    else
      open(loop, world.entropy, Entropy::open(world.device, world.memory));
    if (world.balloon || world.entropy) CHECK(loop.run(drive(world, &step)));
    world.device.resets_late = 0;
    world.device.gone = false;
    world.pieces.with_host.clear();
    world.balloon.reset();
    world.entropy.reset();
    CHECK(world.pieces.all_free());
    CHECK(world.memory.all_freed());
  }
  CHECK(coro::test::frames_alive == 0);
  return 0;
}

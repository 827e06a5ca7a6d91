// A disk whose device does what the input says, and at last works again. Whatever it does: each
// call ends once, with a named error if not well, and not before the device has let go of its
// memory; what the device offered of itself is kept to; and a disk that came back works with all
// its slots.
#include <memory>
#include <optional>
#include <vector>

#include "lichen/coro/sleep.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/driver/virtio/block.hpp"
#include "tests/fuzz/hostile_device.hpp"

using namespace lichen;
using namespace lichen::fuzz;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t content_size = 64 * 1024;

struct World {
  explicit World(std::span<const std::uint8_t> bytes) : input{bytes} {}
  ~World() {
    coro::test::frames_until_failure = ~std::size_t{0};
    // The device may still use what it did not let go of.
    const bool reset = [&] {
      disk.reset();
      return !device.may_use_memory();
    }();
    CHECK(memory.all_freed() || !reset);
  }

  Choices input;
  LentMemory memory;
  HostileDevice device{DeviceKind::block, 1, memory};
  std::unique_ptr<Disk> disk;
  bool served = true;  // nothing has ended the disk
  unsigned calls = 0;  // in progress
  std::vector<std::byte> content = std::vector<std::byte>(content_size);
};

// The configuration of a disk that works, which the input may change.
void describe(World& world) {
  Choices& in = world.input;
  HostileDevice& device = world.device;
  device.offers = feature::version_1 | (Features{in.word()} & block_feature::all);
  const unsigned forms = in.byte();
  if ((forms & 1) != 0) device.offers |= feature::packed_ring;
  if ((forms & 2) != 0) device.offers |= feature::event_index;
  if ((forms & 4) != 0) device.offers |= feature::indirect_descriptors;
  device.vector_count = forms >> 6;
  device.queues[0].limit = static_cast<std::uint16_t>(1U << (forms >> 3 & 7));
  const auto set = [&](std::size_t at, std::uint64_t value, std::size_t size) {
    std::memcpy(device.config.data() + at, &value, size);
  };
  set(0, content_size / 512, 8);
  set(8, 4096, 4);               // size_max
  set(12, 1U + in.below(9), 4);  // seg_max
  set(20, 512U << in.below(4), 4);
  set(34, 1, 2);
  set(36, 40, 4);
  set(40, 1, 4);
  set(48, 20, 4);
  set(52, 1, 4);
  set(56, 1, 1);
  for (unsigned changes = in.below(4); changes != 0; --changes)
    device.config[in.below(64)] = static_cast<std::byte>(in.byte());
}

bool is_named(Error error) {
  switch (error) {
    case Error::invalid_argument:
    case Error::out_of_range:
    case Error::read_only:
    case Error::not_supported:
    case Error::io_failed:
    case Error::no_memory:
    case Error::closed:
    case Error::stopped: return true;
    default: return false;
  }
}

enum class What : std::uint8_t { read, write, flush, discard, zeroes };

Task<Result<void>> carry_out(Disk& disk, What what, std::uint64_t sector, std::uint64_t count,
                             std::span<const std::span<std::byte>> pieces) {
  switch (what) {
    case What::read: co_return co_await disk.read_pieces(sector, pieces);
    case What::write: {
      const std::vector<std::span<const std::byte>> from{pieces.begin(), pieces.end()};
      co_return co_await disk.write_pieces(sector, from);
    }
    case What::flush: co_return co_await disk.flush();
    case What::discard: co_return co_await disk.discard(sector, count);
    case What::zeroes: co_return co_await disk.write_zeroes(sector, count, true);
  }
}

// A call, of so many blocks, in two pieces.
Task<> call(World& world, What what, std::uint64_t sector, std::size_t blocks, bool in_reach) {
  const std::size_t size = blocks * world.disk->info().sector_size;
  const std::unique_ptr<std::byte[]> memory{new std::byte[size]{}};
  const std::span<std::byte> bytes{memory.get(), size};
  world.memory.lend(bytes, in_reach);
  ++world.calls;
  const std::size_t cut = blocks / 3 * world.disk->info().sector_size;
  const std::array<std::span<std::byte>, 2> pieces{bytes.first(cut), bytes.subspan(cut)};
  const Result<void> done = co_await carry_out(*world.disk, what, sector, blocks, pieces);
  CHECK(done || is_named(done.error()));
  CHECK(in_reach || !done || what > What::write);
  world.device.check_given_back(bytes);
  world.memory.forget(bytes);
  --world.calls;
}

// What a disk does with a request (5.2.6).
void work(World& world, HostileDevice::Queue& queue, std::size_t which) {
  const HostileDevice::Held& held = queue.held[which];
  const std::vector<std::byte> read = world.device.content(held);
  CHECK(read.size() >= sizeof(BlockHeader) && !held.written.empty());
  BlockHeader header;
  std::memcpy(&header, read.data(), sizeof header);
  const bool reads = header.type == BlockRequest::in;
  const std::size_t size = reads ? held.room() - 1 : read.size() - sizeof header;
  std::uint8_t status = block_status::ok;
  if (header.type == BlockRequest::in || header.type == BlockRequest::out) {
    CHECK(size != 0 && size % 512 == 0);
    CHECK((reads ? held.read.size() : held.written.size()) == 1);
    if (header.sector >= content_size / 512 || size > content_size - header.sector * 512)
      status = block_status::io_error;
    else if (!reads)
      std::memcpy(world.content.data() + header.sector * 512, read.data() + sizeof header, size);
  }
  std::size_t at = header.sector * 512;
  world.device.fill(held, [&] {
    return status == block_status::ok && reads && at < header.sector * 512 + size
               ? world.content[at++]
               : std::byte{};
  });
  const Segment& last = held.written.back();
  *HostileDevice::at(last.address + last.length - 1) = static_cast<std::byte>(status);
  world.device.use(queue, which, reads ? held.room() : 1);
}

void events(World& world) {
  HostileDevice& device = world.device;
  if (device.vector_count == 0) {
    if (device.cause.queues || device.cause.configuration) world.disk->interrupted_by_line();
  } else if (std::exchange(device.cause.configuration, false)) {
    world.disk->interrupted(Disk::config_vector);
  }
  world.disk->deliver();
}

Task<> serve(World& world) {
  const Result<void> ended = co_await world.disk->serve();
  CHECK(!ended);
  world.served = ended.failed_with(Error::stopped);
}

// One step of the device, or of those who use the disk.
Task<> step(World& world, Scope& calls, Scope& doomed) {
  Choices& in = world.input;
  HostileDevice& device = world.device;
  HostileDevice::Queue& queue = device.queues[0];
  device.look();
  const unsigned choice = in.byte();
  switch (choice % 16) {
    case 0:
    case 1: {
      if (world.calls > 20) break;
      const unsigned what = in.byte();
      const std::uint64_t sector = (what & 64) != 0 ? in.number() : in.byte();
      (choice >= 128 ? doomed : calls)
          .spawn(call(world, static_cast<What>(what % 5), sector, in.below(40), what < 240));
      break;
    }
    case 2:
    case 3:  // gives one back as it should
      if (!queue.held.empty() && !queue.confused) work(world, queue, in.byte() % queue.held.size());
      break;
    case 4: {  // or not
      if (queue.held.empty()) break;
      const std::size_t which = in.byte() % queue.held.size();
      device.fill(queue.held[which], [&] { return static_cast<std::byte>(in.byte()); });
      device.use(queue, which, in.byte() < 200 ? 1 : in.number());
      break;
    }
    case 5: device.forge(queue, in.byte() < 200 ? in.byte() : in.number(), in.below(3)); break;
    case 6: {
      const std::uint16_t place = in.word();
      device.scribble(queue, place, in.byte());
      break;
    }
    case 7: device.break_down(); break;
    case 8:
      device.config[in.below(64)] = static_cast<std::byte>(in.byte());
      ++device.generation;
      device.cause.configuration = true;
      break;
    case 9: device.resets_late = in.byte() < 128 ? in.byte() : 1'000U + in.byte(); break;
    case 10: {
      const unsigned flags = in.byte();
      device.refuses = flags % 8 == 1;
      device.restless = flags % 8 == 2;
      device.lacks_vectors = flags % 8 == 3;
      if (flags % 8 == 4) device.offers ^= Features{1} << in.below(38);
      if (flags % 8 == 5) device.queues[0].limit = in.byte();
      if (flags == 6) device.go_away();
      break;
    }
    case 11: coro::test::frames_until_failure = in.below(8); break;
    case 12: (co_await sleep_for(std::chrono::milliseconds{in.byte()})).ignore(); break;
    case 13: doomed.request_stop(); break;
    case 14: world.disk->prepare_sleep(); break;
    default: break;
  }
  events(world);
  co_await yield();
  if (choice >= 64) coro::test::frames_until_failure = ~std::size_t{0};
}

// It works, for as long as there is anything to do.
Task<> work_all(World& world, Scope& scope) {
  for (unsigned turns = 0; scope.active() != 0; ++turns) {
    CHECK(turns < 10'000);
    HostileDevice& device = world.device;
    device.look();
    for (HostileDevice::Queue& queue : device.queues)
      while (!queue.held.empty() && !queue.confused) work(world, queue, 0);
    events(world);
    (co_await sleep_for(1ms)).ignore();
  }
}

Task<> read_back(World& world, Result<void>& outcome) {
  const std::uint32_t size = world.disk->info().sector_size;
  std::vector<std::byte> bytes(size);
  world.memory.lend(bytes);
  outcome = co_await world.disk->read(0, bytes);
  if (outcome) CHECK(std::equal(bytes.begin(), bytes.end(), world.content.begin()));
  world.memory.forget(bytes);
}

Task<Result<void>> run(World& world) {
  const HostileDevice at_first = world.device;
  Scope service{OnError::keep_going};
  service.spawn(serve(world));
  co_await yield();
  {
    Scope calls{OnError::keep_going};
    Scope doomed{OnError::keep_going};
    while (!world.input.done())
      if (!co_await step(world, calls, doomed)) coro::test::frames_until_failure = ~std::size_t{0};
    coro::test::frames_until_failure = ~std::size_t{0};
    HostileDevice& device = world.device;
    device.offers = at_first.offers;
    device.config = at_first.config;
    device.queues[0].limit = at_first.queues[0].limit;
    device.refuses = device.restless = device.lacks_vectors = device.gone = false;
    device.resets_late = 0;
    device.break_down();
    device.cause.configuration = true;
    CHECK(co_await work_all(world, calls));
    CHECK(co_await work_all(world, doomed));
    (co_await calls.join()).ignore();
    (co_await doomed.join()).ignore();
  }
  CHECK(world.calls == 0);
  // As many at once as there are slots, and one more.
  const io::BlockInfo info = world.disk->info();
  if (world.served && info.sectors != 0 && info.sector_size <= content_size) {
    Scope last{OnError::keep_going};
    std::array<Result<void>, 5> outcomes{Error::internal, Error::internal, Error::internal,
                                         Error::internal, Error::internal};
    for (Result<void>& outcome : outcomes) last.spawn(read_back(world, outcome));
    CHECK(co_await work_all(world, last));
    (co_await last.join()).ignore();
    // Meanwhile it may have come up with less room than it had.
    const bool has_room = world.disk->info().sectors != 0;
    for (const Result<void>& outcome : outcomes) CHECK(outcome || !world.served || !has_room);
  }
  service.request_stop();
  (co_await service.join()).ignore();
  co_return Result<void>{};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coro::test::virtual_now_ns = 1'000'000;
  {
    World world{{data, size}};
    coro::test::TestLoop loop;
    describe(world);
    auto opened = loop.run(Disk::open(world.device, world.memory, {.requests = 4, .segments = 4}));
    CHECK(opened);
    if (!*opened)
      CHECK(is_named(opened->error()) || opened->failed_with(Error::not_found) ||
            opened->failed_with(Error::limit_reached));
    if (*opened) {
      world.disk = std::move(**opened);
      CHECK(loop.run(run(world)));
    }
    world.disk.reset();
  }
  CHECK(coro::test::frames_alive == 0);
  return 0;
}

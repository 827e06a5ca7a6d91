// A block device of the tests' own (virtio 1.2, 5.2), written from the specification, whose disk is
// in the hands of the test; brought up, and what is done with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/coro/coro_test.hpp"
#include "lichen/driver/virtio/block.hpp"
#include "lichen/driver/virtio/mmio_transport.hpp"
#include "lichen/driver/virtio/test_device.hpp"

namespace lichen::driver::virtio::test {

using Content = std::vector<std::byte>;

inline constexpr Features block_usual =
    (block_feature::all & ~(block_feature::read_only | block_feature::mq)) | feature::event_index |
    feature::indirect_descriptors;

class BlockModel final : public DeviceModel {
 public:
  explicit BlockModel(Features features, std::size_t queue_count = 1);

  // At `offset` of the configuration.
  void set_config(std::size_t offset, std::uint64_t value, unsigned bytes);

  struct Asked {
    std::uint32_t type = 0;
    std::uint64_t sector = 0;
    std::uint64_t bytes = 0;
    bool unmap = false;
    std::size_t queue = 0;
    std::size_t segments = 0;  // of data
  };
  // Takes the requests that are there.
  void fetch();
  // Fetches, does up to so many, in order or not, and shows them. Yields how many.
  std::size_t work(std::size_t most = ~std::size_t{0});

  Content content;  // of the disk
  std::vector<Asked> asked;
  std::deque<std::pair<Popped, Asked>> taken;
  Random random{1};
  bool shuffles = false;
  // What it says instead of the truth, of all requests.
  std::optional<std::uint8_t> says_status;
  std::optional<std::uint32_t> says_written;

 private:
  void was_reset() override { taken.clear(); }
  Asked read_header(const Popped& buffer, std::size_t queue);
  std::uint8_t carry_out(const Popped& buffer, const Asked& what);
};

inline Content content_of(std::uint64_t number, std::size_t size) {
  Content bytes(size);
  Random random{number};
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

struct DiskWorld {
  explicit DiskWorld(Features features, std::size_t queues = 1) : device{features, queues} {}
  ~DiskWorld() { disk.reset(); }

  Result<void> open(DiskOptions options = {}) {
    auto opened = loop.run(Disk::open(transport, memory, options));
    if (!opened.has_value()) return Error::timed_out;
    if (!*opened) return opened->error();
    disk = std::move(**opened);
    return {};
  }
  // What the interrupt controller, and a core that looks for events, do.
  void events() {
    if (device.line != 0) disk->interrupted_by_line();
    disk->deliver();
  }
  // A core that sleeps until there is an interrupt; false: there was none.
  bool sleep() {
    if (!disk->prepare_sleep()) return true;
    return device.line != 0;
  }

  coro::test::TestLoop loop;
  TestMemory memory;
  BlockModel device;
  MmioRegisters registers{device};
  MmioTransport transport = *MmioTransport::create(registers);
  std::unique_ptr<Disk> disk;
};

inline Task<> rest(int turns = 20) {
  for (int i = 0; i < turns; ++i) co_await yield();
}

// The device works, and its interrupts are taken, until this is stopped.
Task<Result<void>> device_works(DiskWorld& world);
// `body` beside the disk's service and a device that works.
Task<Result<void>> with_service(DiskWorld& world, Task<Result<void>> body, bool works = true);

class BlockTest : public testing::TestWithParam<Features> {
 protected:
  void TearDown() override { EXPECT_EQ(coro::test::frames_alive, 0U); }
};

}  // namespace lichen::driver::virtio::test

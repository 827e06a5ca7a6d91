#include "lichen/driver/sim/disk.hpp"

#include "lichen/coro/coro_test.hpp"
#include "lichen/io/test_block_device.hpp"

namespace lichen::driver::sim {
namespace {

TEST(SimulatedDisk, KeepsTheContractOfBlockDevices) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    coro::test::TestLoop loop;
    hal::sim::Disk model{{}, seed};
    SimulatedDisk disk{model};
    EXPECT_TRUE(*loop.run(io::test::keeps_the_contract(disk)));
  }
}

// What was flushed survives a loss of power; what was not is what it was or what it should be.
Task<Result<void>> loses_power(hal::sim::Disk& model) {
  SimulatedDisk disk{model};
  const auto safe = io::test::block_content(1, 512);
  const auto unsafe = io::test::block_content(2, 512);
  for (std::uint64_t sector = 0; sector < 20; ++sector) CO_TRY(co_await disk.write(sector, safe));
  CO_TRY(co_await disk.flush());
  for (std::uint64_t sector = 10; sector < 20; ++sector)
    CO_TRY(co_await disk.write(sector, unsafe));
  model.crash();
  std::vector<std::byte> read(512);
  for (std::uint64_t sector = 0; sector < 20; ++sector) {
    CO_TRY(co_await disk.read(sector, read));
    EXPECT_TRUE(read == safe || (sector >= 10 && read == unsafe)) << sector;
  }
  co_return Result<void>{};
}
TEST(SimulatedDisk, KeepsWhatWasFlushed) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    coro::test::TestLoop loop;
    hal::sim::Disk model{{}, seed};
    EXPECT_TRUE(*loop.run(loses_power(model)));
  }
}

}  // namespace
}  // namespace lichen::driver::sim

// Disks: that each keeps its contract, on all cores, and what is still there when the machine comes
// up again. The first of them can be written, the second, if there is one, cannot.
#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "lichen/base/log.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/io/test_block_device.hpp"
#include "lichen/sched/machine.hpp"

namespace {

using namespace lichen;
using io::test::block_content;

constexpr std::string_view mark = "lichen was here";
constexpr std::uint64_t kept_at = 1'000;  // sectors that outlive the machine
constexpr std::size_t kept_size = std::size_t{400} * 512;
constexpr std::uint64_t parts_at = 2'000;
constexpr std::uint64_t part_sectors = 64;  // of each task

Task<Result<void>> use_part_on(io::BlockDevice& disk, std::uint64_t number, coro::Core& core) {
  const io::Stay stay = co_await io::StayOn{core};
  co_return co_await io::test::uses_its_part(disk, parts_at + number * part_sectors, part_sectors,
                                             number);
}

Task<Result<void>> use_on_each_core(io::BlockDevice& disk) {
  auto& machine = sched::Machine::current();
  constexpr unsigned tasks = 8;
  Scope scope;
  for (unsigned i = 0; i < tasks; ++i)
    scope.spawn(use_part_on(disk, i, machine.core(i % machine.cores())));
  CO_TRY(co_await scope.join());
  log::info("{} tasks have used their parts", tasks);
  co_return Result<void>{};
}

Task<Result<void>> use_disks(io::System& system) {
  const auto disks = system.disks();
  log::info("disks: {}", disks.size());
  if (disks.empty()) co_return Error::not_found;
  io::BlockDevice& disk = *disks[0];
  const io::BlockInfo info = disk.info();
  log::info("disk 0: {} sectors of {} bytes, read-only: {}", info.sectors, info.sector_size,
            info.read_only);
  std::vector<std::byte> first(info.sector_size);
  CO_TRY(co_await disk.read(0, first));
  if (!base::as_string_view(std::span{first}).starts_with(mark)) {
    EXPECT_TRUE(info.discards && info.writes_zeroes);  // as QEMU's can
    CO_TRY(co_await io::test::keeps_the_contract(disk));
    CO_TRY(co_await use_on_each_core(disk));
    std::ranges::copy(std::as_bytes(std::span{mark}), first.begin());
    CO_TRY(co_await disk.write(kept_at, block_content(4, kept_size)));
    CO_TRY(co_await disk.write(0, first));
    CO_TRY(co_await disk.flush());
    log::info("disk begins: {}", mark);
  } else {
    std::vector<std::byte> kept(kept_size);
    CO_TRY(co_await disk.read(kept_at, kept));
    EXPECT_TRUE(kept == block_content(4, kept_size));
    log::info("kept");
  }
  if (disks.size() > 1) {
    io::BlockDevice& other = *disks[1];
    EXPECT_TRUE(other.info().read_only);
    EXPECT_TRUE((co_await other.write(0, first)).failed_with(Error::read_only));
    EXPECT_TRUE((co_await other.discard(0, 1)).failed_with(Error::read_only));
    CO_TRY(co_await other.read(0, first));
    EXPECT_TRUE(std::ranges::all_of(first, [](std::byte byte) { return byte == std::byte{}; }));
    log::info("read-only: true");
  }
  co_return Result<void>{};
}

TEST(Disks, KeepWhatWasWritten) {
  const Result<void> outcome = run(use_disks, {.cores = hal::core_count_available()});
  EXPECT_TRUE(outcome);
}

}  // namespace

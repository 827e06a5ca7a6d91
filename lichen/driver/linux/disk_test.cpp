#include "lichen/driver/linux/disk.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "lichen/base/log.hpp"
#include "lichen/driver/linux/host_test.hpp"
#include "lichen/io/test_block_device.hpp"

namespace lichen::driver::test {
namespace {

using io::test::block_content;

constexpr std::uint64_t sectors = 2'048;

std::string make_file(const TemporaryFolder& folder, std::uint64_t size) {
  const std::string path = folder.path() + "/disk";
  std::ofstream{path}.close();
  std::filesystem::resize_file(path, size);
  return path;
}

struct Quiet {  // about what is wrong on purpose
  Quiet() { base::log::set_level(base::log::Level::nothing); }
  ~Quiet() { base::log::set_level(base::log::Level::info); }
};

template <bool direct>
Task<Result<void>> contract(HostSystem& host) {
  const TemporaryFolder folder;
  CO_TRY(host.open_disk(make_file(folder, sectors * 512), {.direct = direct}));
  io::BlockDevice& disk = *host.disks()[0];
  const io::BlockInfo info = disk.info();
  EXPECT_EQ(info.sector_size, 512U);
  EXPECT_EQ(info.sectors, sectors);
  EXPECT_TRUE(info.writes_zeroes);
  CO_TRY(co_await io::test::keeps_the_contract(disk));
  // The same bytes as others see.
  CO_TRY(co_await disk.write(7, block_content(7, 512)));
  CO_TRY(co_await disk.flush());
  std::vector<char> seen(512);
  std::ifstream{folder.path() + "/disk"}.seekg(7 * 512).read(seen.data(), 512);
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span{seen}), block_content(7, 512)));
  co_return Result<void>{};
}
TEST(HostDisk, KeepsTheContractOfBlockDevices) {
  for (const Features allowed : {Features::all(), Features{}})
    run_on_host(contract<true>, {.cores = 2, .allowed = allowed});
  run_on_host(contract<false>);
}

// Pieces that the device reaches where they lie, and some that have to be copied, more of them than
// go into one request.
Task<Result<void>> scattered(HostSystem& host) {
  const TemporaryFolder folder;
  CO_TRY(host.open_disk(make_file(folder, sectors * 512)));
  io::BlockDevice& disk = *host.disks()[0];
  constexpr std::size_t size = sectors * 512;
  alignas(4'096) static std::array<std::byte, size + 4'096> memory;
  const std::vector<std::byte> known = block_content(1, size);
  for (const std::size_t moved : {0U, 1U}) {
    std::vector<std::span<std::byte>> into;
    std::vector<std::span<const std::byte>> from;
    std::size_t at = 0;
    for (std::size_t i = 0; at < size; ++i) {
      const std::size_t length = std::min((i % 40 == 39 ? 900 : i % 7) * 512, size - at);
      into.emplace_back(&memory[at + (i % 3 == 2 ? moved : 0)], length);
      from.emplace_back(&known[at], length);
      at += length;
    }
    CO_TRY(co_await disk.write_pieces(0, from));
    std::ranges::fill(memory, std::byte{});
    // Backwards, so that what one reads too much the next one does not hide.
    for (std::size_t i = into.size(); i-- > 0;) {
      if (into[i].empty()) continue;
      const auto sector = static_cast<std::uint64_t>(from[i].data() - known.data()) / 512;
      CO_TRY(co_await disk.read(sector, into[i]));
      EXPECT_TRUE(std::ranges::equal(into[i], from[i])) << i;
    }
    std::vector<std::byte> all(size);
    CO_TRY(co_await disk.read(0, all));
    EXPECT_TRUE(all == known);
  }
  co_return Result<void>{};
}
TEST(HostDisk, TakesMemoryAsItLies) { run_on_host(scattered); }

Task<Result<void>> cut_behind_its_back(HostSystem& host) {
  const Quiet quiet;
  const TemporaryFolder folder;
  const std::string path = make_file(folder, sectors * 512);
  CO_TRY(host.open_disk(path));
  io::BlockDevice& disk = *host.disks()[0];
  std::filesystem::resize_file(path, 100 * 512 + 300);
  std::vector<std::byte> bytes(512 * 16);
  CO_TRY(co_await disk.read(84, bytes));
  EXPECT_TRUE((co_await disk.read(90, bytes)).failed_with(Error::io_failed));
  EXPECT_EQ(disk.info().sectors, 100U);
  EXPECT_TRUE((co_await disk.read(100, bytes)).failed_with(Error::out_of_range));
  co_return co_await disk.flush();
}
TEST(HostDisk, SaysWhenItsFileWasCut) { run_on_host(cut_behind_its_back); }

// A medium of the host that has less room than the file says.
Task<Result<void>> full(HostSystem& host) {
  const Quiet quiet;
  const TemporaryFolder folder;
  if (mount("none", folder.path().c_str(), "tmpfs", 0, "size=256k") < 0)
    co_return from_errno(errno);
  const Result<void> opened = host.open_disk(make_file(folder, sectors * 512));
  // The file goes with the disk's descriptor.
  umount2(folder.path().c_str(), MNT_DETACH);
  CO_TRY(opened);
  io::BlockDevice& disk = *host.disks()[0];
  CO_TRY(co_await disk.write(100, block_content(1, 16 * 512)));
  EXPECT_TRUE((co_await disk.write(512, block_content(2, std::size_t{1'024} * 512)))
                  .failed_with(Error::no_space));
  // What was there stays, and there is room again when something was given up.
  std::vector<std::byte> bytes(16 * 512);
  CO_TRY(co_await disk.read(100, bytes));
  EXPECT_TRUE(bytes == block_content(1, 16 * 512));
  if (disk.info().discards) {
    CO_TRY(co_await disk.discard(512, 1'024));
    CO_TRY(co_await disk.write(1'800, block_content(3, 16 * 512)));
  }
  co_return Result<void>{};
}
TEST(HostDisk, SaysWhenTheHostHasNoRoom) {
  if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
    GTEST_SKIP() << "we may not mount anything";
  run_on_host(full);
}

TEST(HostDisk, IsRefusedWithAReason) {
  const Quiet quiet;
  UringCores cores;
  const TemporaryFolder folder;
  const auto opens = [&](std::string_view path) { return HostDisk::open(cores, path); };
  EXPECT_TRUE(opens(folder.path() + "/nothing").failed_with(Error::not_found));
  EXPECT_TRUE(opens(folder.path()).failed_with(Error::wrong_type));
  EXPECT_TRUE(opens("/dev/null").failed_with(Error::wrong_type));
  EXPECT_TRUE(opens(make_file(folder, 0)).failed_with(Error::invalid_argument));
  EXPECT_TRUE(opens(make_file(folder, 5'000)).failed_with(Error::invalid_argument));
}

TEST(HostDisk, IsOneMachines) {
  const Quiet quiet;
  UringCores cores;
  const TemporaryFolder folder;
  const std::string path = make_file(folder, 65'536);
  const HostDiskOptions reads{.read_only = true};
  {
    const auto first = HostDisk::open(cores, path);
    ASSERT_TRUE(first);
    EXPECT_TRUE(HostDisk::open(cores, path).failed_with(Error::busy));
    EXPECT_TRUE(HostDisk::open(cores, path, reads).failed_with(Error::busy));
  }
  const auto first = HostDisk::open(cores, path, reads);
  ASSERT_TRUE(first);
  EXPECT_TRUE(HostDisk::open(cores, path, reads));
  EXPECT_TRUE(HostDisk::open(cores, path).failed_with(Error::busy));
}

Task<Result<void>> read_only(HostSystem& host) {
  const TemporaryFolder folder;
  CO_TRY(host.open_disk(make_file(folder, sectors * 512), {.read_only = true}));
  io::BlockDevice& disk = *host.disks()[0];
  EXPECT_TRUE(disk.info().read_only);
  std::vector<std::byte> bytes(512, std::byte{1});
  EXPECT_TRUE((co_await disk.write(0, bytes)).failed_with(Error::read_only));
  EXPECT_TRUE((co_await disk.discard(0, 1)).failed_with(Error::read_only));
  EXPECT_TRUE((co_await disk.write_zeroes(0, 1, false)).failed_with(Error::read_only));
  CO_TRY(co_await disk.read(sectors - 1, bytes));
  EXPECT_TRUE(bytes == std::vector<std::byte>(512));
  co_return co_await disk.flush();
}
TEST(HostDisk, WritesNothingWhereItOnlyReads) { run_on_host(read_only); }

// A block device of the host over a file.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& path) {
    const Descriptor control{open("/dev/loop-control", O_RDWR | O_CLOEXEC)};
    const Descriptor file{open(path.c_str(), O_RDWR | O_CLOEXEC)};
    // Somebody else may take the one that is free.
    for (unsigned tries = 0; tries < 100 && !is_there(); ++tries) {
      const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
      if (number < 0) return;
      path_ = "/dev/loop" + std::to_string(number);
      Descriptor device{open(path_.c_str(), O_RDWR | O_CLOEXEC)};
      loop_config config{};
      config.fd = static_cast<std::uint32_t>(file.get());
      config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
      if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) device_ = std::move(device);
    }
  }
  [[nodiscard]] bool is_there() const noexcept { return device_.get() >= 0; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  Descriptor device_;  // it goes away with the last of these
};

Task<Result<void>> block_device(HostSystem& host) {
  const TemporaryFolder folder;
  const std::string path = make_file(folder, sectors * 512);
  const LoopDevice loop{path};
  if (!loop.is_there()) co_return Error::not_found;
  CO_TRY(host.open_disk(loop.path()));
  io::BlockDevice& disk = *host.disks()[0];
  EXPECT_EQ(disk.info().sectors, sectors);
  CO_TRY(co_await io::test::keeps_the_contract(disk));
  // Its medium is gone: the host's kernel says EIO.
  const Quiet quiet;
  std::filesystem::resize_file(path, sectors * 256);
  std::vector<std::byte> bytes(4'096);
  EXPECT_TRUE((co_await disk.read(sectors - 8, bytes)).failed_with(Error::io_failed));
  co_return Result<void>{};
}
TEST(HostDisk, IsABlockDeviceOfTheHost) {
  const TemporaryFolder folder;
  if (!LoopDevice{make_file(folder, 65'536)}.is_there())
    GTEST_SKIP() << "there is no loop device to be had";
  run_on_host(block_device);
}

}  // namespace
}  // namespace lichen::driver::test

// HostDisk: a file or a block device of the host as a disk.
//
// Beside the host's cache of pages (O_DIRECT) where the file system lets us: then what is written
// is known to have failed when the write returns, and nothing is kept twice. Memory that the host's
// device cannot reach as it lies is copied, through memory that is counted to who asks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/block_device.hpp"

struct stat;

namespace lichen::driver {

struct HostDiskOptions {
  bool read_only = false;
  bool direct = true;  // beside the host's cache, where that can be had
};

// Belongs to no core: each call uses the ring of the core it is made on. Its size is looked at when
// it is opened, and again when a read finds that there is less.
class HostDisk final : public io::BlockDevice {
 public:
  // Blocks, so it is for the time before the machine runs. What is wrong is logged. Errors:
  // not_found, access_denied, read_only, wrong_type (neither a file nor a block device),
  // invalid_argument (no bytes, or no whole sectors), busy (another machine or a mount has it),
  // no_memory, io_failed.
  static Result<std::unique_ptr<HostDisk>> open(UringCores& cores, std::string_view path,
                                                const HostDiskOptions& options = {});

  Task<Result<void>> read_pieces(std::uint64_t sector,
                                 std::span<const std::span<std::byte>> into) override;
  Task<Result<void>> write_pieces(std::uint64_t sector,
                                  std::span<const std::span<const std::byte>> from) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> discard(std::uint64_t sector, std::uint64_t count) override;
  Task<Result<void>> write_zeroes(std::uint64_t sector, std::uint64_t count, bool unmap) override;
  [[nodiscard]] io::BlockInfo info() const noexcept override;

  [[nodiscard]] bool is_direct() const noexcept { return memory_alignment_ > 1; }

 private:
  struct Transfer;

  HostDisk(UringCores& cores, std::string_view path, Descriptor fd) noexcept
      : cores_{cores}, path_{path}, fd_{std::move(fd)} {}
  Result<void> look_at(const HostDiskOptions& options) noexcept;
  void look_at_block_device(const struct stat& found) noexcept;
  void look_at_file(const struct stat& found) noexcept;
  void find_alignment() noexcept;

  Task<Result<void>> move(Transfer transfer);
  Task<Result<void>> allocate(int mode, std::uint64_t sector, std::uint64_t count);
  void look_at_size() noexcept;
  Error failed(std::string_view what, Error error) noexcept;

  UringCores& cores_;
  const std::string path_;
  Descriptor fd_;
  io::BlockInfo info_;  // but for the number of sectors
  std::atomic<std::uint64_t> sectors_{0};
  std::uint32_t memory_alignment_ = 1;  // of bytes that are read or written where they lie
  bool punches_ = false;                // holes
  std::atomic<bool> zeroes_ranges_{true};
  std::atomic<bool> told_{false};  // the log, of a failure

  // The host tells each failure to one flush only, but all that were under way have failed.
  coro::Mutex flushing_;
  std::atomic<std::uint64_t> flushes_begun_{0};
  std::atomic<std::uint64_t> flushes_failed_{0};
  std::uint64_t last_good_flush_ = 0;  // its number; who has the mutex
};

}  // namespace lichen::driver

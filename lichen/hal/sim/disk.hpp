// Disk: sectors behind a volatile cache, as a real device has them. What was not flushed may be
// torn, missing, or there although older writes are missing, once the power fails. Pure: no clock,
// no core; time comes as argument, chance from a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/sim/simulator.hpp"

namespace lichen::hal::sim {

struct DiskModel {
  std::size_t sector_size = 512;
  std::uint64_t sectors = 4'096;
  // A sector is torn at multiples of this many bytes; sector_size: it is written whole or not.
  std::size_t atomic_size = 512;
  std::size_t cached_sectors = 1'024;  // more than this many unflushed: some are written back
  // A call takes its own time and that of its bytes; one after another.
  Range read_time{20'000, 100'000};
  Range write_time{10'000, 40'000};  // into the cache
  Range flush_time{200'000, 2'000'000};
  std::uint64_t bytes_per_second = 500'000'000;
  std::uint32_t unreadable = 0;  // reads in a million that fail, and may succeed when repeated
};

struct DiskStatistics {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t flushes = 0;
  std::uint64_t crashes = 0;
  std::uint64_t lost_sectors = 0;  // in crashes: sectors left as they were before unflushed writes
  std::uint64_t torn_sectors = 0;  // in crashes: partly one write, partly another
};

class Disk {
 public:
  // Filled with zeroes. sector_size MUST be a multiple of atomic_size.
  Disk(const DiskModel& model, std::uint64_t seed);

  // They happen at once, and return when the device would say that they are done. Errors:
  // invalid_argument (not whole sectors, or none), out_of_range, io_failed (unreadable).
  Result<std::uint64_t> read(std::uint64_t sector, std::span<std::byte> into, std::uint64_t now_ns);
  Result<std::uint64_t> write(std::uint64_t sector, std::span<const std::byte> from,
                              std::uint64_t now_ns);
  // What was written before is safe now.
  std::uint64_t flush(std::uint64_t now_ns);

  // The power fails. Of each sector written since the last flush, independently of all others, one
  // of the versions that it had since survives, or two of them meet in it.
  void crash();

  [[nodiscard]] std::size_t unflushed_sectors() const noexcept { return unflushed_.size(); }
  [[nodiscard]] const DiskModel& model() const noexcept { return model_; }
  [[nodiscard]] const DiskStatistics& statistics() const noexcept { return statistics_; }

 private:
  // A sector that was written, with all it has been since it was safe; the newest last.
  struct Unflushed {
    std::uint64_t sector;
    std::vector<std::vector<std::byte>> versions;
  };
  Result<void> check(std::uint64_t sector, std::size_t bytes) const noexcept;
  std::uint64_t done(Range time, std::size_t bytes, std::uint64_t now_ns) noexcept;
  [[nodiscard]] std::span<std::byte> safe(std::uint64_t sector) noexcept;
  std::vector<Unflushed>::iterator find(std::uint64_t sector) noexcept;
  void write_back_one() noexcept;

  DiskModel model_;
  Random random_;
  std::vector<std::byte> safe_;       // what survives for sure
  std::vector<Unflushed> unflushed_;  // by sector
  std::uint64_t free_ns_ = 0;
  DiskStatistics statistics_;
};

}  // namespace lichen::hal::sim

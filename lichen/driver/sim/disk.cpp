#include "lichen/driver/sim/disk.hpp"

#include <chrono>

#include "lichen/coro/core.hpp"
#include "lichen/coro/sleep.hpp"

namespace lichen::driver::sim {

namespace {

std::uint64_t now_ns() noexcept { return coro::this_core()->batch_now_ns(); }

Task<Result<void>> until(std::uint64_t done_ns) {
  const std::uint64_t now = now_ns();
  if (done_ns > now) CO_TRY(co_await sleep_for(std::chrono::nanoseconds{done_ns - now}));
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> SimulatedDisk::read_pieces(std::uint64_t sector,
                                              std::span<const std::span<std::byte>> into) {
  CO_TRY(io::check_blocks(info(), sector, into));
  std::uint64_t done = 0;
  for (const std::span<std::byte> piece : into) {
    if (piece.empty()) continue;
    done = CO_TRY(model_.read(sector, piece, now_ns()));
    sector += piece.size() / model_.model().sector_size;
  }
  co_return co_await until(done);
}

Task<Result<void>> SimulatedDisk::write_pieces(std::uint64_t sector,
                                               std::span<const std::span<const std::byte>> from) {
  CO_TRY(io::check_blocks(info(), sector, from));
  std::uint64_t done = 0;
  for (const std::span<const std::byte> piece : from) {
    if (piece.empty()) continue;
    done = CO_TRY(model_.write(sector, piece, now_ns()));
    sector += piece.size() / model_.model().sector_size;
  }
  co_return co_await until(done);
}

Task<Result<void>> SimulatedDisk::flush() { co_return co_await until(model_.flush(now_ns())); }

Task<Result<void>> SimulatedDisk::discard(std::uint64_t sector, std::uint64_t count) {
  CO_TRY(io::check_block_range(info(), sector, count));
  co_return Error::not_supported;
}
Task<Result<void>> SimulatedDisk::write_zeroes(std::uint64_t sector, std::uint64_t count, bool) {
  CO_TRY(io::check_block_range(info(), sector, count));
  co_return Error::not_supported;
}

io::BlockInfo SimulatedDisk::info() const noexcept {
  const hal::sim::DiskModel& model = model_.model();
  return {.sector_size = static_cast<std::uint32_t>(model.sector_size), .sectors = model.sectors};
}

}  // namespace lichen::driver::sim

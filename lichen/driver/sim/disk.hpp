// A simulated disk (lichen/hal/sim/disk.hpp) behind the contract of block devices: what survives a
// loss of power is what that model says.
#pragma once

#include <cstdint>
#include <span>

#include "lichen/hal/sim/disk.hpp"
#include "lichen/io/block_device.hpp"

namespace lichen::driver::sim {

// Of one core. The model MUST outlive it. Its calls take the model's time; they happen when they
// begin, and a task that is stopped does not wait for the end. It can neither discard nor write
// zeroes by itself.
class SimulatedDisk final : public io::BlockDevice {
 public:
  explicit SimulatedDisk(hal::sim::Disk& model) noexcept : model_{model} {}

  Task<Result<void>> read_pieces(std::uint64_t sector,
                                 std::span<const std::span<std::byte>> into) override;
  Task<Result<void>> write_pieces(std::uint64_t sector,
                                  std::span<const std::span<const std::byte>> from) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> discard(std::uint64_t sector, std::uint64_t count) override;
  Task<Result<void>> write_zeroes(std::uint64_t sector, std::uint64_t count, bool unmap) override;
  io::BlockInfo info() const noexcept override;

 private:
  hal::sim::Disk& model_;
};

}  // namespace lichen::driver::sim

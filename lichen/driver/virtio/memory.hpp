// The memory that a device and its driver share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "lichen/base/result.hpp"

namespace lichen::driver::virtio {

// How the device names a byte of memory.
using BusAddress = std::uint64_t;
inline constexpr BusAddress no_address = ~BusAddress{0};

// Where such memory comes from. On any core; MUST outlive the drivers that use it.
class DeviceMemory {
 public:
  // Zeroed, in one piece for the device, at a page's start for both sides. Errors: no_memory.
  virtual Result<std::span<std::byte>> allocate(std::size_t size) noexcept = 0;
  virtual void free(std::span<std::byte> memory) noexcept = 0;
  // Where the device finds the first of these bytes, whosever they are; no_address if it cannot
  // reach them, or not in one piece.
  [[nodiscard]] virtual BusAddress address(std::span<const std::byte> bytes) const noexcept = 0;

 protected:
  ~DeviceMemory() = default;
};

// A piece of it, freed with this object.
class SharedMemory {
 public:
  SharedMemory() noexcept = default;
  static Result<SharedMemory> allocate(DeviceMemory& from, std::size_t size) noexcept {
    const std::span<std::byte> bytes = TRY(from.allocate(size));
    SharedMemory memory{from, bytes, from.address(bytes)};
    if (memory.bus_ == no_address) return Error::no_memory;
    return memory;
  }
  SharedMemory(SharedMemory&& other) noexcept
      : from_{std::exchange(other.from_, nullptr)}, bytes_{other.bytes_}, bus_{other.bus_} {}
  SharedMemory& operator=(SharedMemory&& other) noexcept {
    std::swap(from_, other.from_);
    std::swap(bytes_, other.bytes_);
    std::swap(bus_, other.bus_);
    return *this;
  }
  ~SharedMemory() {
    if (from_) from_->free(bytes_);
  }

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] BusAddress address(std::size_t offset) const noexcept { return bus_ + offset; }
  // A device that does not answer may still write to it: it is never used for anything again.
  void abandon() noexcept { from_ = nullptr; }

 private:
  SharedMemory(DeviceMemory& from, std::span<std::byte> bytes, BusAddress bus) noexcept
      : from_{&from}, bytes_{bytes}, bus_{bus} {}

  DeviceMemory* from_ = nullptr;
  std::span<std::byte> bytes_;
  BusAddress bus_ = no_address;
};

}  // namespace lichen::driver::virtio

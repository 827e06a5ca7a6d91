// HostFile: a file of the host.
#pragma once

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/driver/linux/helpers.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/file.hpp"

namespace lichen::driver {

// Belongs to no core: each call uses the ring of the core it is made on.
class HostFile final : public io::File {
 public:
  HostFile(UringCores& cores, HelperThreads& helpers, Descriptor fd) noexcept
      : cores_{cores}, helpers_{helpers}, fd_{std::move(fd)} {}

  static void* operator new(std::size_t size) noexcept { return coro::hooks::allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    coro::hooks::free_frame(memory, size);
  }

  Task<Result<std::size_t>> read_at(std::uint64_t offset, std::span<std::byte> into) override;
  Task<Result<void>> write_at(std::uint64_t offset, std::span<const std::byte> from) override;
  Task<Result<io::FileInfo>> info() override;
  Task<Result<void>> truncate(std::uint64_t size) override;
  Task<Result<void>> sync() override;

 private:
  UringCores& cores_;
  HelperThreads& helpers_;
  Descriptor fd_;
};

// What the host knows about an open descriptor. Does not wait: what a network file system has not
// cached is asked for as it was last known.
Result<io::FileInfo> info_of(int fd) noexcept;

}  // namespace lichen::driver

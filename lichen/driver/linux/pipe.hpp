// HostPipe: a pipe of the host.
#pragma once

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/system.hpp"

namespace lichen::driver {

// Both ends belong to the calling core.
Result<io::System::Pipe> make_host_pipe(UringCore& core);

class HostPipeReader final : public io::Reader {
 public:
  HostPipeReader(UringCore& core, Descriptor fd) noexcept : core_{core}, fd_{std::move(fd)} {}

  Task<Result<std::size_t>> read(std::span<std::byte> into) override;
  Task<Result<io::Buffer>> receive() override;

 private:
  static constexpr std::size_t buffer_size = 8192;

  UringCore& core_;
  Descriptor fd_;
  bool reading_ = false;
};

class HostPipeWriter final : public io::Writer {
 public:
  HostPipeWriter(UringCore& core, Descriptor fd) noexcept : core_{core}, fd_{std::move(fd)} {}

  // Error::closed when nobody reads any more.
  Task<Result<std::size_t>> write(std::span<const std::byte> from) override;

 private:
  UringCore& core_;
  Descriptor fd_;
  bool writing_ = false;
};

}  // namespace lichen::driver

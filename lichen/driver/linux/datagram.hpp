// HostDatagram: a UDP socket, or a datagram socket of the host's local domain.
#pragma once

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/datagram.hpp"

namespace lichen::driver {

// Belongs to no core, as HostFile.
class HostDatagram final : public io::Datagram {
 public:
  static Result<std::unique_ptr<io::Datagram>> create(UringCores& cores, const io::Address& at);

  Task<Result<io::Received>> receive(std::span<std::byte> into) override;
  Task<Result<void>> send(std::span<const std::byte> from, const io::Address& to) override;
  Task<Result<void>> join(const io::Address& group) override;
  [[nodiscard]] io::Address local() const override { return local_; }

 private:
  HostDatagram(UringCores& cores, Descriptor fd, io::Address local) noexcept
      : cores_{cores}, fd_{std::move(fd)}, local_{local} {}

  UringCores& cores_;
  Descriptor fd_;
  io::Address local_;
};

}  // namespace lichen::driver

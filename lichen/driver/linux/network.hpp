// HostNetwork: the host's TCP, UDP and local sockets.
#pragma once

#include "lichen/driver/linux/helpers.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/system.hpp"

namespace lichen::driver {

class HostNetwork final : public io::Network {
 public:
  HostNetwork(UringCores& cores, HelperThreads& helpers) noexcept
      : cores_{cores}, helpers_{helpers} {}

  Task<Result<std::unique_ptr<io::Listener>>> listen(io::Address at,
                                                     io::ListenOptions options) override;
  // Error::timed_out after 30 s.
  Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address to) override;
  Task<Result<std::unique_ptr<io::Datagram>>> bind(io::Address at) override;
  Task<Result<std::vector<io::Address>>> resolve(std::string_view host,
                                                 std::uint16_t port) override;

 private:
  UringCores& cores_;
  HelperThreads& helpers_;
};

}  // namespace lichen::driver

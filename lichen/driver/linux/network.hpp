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
  // 127.0.0.1 unless serve_at() has said otherwise, before anybody asks.
  [[nodiscard]] io::Address service_address(std::uint16_t port) const override {
    io::Address at = service_address_;
    at.set_port(port);
    return at;
  }
  void serve_at(const io::Address& at) noexcept { service_address_ = at; }

 private:
  UringCores& cores_;
  HelperThreads& helpers_;
  io::Address service_address_ = io::Address::loopback(0);
};

}  // namespace lichen::driver

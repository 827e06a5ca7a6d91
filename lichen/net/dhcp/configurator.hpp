// Configurator: a DHCP client that configures an interface of a stack: its address, once it is
// known to be free, and the default route.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/net/dhcp/client.hpp"
#include "lichen/net/ip/udp.hpp"

namespace lichen::net::dhcp {

class Configurator final : Owner, ip::UdpWaiter {
 public:
  // All MUST outlive it.
  Configurator(ip::Stack& stack, ip::Udp& udp, ip::Interface& interface) noexcept;
  virtual ~Configurator();

  struct Options {
    std::uint64_t spread = ip::second;  // as of Client::start()
    ip::Probe probe = ip::Probe::yes;   // of the address, before it is used
  };
  // Errors: address_in_use (another client has the port).
  Result<void> start(std::uint64_t now, const Options& options) noexcept;
  Result<void> start(std::uint64_t now) noexcept { return start(now, Options{}); }
  // Gives the address back and removes it.
  void stop(std::uint64_t now) noexcept;

  // What the stack's observer hears, for it to pass on. Has its effect in the next advance().
  void address(const ip::Interface& interface, const ip::LocalAddress& address,
               ip::AddressEvent event) noexcept;

  [[nodiscard]] const Client& client() const noexcept { return client_; }
  // After receive() of the stack, or when the time has come.
  [[nodiscard]] std::uint64_t deadline() const noexcept {
    return pending_ ? 0 : client_.deadline();
  }
  void advance(std::uint64_t now) noexcept;

 private:
  void send(Bytes message, const wire::Ipv4Address& to, bool from_nobody) noexcept override;
  void offered(const Lease& lease) noexcept override;
  void renewed(const Lease& lease) noexcept override;
  void lost(const Lease& lease) noexcept override;
  void readable(ip::UdpSocket& socket) noexcept override;
  void set_route(const Lease& lease) noexcept;

  ip::Stack& stack_;
  ip::Udp& udp_;
  ip::Interface& interface_;
  std::uint64_t now_ = 0;
  ip::Probe probe_ = ip::Probe::yes;
  bool pending_ = false;
  bool free_ = false;      // the probing has ended well
  bool conflict_ = false;  // or not
  std::optional<wire::Ipv4Address> router_;
  Client client_;
  alignas(8) std::array<std::byte, 4'096> queue_;
  ip::UdpSocket socket_{queue_, this};
};

}  // namespace lichen::net::dhcp

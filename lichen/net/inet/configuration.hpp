// Configuration: which address a machine has on one of its links, and whom it asks for names: as it
// was told, or what the network offers, by DHCP (IPv4) and from its routers (IPv6, RFC 4862, 8106).
//
//   told an address ───────────────────────────────────> up
//   told none: DHCP ── a lease ────────────────────────> up <──> the lease is over: not up
//              routers ── an address, and 3 s no lease ─> up
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/net/dhcp/configurator.hpp"
#include "lichen/net/ip/stack.hpp"
#include "lichen/net/ip/udp.hpp"

namespace lichen::net::inet {

// Of the core of the stack, but for current_address() and up().
class Configuration {
 public:
  // All MUST outlive it. `moved` is set when current_address() has changed.
  Configuration(ip::Stack& stack, ip::Udp& udp, coro::Event& moved) noexcept;
  Configuration(const Configuration&) = delete;
  Configuration& operator=(const Configuration&) = delete;

  static constexpr std::size_t most_name_servers = 4;

  // One of the two is called first.
  void told(ip::Interface& interface, const wire::IpAddress& address) noexcept;
  // Errors: address_in_use (somebody else is a DHCP client here).
  Result<void> ask(ip::Interface& interface, std::uint64_t now) noexcept;

  // Ours, on any core; unspecified: we have none (any more).
  [[nodiscard]] wire::IpAddress current_address() const noexcept;
  // Whether the network gives it.
  [[nodiscard]] bool is_asked() const noexcept { return dhcp_.has_value(); }
  // Waits until there is one, on any core.
  Task<Result<void>> up();
  // Of servers of names, those of DHCP first (RFC 8106 section 5.3.1); says how many.
  std::size_t name_servers(std::span<wire::IpAddress> into) const noexcept;

  // What the stack's observer hears of the link.
  void address(ip::Interface& interface, const ip::LocalAddress& address,
               ip::AddressEvent event) noexcept;
  // After receive() of the stack, or when the time has come.
  [[nodiscard]] std::uint64_t deadline() const noexcept;
  void advance(std::uint64_t now) noexcept;

 private:
  void review(std::uint64_t now) noexcept;
  void note_lease() noexcept;
  [[nodiscard]] const ip::LocalAddress* find(ip::AddressOrigin origin) const noexcept;
  void set(const wire::IpAddress& address) noexcept;

  ip::Stack& stack_;
  ip::Udp& udp_;
  coro::Event& moved_;
  ip::Interface* interface_ = nullptr;
  std::optional<dhcp::Configurator> dhcp_;
  bool news_ = false;                        // of addresses
  std::uint64_t ipv6_alone_at_ = ip::never;  // when one of IPv6 will do
  std::optional<dhcp::Lease> lease_;         // as it was logged
  mutable coro::SpinLock lock_;
  wire::IpAddress address_;  // under the lock
  coro::Event up_;
};

}  // namespace lichen::net::inet

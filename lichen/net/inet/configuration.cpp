#include "lichen/net/inet/configuration.hpp"

#include <algorithm>

#include "lichen/base/log.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::inet {

namespace {

// How long a lease is waited for once there is an address of IPv6.
constexpr std::uint64_t patience = 3 * ip::second;

}  // namespace

Configuration::Configuration(ip::Stack& stack, ip::Udp& udp, coro::Event& moved) noexcept
    : stack_{stack}, udp_{udp}, moved_{moved} {}

void Configuration::told(ip::Interface& interface, const wire::IpAddress& address) noexcept {
  interface_ = &interface;
  set(address);
}

Result<void> Configuration::ask(ip::Interface& interface, std::uint64_t now) noexcept {
  interface_ = &interface;
  // It is one machine, not a building after a power cut: it asks at once. A server that pings an
  // address before it gives it away has seen to it; a machine that is there answers quickly.
  return dhcp_.emplace(stack_, udp_, interface)
      .start(now, {.spread = 0, .probe = ip::Probe::quick});
}

wire::IpAddress Configuration::current_address() const noexcept {
  coro::SpinGuard guard{lock_};
  return address_;
}

Task<Result<void>> Configuration::up() { co_return co_await up_.wait(); }

std::size_t Configuration::name_servers(std::span<wire::IpAddress> into) const noexcept {
  std::size_t count = 0;
  const auto add = [&](const wire::IpAddress& server) {
    if (count < into.size() && !server.is_unspecified()) into[count++] = server;
  };
  if (lease_)
    for (const auto& server : std::span{lease_->dns_servers}.first(lease_->dns_server_count))
      add(server);
  if (interface_ != nullptr) {
    const ip::RouterDiscovery& routers = interface_->routers;
    for (const auto& server : std::span{routers.dns_servers}.first(routers.dns_server_count))
      add(server);
  }
  return count;
}

std::uint64_t Configuration::deadline() const noexcept {
  if (!dhcp_) return ip::never;
  return news_ ? 0 : std::min(dhcp_->deadline(), ipv6_alone_at_);
}

void Configuration::advance(std::uint64_t now) noexcept {
  if (!dhcp_ || now < deadline()) return;
  news_ = false;
  dhcp_->advance(now);
  review(now);
}

void Configuration::address(ip::Interface& interface, const ip::LocalAddress& address,
                            ip::AddressEvent event) noexcept {
  news_ = true;
  if (dhcp_) dhcp_->address(interface, address, event);
  switch (event) {
    case ip::AddressEvent::ready:
      if (address.origin != ip::AddressOrigin::dhcp)
        base::log::info("net: {}/{} is ours", address.address, address.bits);
      break;
    case ip::AddressEvent::conflict:
      base::log::warning("net: another machine has the address {}", address.address);
      break;
    case ip::AddressEvent::expired:
      base::log::info("net: the time of {} is over", address.address);
      break;
  }
}

const ip::LocalAddress* Configuration::find(ip::AddressOrigin origin) const noexcept {
  for (const ip::LocalAddress& one : interface_->addresses())
    if (one.origin == origin && one.is_usable()) return &one;
  return nullptr;
}

// What has changed.
void Configuration::review(std::uint64_t now) noexcept {
  note_lease();
  const ip::LocalAddress* ipv4 = find(ip::AddressOrigin::dhcp);
  const ip::LocalAddress* ipv6 = find(ip::AddressOrigin::advertised);
  if (ipv4 != nullptr) {
    ipv6_alone_at_ = ip::never;
    return set(ipv4->address);
  }
  if (ipv6 == nullptr) {
    ipv6_alone_at_ = ip::never;
    return set({});
  }
  if (current_address().is_unspecified()) {
    if (ipv6_alone_at_ == ip::never) ipv6_alone_at_ = now + patience;
    if (now < ipv6_alone_at_) return;
  }
  ipv6_alone_at_ = ip::never;
  set(ipv6->address);
}

void Configuration::note_lease() noexcept {
  const dhcp::State state = dhcp_->client().state();
  if (state < dhcp::State::bound) {
    if (lease_) base::log::warning("net: the lease of {} is over; asking anew", lease_->address);
    lease_.reset();
    return;
  }
  const dhcp::Lease& now = dhcp_->client().lease();
  if (lease_ && lease_->address == now.address) {
    if (lease_->expires != now.expires)
      base::log::debug("net: the lease of {} goes on", now.address);
  } else {
    base::log::info("net: {}/{} is leased from {}", now.address, now.bits, now.server);
  }
  lease_ = now;
}

void Configuration::set(const wire::IpAddress& address) noexcept {
  {
    coro::SpinGuard guard{lock_};
    if (address_ == address) return;
    address_ = address;
  }
  address.is_unspecified() ? up_.reset() : up_.set();
  moved_.set();
}

}  // namespace lichen::net::inet

#pragma clang attribute pop

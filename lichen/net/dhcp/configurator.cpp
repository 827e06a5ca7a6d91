#include "lichen/net/dhcp/configurator.hpp"

#include <utility>

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::dhcp {

namespace {

constexpr wire::Prefix everything{wire::Ipv4Address{}, 0};
constexpr std::uint32_t metric = 512;

}  // namespace

Configurator::Configurator(ip::Stack& stack, ip::Udp& udp, ip::Interface& interface) noexcept
    : stack_{stack},
      udp_{udp},
      interface_{interface},
      client_{*this, interface.mac, stack.random()} {
  socket_.options.broadcast = true;
  socket_.options.interface = &interface;
  socket_.options.shared = true;  // one on each interface
}

Configurator::~Configurator() { udp_.close(socket_); }

Result<void> Configurator::start(std::uint64_t now, const Options& options) noexcept {
  now_ = now;
  probe_ = options.probe;
  if (!socket_.is_open()) TRY(udp_.open(socket_, {wire::Ipv4Address{}, client_port}));
  client_.start(now, options.spread);
  return {};
}

void Configurator::stop(std::uint64_t now) noexcept {
  now_ = now;
  client_.stop(now);
  udp_.close(socket_);
}

void Configurator::address(const ip::Interface& interface, const ip::LocalAddress& address,
                           ip::AddressEvent event) noexcept {
  if (&interface != &interface_ || address.origin != ip::AddressOrigin::dhcp) return;
  if (event == ip::AddressEvent::expired) return;  // the client keeps the time itself
  (event == ip::AddressEvent::ready ? free_ : conflict_) = true;
  pending_ = true;
}

void Configurator::advance(std::uint64_t now) noexcept {
  now_ = now;
  pending_ = false;
  if (std::exchange(conflict_, false))
    client_.conflict(now);
  else if (std::exchange(free_, false))
    client_.probed(now);
  std::array<std::byte, 1'500> message;
  while (socket_.is_readable()) {
    const auto got = socket_.receive(message);
    if (!got || got->truncated || got->from.port != server_port) continue;
    client_.receive(std::span{message}.first(got->size), now);
  }
  client_.advance(now);
}

void Configurator::send(Bytes message, const wire::Ipv4Address& to, bool from_nobody) noexcept {
  socket_.options.from_nobody = from_nobody;
  // What is lost is sent again, whyever it was lost.
  udp_.send(socket_, {to, server_port}, ip::Pieces{message}, now_).ignore();
}

void Configurator::offered(const Lease& lease) noexcept {
  const auto added = stack_.add_address(
      interface_, {.address = lease.address, .bits = lease.bits, .origin = ip::AddressOrigin::dhcp},
      probe_, now_);
  // One that is ours already, or too many: not to be had.
  if (!added) conflict_ = pending_ = true;
  renewed(lease);
}

void Configurator::renewed(const Lease& lease) noexcept {
  set_route(lease);
  stack_.limit_ipv4_mtu(interface_, lease.mtu);
}

void Configurator::lost(const Lease& lease) noexcept {
  if (router_)
    stack_.remove_route(everything, *std::exchange(router_, std::nullopt), interface_.index)
        .ignore();
  const ip::LocalAddress* mine = interface_.find(lease.address);
  if (mine != nullptr && mine->origin == ip::AddressOrigin::dhcp)
    stack_.remove_address(interface_, lease.address).ignore();
  stack_.limit_ipv4_mtu(interface_, std::nullopt);
  free_ = conflict_ = false;
}

void Configurator::readable(ip::UdpSocket&) noexcept { pending_ = true; }

void Configurator::set_route(const Lease& lease) noexcept {
  if (router_ == lease.router) return;
  if (router_) stack_.remove_route(everything, *router_, interface_.index).ignore();
  router_.reset();
  if (!lease.router) return;
  const ip::Route route{
      .to = everything, .via = *lease.router, .interface = interface_.index, .metric = metric};
  if (stack_.add_route(route)) router_ = lease.router;
}

}  // namespace lichen::net::dhcp

#pragma clang attribute pop

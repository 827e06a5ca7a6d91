// What of an Inet has to do with its devices: an interface of the stack for each, what comes from
// it, its cable.
#include <algorithm>
#include <array>
#include <chrono>
#include <new>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/net/inet/classify.hpp"
#include "lichen/net/inet/inet.hpp"

namespace lichen::net::inet {

using namespace std::chrono_literals;

namespace {

wire::MacAddress mac_of(const io::NetDevice& device) noexcept {
  wire::MacAddress mac;
  const auto octets = device.address();
  for (std::size_t i = 0; i < octets.size(); ++i)
    mac.octets[i] = std::to_integer<std::uint8_t>(octets[i]);
  return mac;
}

}  // namespace

Result<void> Inet::set_up(std::span<io::NetDevice* const> devices, const InetOptions& options) {
  links_.reserve(devices.size());
  TRY(add_link(*devices[0], {.address = options.address, .gateway = options.gateway}));
  for (std::size_t i = 1; i < devices.size(); ++i)
    TRY(add_link(*devices[i], options.others[i - 1]));
  return {};
}

Result<void> Inet::add_link(io::NetDevice& device, const LinkOptions& options) {
  std::unique_ptr<Link> made{new (std::nothrow) Link{device, home_, loans_, stack_, udp_, moved_}};
  if (!made) return Error::no_memory;
  Link& link = *links_.emplace_back(std::move(made));
  link.interface = TRY(stack_.add_interface({.output = link.transmit,
                                             .mac = mac_of(device),
                                             .mtu = static_cast<std::uint32_t>(device.mtu()),
                                             .offloads_checksum = device.features().checksum,
                                             .offloads_segments = cuts_segments(device),
                                             .ipv6 = !follows(),
                                             .router_discovery = !follows(),
                                             .answers = !follows()},
                                            now()));
  // Neighbours tell all of their new addresses.
  if (follows()) return stack_.join(*link.interface, wire::Ipv6Address::all_nodes());
  if (options.address.network.is_unspecified())
    return link.configuration.ask(*link.interface, now());
  link.configuration.told(*link.interface, options.address.network);
  TRY(stack_.add_address(*link.interface,
                         {.address = options.address.network, .bits = options.address.bits},
                         ip::Probe::no, now()));
  if (options.gateway.is_unspecified()) return {};
  const wire::IpAddress any = options.gateway.is_ipv4() ? wire::IpAddress{wire::Ipv4Address{}}
                                                        : wire::IpAddress{wire::Ipv6Address{}};
  return stack_.add_route(
      {.to = {any, 0}, .via = options.gateway, .interface = link.interface->index});
}

std::size_t Inet::name_servers(std::span<wire::IpAddress> into) const noexcept {
  std::size_t count = 0;
  for (const wire::IpAddress& server : name_servers_)
    if (count < into.size() && !server.is_unspecified()) into[count++] = server;
  if (count > 0) return count;
  for (const auto& link : links_) count += link->configuration.name_servers(into.subspan(count));
  return count;
}

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

io::Address Inet::service_address(std::uint16_t port) const {
  if (links_.size() > 1 || links_[0]->configuration.is_asked())
    return address_of(wire::Ipv4Address{}, port);
  return address_of(current_address(0), port);
}

io::Address Inet::reachable_at(const io::Address& at) const {
  if (!address_of(at).is_unspecified()) return at;
  wire::IpAddress first;
  for (const auto& link : links_) {
    const wire::IpAddress own = link->configuration.current_address();
    if (own.is_ipv4() && !own.is_unspecified()) return address_of(own, at.port());
    if (first.is_unspecified()) first = own;
  }
  return first.is_unspecified() ? at : address_of(first, at.port());
}

Task<Result<io::Address>> Inet::reachable_elsewhere(io::Address at, io::Address seen) {
  const io::Stay stay = co_await io::StayOn{home_};
  for (;;) {
    const io::Address now = reachable_at(at);
    if (now != seen && now != at) co_return now;
    moved_.reset();
    CO_TRY(co_await moved_.wait());
  }
}

namespace {

Task<Result<void>> tell_when_up(Configuration& configuration, coro::Semaphore& up) {
  CO_TRY(co_await configuration.up());
  up.release();
  co_return Result<void>{};
}

Task<Result<void>> acquire(coro::Semaphore& up, std::size_t permits) {
  while (permits-- > 0) CO_TRY(co_await up.acquire());
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> Inet::up(Duration limit) {
  if (links_.size() == 1) co_return co_await with_timeout(limit, links_[0]->configuration.up());
  coro::Semaphore up{0};
  Scope waiting{OnError::keep_going};
  for (const auto& link : links_) waiting.spawn(tell_when_up(link->configuration, up));
  const Result<void> outcome = co_await with_timeout(limit, acquire(up, 1));
  // None is waited for in vain for long: there may be nobody who gives it an address.
  if (outcome)
    (co_await with_timeout(std::min<Duration>(limit, 3s), acquire(up, links_.size() - 1))).ignore();
  waiting.request_stop();
  (co_await waiting.join()).ignore();
  co_return outcome;
}

#pragma clang attribute pop

ip::Interface& Inet::group_interface(const wire::IpAddress& group) noexcept {
  ip::Interface* const found = stack_.group_interface(group);
  return found ? *found : *links_[0]->interface;
}

Task<Result<void>> Inet::serve(Link& link) {
  Scope scope;
  scope.spawn(receive_all(link), &home_);
  scope.spawn(link.transmit.run([this]() noexcept { after(now()); }), &home_);
  if (!follows()) scope.spawn(watch(link), &home_);
  const Result<void> outcome = co_await scope.join();
  if (outcome || outcome.failed_with(Error::stopped)) co_return outcome;
  if (--working_links_ == 0) co_return outcome;
  if (!follows())
    base::log::error("net: the device of link {} is given up: {}", link.interface->index,
                     outcome.error());
  const std::uint64_t at = now();
  stack_.set_up(*link.interface, false, at);
  after(at);
  co_return Result<void>{};
}

Task<Result<void>> Inet::receive_all(Link& link) {
  std::array<io::ReceivedFrame, 32> frames;
  for (;;) {
    const std::size_t count = CO_TRY(co_await link.device.receive(frames));
    const io::Stay stay = co_await io::StayOn{home_};  // a device of another core took it there
    const std::uint64_t at = now();
    for (io::ReceivedFrame& frame : std::span{frames}.first(count)) take(link, frame, at);
    after(at);
  }
}

void Inet::take(Link& link, io::ReceivedFrame& frame, std::uint64_t now) noexcept {
  const bool checksum_done = frame.work.needs_checksum || frame.work.checksum_is_right;
  if (Crossing* crossing = shared_.crossing) {
    switch (audience_of(frame.bytes.bytes())) {
      case Audience::here: break;
      case Audience::ports:
        if (const auto to = datagrams_elsewhere(frame.bytes.bytes())) {
          crossing->put(shared_.place, *to,
                        {.bytes = std::exchange(frame.bytes, {}),
                         .interface = link.interface->index,
                         .checksum_done = checksum_done});
          return;
        }
        break;
      case Audience::first:
        if (shared_.place == 0) break;
        crossing->put(shared_.place, 0,
                      {.bytes = std::exchange(frame.bytes, {}),
                       .interface = link.interface->index,
                       .checksum_done = checksum_done});
        return;
      case Audience::all:
        crossing->put_copies(shared_.place, frame.bytes.bytes(), link.interface->index,
                             checksum_done);
        break;
    }
  }
  stack_.receive(*link.interface, std::exchange(frame.bytes, {}), {.checksum_done = checksum_done},
                 now);
}

void Inet::lead() noexcept {
  if (revision_ == stack_.revision()) return;
  revision_ = stack_.revision();
  for (std::size_t i = 0; i < links_.size(); ++i)
    shared_.crossing->announce(i, stack_.settings(*links_[i]->interface));
}

void Inet::follow() noexcept {
  for (std::size_t i = 0; i < links_.size(); ++i)
    if (const auto settings = shared_.crossing->settings_after(i, links_[i]->taken_over))
      stack_.follow(*links_[i]->interface, *settings, now());
}

// Connections outlive a link that comes back; until then it is as if all was lost on the way.
Task<Result<void>> Inet::watch(Link& link) {
  for (io::LinkState seen;;) {
    const Result<io::LinkState> told = co_await link.device.link_changed(seen);
    const io::Stay stay = co_await io::StayOn{home_};
    if (told.failed_with(Error::not_supported)) co_return Result<void>{};
    const io::LinkState state = CO_TRY(told);
    const std::uint64_t at = now();
    if (state.up != seen.up)
      base::log::info("net: link {} is {}", link.interface->index, state.up ? "up" : "down");
    stack_.set_up(*link.interface, state.up, at);
    // It may be another link, or the same one at another place.
    if (state.up) stack_.announce(*link.interface, at);
    seen = state;
    after(at);
  }
}

}  // namespace lichen::net::inet

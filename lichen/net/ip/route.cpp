#include "lichen/net/ip/route.hpp"

#include <algorithm>

namespace lichen::net::ip {

namespace {

// The network without the bits that do not belong to it, so that equal prefixes are equal.
wire::Prefix normalized(wire::Prefix prefix) noexcept {
  const unsigned bits = prefix.network.is_ipv4() ? 96u + prefix.bits : prefix.bits;
  for (unsigned i = 0; i < 16; ++i) {
    if (bits >= 8 * (i + 1)) continue;
    const unsigned keep = bits > 8 * i ? bits - 8 * i : 0;
    prefix.network.octets[i] &= static_cast<std::uint8_t>(0xff00 >> keep);
  }
  return prefix;
}

}  // namespace

Result<void> RouteTable::add(const Route& route) noexcept {
  const bool ipv4 = route.to.network.is_ipv4();
  if (route.to.bits > (ipv4 ? 32 : 128)) return Error::invalid_argument;
  if (!route.on_link() && route.via.is_ipv4() != ipv4) return Error::invalid_argument;
  Route added = route;
  added.to = normalized(route.to);
  (void)remove(added.to, added.via, added.interface);
  if (count_ == most) return Error::limit_reached;
  const auto end = routes_.begin() + count_;
  const auto place = std::find_if(routes_.begin(), end, [&](const Route& other) {
    return other.to.bits < added.to.bits ||
           (other.to.bits == added.to.bits && other.metric > added.metric);
  });
  std::copy_backward(place, end, end + 1);
  *place = added;
  ++count_;
  return {};
}

Result<void> RouteTable::remove(const wire::Prefix& to, const wire::IpAddress& via,
                                std::uint8_t interface) noexcept {
  const wire::Prefix prefix = normalized(to);
  for (std::size_t i = 0; i < count_; ++i) {
    const Route& route = routes_[i];
    if (route.to != prefix || route.interface != interface) continue;
    if (route.via != via && !(route.on_link() && via.is_unspecified())) continue;
    remove_at(i);
    return {};
  }
  return Error::not_found;
}

void RouteTable::remove_interface(std::uint8_t interface) noexcept {
  for (std::size_t i = count_; i-- > 0;)
    if (routes_[i].interface == interface) remove_at(i);
}

std::uint64_t RouteTable::expire(std::uint64_t now) noexcept {
  std::uint64_t next = never;
  for (std::size_t i = count_; i-- > 0;) {
    if (routes_[i].expires <= now)
      remove_at(i);
    else
      next = std::min(next, routes_[i].expires);
  }
  return next;
}

const Route* RouteTable::find(const wire::IpAddress& to, std::uint8_t interface) const noexcept {
  for (const Route& route : all())
    if ((interface == any_interface || route.interface == interface) && route.to.contains(to))
      return &route;
  return nullptr;
}

void RouteTable::remove_at(std::size_t index) noexcept {
  std::copy(routes_.begin() + index + 1, routes_.begin() + count_, routes_.begin() + index);
  --count_;
}

}  // namespace lichen::net::ip

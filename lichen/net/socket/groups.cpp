#include "lichen/net/socket/groups.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/base/foreign_errors.hpp"

namespace lichen::net::socket {

namespace {

using namespace base::linux_errno;
using Bytes = std::span<const std::byte>;

// struct ip_mreqn; ip_mreq is its first half, ip_mreq with a whole interface its first two fields.
struct Request4 {
  wire::Ipv4Address group;
  wire::Ipv4Address address;   // of the interface
  std::int32_t interface = 0;  // its number, from 1; 0: by the address, or any
};
constexpr std::size_t request4_least = 8;

// struct ipv6_mreq.
struct Request6 {
  std::array<std::byte, 16> group;
  std::int32_t interface;
};

// Numbers of Linux begin with 1.
ip::Interface* numbered(ip::Stack& stack, std::int32_t number) noexcept {
  const auto all = stack.interfaces();
  if (number < 1 || static_cast<std::size_t>(number) > all.size()) return nullptr;
  return &all[static_cast<std::size_t>(number) - 1];
}

ip::Interface* interface_for(ip::Stack& stack, const Request4& request) noexcept {
  if (request.interface != 0) return numbered(stack, request.interface);
  if (!request.address.is_unspecified()) return stack.owner_of(request.address);
  return stack.group_interface(request.group);
}

bool read(Bytes value, Request4& request) noexcept {
  if (value.size() < request4_least) return false;
  std::memcpy(&request, value.data(), std::min(value.size(), sizeof request));
  if (value.size() < sizeof request) request.interface = 0;
  return true;
}

bool read(Bytes value, Request6& request) noexcept {
  if (value.size() < sizeof request) return false;
  std::memcpy(&request, value.data(), sizeof request);
  return true;
}

wire::IpAddress group_of(const Request6& request) noexcept {
  wire::Ipv6Address group;
  std::memcpy(group.octets.data(), request.group.data(), request.group.size());
  return group;
}

ip::Interface* interface_for(ip::Stack& stack, const Request6& request) noexcept {
  return request.interface != 0 ? numbered(stack, request.interface)
                                : stack.group_interface(group_of(request));
}

}  // namespace

int Groups::join(ip::Stack& stack, const wire::IpAddress& group,
                 ip::Interface* interface) noexcept {
  if (!group.is_multicast()) return einval;
  if (interface == nullptr) return enodev;
  const Joined joined{group, interface->index};
  const auto all = std::span{joined_}.first(count_);
  if (std::ranges::find(all, joined) != all.end()) return eaddrinuse;
  if (count_ == most || !stack.join(*interface, group)) return enobufs;
  joined_[count_++] = joined;
  return 0;
}

// Without an interface: the first with the group.
int Groups::leave(ip::Stack& stack, const wire::IpAddress& group,
                  ip::Interface* interface) noexcept {
  if (!group.is_multicast()) return einval;
  for (std::size_t i = 0; i < count_; ++i) {
    if (joined_[i].group != group) continue;
    if (interface != nullptr && interface->index != joined_[i].interface) continue;
    stack.leave(stack.interfaces()[joined_[i].interface], group);
    joined_[i] = joined_[--count_];
    return 0;
  }
  return eaddrnotavail;
}

int Groups::join_ipv4(ip::Stack& stack, Bytes value) noexcept {
  Request4 request;
  if (!read(value, request)) return einval;
  return join(stack, request.group, interface_for(stack, request));
}

int Groups::leave_ipv4(ip::Stack& stack, Bytes value) noexcept {
  Request4 request;
  if (!read(value, request)) return einval;
  const bool any = request.interface == 0 && request.address.is_unspecified();
  ip::Interface* interface = any ? nullptr : interface_for(stack, request);
  if (!any && interface == nullptr) return enodev;
  return leave(stack, request.group, interface);
}

int Groups::join_ipv6(ip::Stack& stack, Bytes value) noexcept {
  Request6 request;
  if (!read(value, request)) return einval;
  const wire::IpAddress group = group_of(request);
  // An address of IPv4 in the clothes of IPv6 is none here.
  if (group.is_ipv4()) return einval;
  return join(stack, group, interface_for(stack, request));
}

int Groups::leave_ipv6(ip::Stack& stack, Bytes value) noexcept {
  Request6 request;
  if (!read(value, request)) return einval;
  ip::Interface* interface = request.interface == 0 ? nullptr : numbered(stack, request.interface);
  if (request.interface != 0 && interface == nullptr) return enodev;
  return leave(stack, group_of(request), interface);
}

void Groups::leave_all(ip::Stack& stack) noexcept {
  for (; count_ > 0; --count_)
    stack.leave(stack.interfaces()[joined_[count_ - 1].interface], joined_[count_ - 1].group);
}

}  // namespace lichen::net::socket

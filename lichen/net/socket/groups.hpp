// The groups that a socket has joined: IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP and their opposites.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/ip/stack.hpp"

namespace lichen::net::socket {

// It MUST have left all of them before its socket and the stack go.
class Groups {
 public:
  static constexpr std::size_t most = 20;  // net.ipv4.igmp_max_memberships

  // `value`: as Linux lays it out (ip_mreq, ip_mreqn or ipv6_mreq). All return 0 or a Linux error
  // number.
  [[nodiscard]] int join_ipv4(ip::Stack& stack, std::span<const std::byte> value) noexcept;
  [[nodiscard]] int leave_ipv4(ip::Stack& stack, std::span<const std::byte> value) noexcept;
  [[nodiscard]] int join_ipv6(ip::Stack& stack, std::span<const std::byte> value) noexcept;
  [[nodiscard]] int leave_ipv6(ip::Stack& stack, std::span<const std::byte> value) noexcept;
  void leave_all(ip::Stack& stack) noexcept;

  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  struct Joined {
    wire::IpAddress group;
    std::uint8_t interface = 0;

    bool operator==(const Joined&) const noexcept = default;
  };

  int join(ip::Stack& stack, const wire::IpAddress& group, ip::Interface* interface) noexcept;
  int leave(ip::Stack& stack, const wire::IpAddress& group, ip::Interface* interface) noexcept;

  std::array<Joined, most> joined_;
  std::size_t count_ = 0;
};

}  // namespace lichen::net::socket

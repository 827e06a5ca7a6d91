// The route table: the longest prefix wins, then the smallest metric, then the older entry.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/net/ip/time.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::net::ip {

inline constexpr std::uint8_t any_interface = 0xff;

struct Route {
  wire::Prefix to{};      // bits 0 of either family: the default route
  wire::IpAddress via{};  // unspecified: `to` is on the link
  std::uint8_t interface = 0;
  std::uint32_t metric = 0;
  std::uint64_t expires = never;

  [[nodiscard]] bool on_link() const noexcept { return via.is_unspecified(); }
};

class RouteTable {
 public:
  static constexpr std::size_t most = 64;

  // A route with the same prefix, gateway and interface is replaced. Errors: invalid_argument (bits
  // out of range, families mixed), limit_reached.
  Result<void> add(const Route& route) noexcept;
  // Errors: not_found.
  Result<void> remove(const wire::Prefix& to, const wire::IpAddress& via,
                      std::uint8_t interface) noexcept;
  void remove_interface(std::uint8_t interface) noexcept;
  // Drops what is past its time; returns when the next one will be.
  std::uint64_t expire(std::uint64_t now) noexcept;

  // Null: unreachable. Routes through other interfaces than `interface` do not count.
  [[nodiscard]] const Route* find(const wire::IpAddress& to,
                                  std::uint8_t interface = any_interface) const noexcept;
  // Most specific first.
  [[nodiscard]] std::span<const Route> all() const noexcept {
    return std::span{routes_}.first(count_);
  }

 private:
  void remove_at(std::size_t index) noexcept;

  std::array<Route, most> routes_{};
  std::size_t count_ = 0;
};

}  // namespace lichen::net::ip

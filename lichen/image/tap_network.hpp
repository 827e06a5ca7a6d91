// The option --net: Lichen's own TCP/IP over a TAP device of the host, instead of the host's
// sockets.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::image {

// NAME, NAME=ADDRESS/BITS, NAME=ADDRESS/BITS,GATEWAY or NAME=dhcp. Without an address it is
// 10.9.N.2/24, N being its place among the devices from 0 on, the gateway the first address of the
// network.
struct TapWish {
  std::string name;
  net::wire::Prefix address{};  // unspecified: what the network offers
  net::wire::IpAddress gateway{};

  // Error::invalid_argument.
  static Result<TapWish> parse(std::string_view text, std::size_t place);
  // What root types once, so that the device is there, is this user's, and is up. `exists`: it has
  // been opened, which has made it if it was not there.
  [[nodiscard]] std::string preparation(bool exists) const;
};

class Host;

// Runs the app in a system whose network is our own over these devices, until it ends. Says what is
// wrong, and what to do about it, when one cannot be used. No more than net::inet::Link::most.
Task<Result<void>> run_over_taps(Host& host, std::span<const TapWish> wishes,
                                 std::span<const std::string_view> arguments);

}  // namespace lichen::image

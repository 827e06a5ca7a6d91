// The option --net: Lichen's own TCP/IP over a TAP device of the host, instead of the host's
// sockets.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::image {

// NAME, NAME=ADDRESS/BITS, NAME=ADDRESS/BITS,GATEWAY or NAME=dhcp. Without an address it is
// 10.9.0.2/24, the gateway the first address of the network.
struct TapWish {
  std::string name;
  net::wire::Prefix address{};  // unspecified: what the network offers
  net::wire::IpAddress gateway{};

  // Error::invalid_argument.
  static Result<TapWish> parse(std::string_view text);
  // What root types once, so that the device is there, is this user's, and is up. `exists`: it has
  // been opened, which has made it if it was not there.
  [[nodiscard]] std::string preparation(bool exists) const;
};

class Host;

// Runs the app in a system whose network is our own, until it ends. Says what is wrong, and what to
// do about it, when the device cannot be used.
Task<Result<void>> run_over_tap(Host& host, TapWish wish,
                                std::span<const std::string_view> arguments);

}  // namespace lichen::image

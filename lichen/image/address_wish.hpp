// How an address of our own is written on a command line.
#pragma once

#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::image {

// ADDRESS/BITS, ADDRESS/BITS,GATEWAY or dhcp. Without a gateway that is the first address of the
// network, or the second one where we are the first.
struct AddressWish {
  net::wire::Prefix address{};  // unspecified: what the network offers
  net::wire::IpAddress gateway{};

  // Error::invalid_argument.
  static Result<AddressWish> parse(std::string_view text) noexcept;
  // Why no machine can have that; empty: one can.
  [[nodiscard]] std::string_view problem() const noexcept;
};

}  // namespace lichen::image

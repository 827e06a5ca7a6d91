// What only a program on a host is told on its command line: the values of --net and --disk.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/io/address.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::image {

// NAME, NAME=ADDRESS/BITS, NAME=ADDRESS/BITS,GATEWAY or NAME=dhcp. Without an address it is
// 10.9.N.2/24, N being its place among the devices from 0 on; gateways are those of AddressWish.
struct TapWish {
  std::string name;
  net::wire::Prefix address{};  // unspecified: what the network offers
  net::wire::IpAddress gateway{};
  std::string_view problem;  // why that cannot be had; empty: it can

  // Error::invalid_argument.
  static Result<TapWish> parse(std::string_view text, std::size_t place);
  // What root types once, so that the device is there, is this user's, and is up. `exists`: it has
  // been opened, which has made it if it was not there. In tap_network.cpp.
  [[nodiscard]] std::string preparation(bool exists) const;
};

// All that was said with --net: TAP devices, or host=ADDRESS.
struct NetWish {
  std::vector<TapWish> taps;
  std::optional<io::Address> serve_at;

  // Error::invalid_argument.
  Result<void> add(std::string_view text);
};

// FILE or FILE:ro.
struct DiskWish {
  std::string_view file;
  bool read_only = false;

  static DiskWish parse(std::string_view text) noexcept;
};

}  // namespace lichen::image

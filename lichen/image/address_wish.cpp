#include "lichen/image/address_wish.hpp"

#include <charconv>

namespace lichen::image {

namespace {

using net::wire::IpAddress;

// The first address of a network, which is its router's by custom.
IpAddress first_of(const net::wire::Prefix& network) noexcept {
  if (!network.network.is_ipv4()) return {};
  const std::uint32_t hosts = network.bits == 0 ? UINT32_MAX : UINT32_MAX >> network.bits;
  return net::wire::Ipv4Address::of((network.network.ipv4().number() & ~hosts) + 1);
}

}  // namespace

Result<AddressWish> AddressWish::parse(std::string_view text) noexcept {
  AddressWish wish;
  if (text == "dhcp") return wish;
  const std::size_t comma = text.find(',');
  const std::string_view prefix = text.substr(0, comma);
  const std::size_t slash = prefix.find('/');
  if (slash == std::string_view::npos) return Error::invalid_argument;
  const auto address = IpAddress::parse(prefix.substr(0, slash));
  const std::string_view bits = prefix.substr(slash + 1);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), number);
  if (!address || error != std::errc{} || end != bits.data() + bits.size() ||
      number > (address->is_ipv4() ? 30U : 126U))
    return Error::invalid_argument;
  wish.address = {*address, static_cast<std::uint8_t>(number)};
  wish.gateway = first_of(wish.address);
  if (comma == std::string_view::npos) return wish;
  const auto gateway = IpAddress::parse(text.substr(comma + 1));
  if (!gateway || gateway->is_ipv4() != address->is_ipv4()) return Error::invalid_argument;
  wish.gateway = *gateway;
  return wish;
}

}  // namespace lichen::image

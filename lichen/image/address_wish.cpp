#include "lichen/image/address_wish.hpp"

#include <charconv>

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::image {

namespace {

using net::wire::IpAddress;

// Of an address of IPv4, those of its bits that tell machines of the network apart.
std::uint32_t hosts_of(const net::wire::Prefix& own) noexcept { return UINT32_MAX >> own.bits; }

// The first address of a network, which is its router's by custom.
IpAddress router_beside(const net::wire::Prefix& own) noexcept {
  if (!own.network.is_ipv4()) return {};
  const std::uint32_t number = own.network.ipv4().number();
  const std::uint32_t first = (number & ~hosts_of(own)) + 1;
  return net::wire::Ipv4Address::of(number == first ? first + 1 : first);
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
  if (!address || address->is_unspecified() || error != std::errc{} ||
      end != bits.data() + bits.size() || number > (address->is_ipv4() ? 30U : 126U))
    return Error::invalid_argument;
  wish.address = {*address, static_cast<std::uint8_t>(number)};
  wish.gateway = router_beside(wish.address);
  if (comma == std::string_view::npos) return wish;
  const auto gateway = IpAddress::parse(text.substr(comma + 1));
  if (!gateway || gateway->is_ipv4() != address->is_ipv4()) return Error::invalid_argument;
  wish.gateway = *gateway;
  return wish;
}

std::string_view AddressWish::problem() const noexcept {
  const IpAddress& own = address.network;
  if (own.is_unspecified()) return {};
  if (own.is_multicast() || own.is_loopback()) return "no machine on a network has that address";
  if (own.is_ipv4()) {
    const std::uint32_t host = own.ipv4().number() & hosts_of(address);
    if (host == 0 || host == hosts_of(address)) return "that is the address of a whole network";
  }
  if (gateway.is_unspecified()) return {};
  if (gateway == own) return "the gateway must be another machine";
  if (!address.contains(gateway) && !gateway.is_link_local())
    return "the gateway is not in that network";
  return {};
}

}  // namespace lichen::image

#pragma clang attribute pop

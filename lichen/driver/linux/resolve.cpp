#include "lichen/driver/linux/resolve.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lichen/base/error_map.hpp"
#include "lichen/base/format.hpp"
#include "lichen/driver/linux/socket_address.hpp"

namespace lichen::driver {

Result<io::Address> parse_host(std::string_view host, std::uint16_t port) noexcept {
  const bool bare_ipv6 = host.find(':') != std::string_view::npos && !host.starts_with('[');
  if (host.starts_with("local:")) return Error::invalid_argument;
  const auto text =
      bare_ipv6 ? base::format<128>("[{}]:{}", host, port) : base::format<128>("{}:{}", host, port);
  if (text.truncated()) return Error::invalid_argument;
  return io::Address::parse(text);
}

Result<std::vector<io::Address>> look_up_host(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    switch (error) {
      case EAI_MEMORY: return Error::no_memory;
      case EAI_SYSTEM: return from_errno(errno);
      default: return Error::name_unresolved;
    }
  }
  std::vector<io::Address> addresses;
  for (const addrinfo* entry = found; entry; entry = entry->ai_next) {
    SocketAddress socket_address;
    std::memcpy(&socket_address.storage, entry->ai_addr, entry->ai_addrlen);
    socket_address.size = entry->ai_addrlen;
    io::Address address = socket_address.address();
    address.set_port(port);
    if (address.family() != io::AddressFamily::none &&
        std::ranges::find(addresses, address) == addresses.end())
      addresses.push_back(address);
  }
  freeaddrinfo(found);
  if (addresses.empty()) return Error::name_unresolved;
  return addresses;
}

}  // namespace lichen::driver

#include "lichen/driver/linux/socket_address.hpp"

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace lichen::driver {

namespace {

template <class Sockaddr>
Sockaddr read_as(const sockaddr_storage& storage) noexcept {
  Sockaddr address;
  std::memcpy(&address, &storage, sizeof address);
  return address;
}

template <class Sockaddr>
void write_as(SocketAddress& into, const Sockaddr& address) noexcept {
  std::memcpy(&into.storage, &address, sizeof address);
  into.size = sizeof address;
}

}  // namespace

SocketAddress::SocketAddress(const io::Address& address) noexcept {
  const auto octets = address.octets();
  switch (address.family()) {
    case io::AddressFamily::ipv4: {
      sockaddr_in ipv4{};
      ipv4.sin_family = AF_INET;
      ipv4.sin_port = htons(address.port());
      std::memcpy(&ipv4.sin_addr, octets.data(), octets.size());
      write_as(*this, ipv4);
      break;
    }
    case io::AddressFamily::ipv6: {
      sockaddr_in6 ipv6{};
      ipv6.sin6_family = AF_INET6;
      ipv6.sin6_port = htons(address.port());
      ipv6.sin6_scope_id = address.scope();
      std::memcpy(&ipv6.sin6_addr, octets.data(), octets.size());
      write_as(*this, ipv6);
      break;
    }
    case io::AddressFamily::local: {
      sockaddr_un local{};
      local.sun_family = AF_UNIX;
      std::memcpy(local.sun_path, octets.data(), octets.size());
      const bool abstract = local.sun_path[0] == '@';
      if (abstract) local.sun_path[0] = '\0';
      write_as(*this, local);
      size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + octets.size() +
                                    (abstract ? 0 : 1));
      break;
    }
    case io::AddressFamily::none: size = 0; break;
  }
}

io::Address SocketAddress::address() const noexcept {
  switch (storage.ss_family) {
    case AF_INET: {
      if (size < sizeof(sockaddr_in)) return {};
      const auto ipv4 = read_as<sockaddr_in>(storage);
      std::array<std::uint8_t, 4> octets;
      std::memcpy(octets.data(), &ipv4.sin_addr, octets.size());
      return io::Address::ipv4(octets, ntohs(ipv4.sin_port));
    }
    case AF_INET6: {
      if (size < sizeof(sockaddr_in6)) return {};
      const auto ipv6 = read_as<sockaddr_in6>(storage);
      std::array<std::uint8_t, 16> octets;
      std::memcpy(octets.data(), &ipv6.sin6_addr, octets.size());
      return io::Address::ipv6(octets, ntohs(ipv6.sin6_port), ipv6.sin6_scope_id);
    }
    case AF_UNIX: {
      constexpr std::size_t before = offsetof(sockaddr_un, sun_path);
      if (size <= before) return {};  // a socket without a name
      auto local = read_as<sockaddr_un>(storage);
      std::size_t length = std::min<std::size_t>(size - before, sizeof local.sun_path);
      if (local.sun_path[0] == '\0')
        local.sun_path[0] = '@';
      else
        length = strnlen(local.sun_path, length);
      return io::Address::local({local.sun_path, length}).value_or(io::Address{});
    }
    default: return {};
  }
}

io::Address local_address(int fd) noexcept {
  SocketAddress address;
  if (getsockname(fd, address.data(), &address.size) < 0) return {};
  return address.address();
}

io::Address peer_address(int fd) noexcept {
  SocketAddress address;
  if (getpeername(fd, address.data(), &address.size) < 0) return {};
  return address.address();
}

}  // namespace lichen::driver

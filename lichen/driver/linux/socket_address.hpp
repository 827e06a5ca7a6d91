// Addresses in the host's form.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>

#include "lichen/io/address.hpp"

namespace lichen::driver {

struct SocketAddress {
  SocketAddress() noexcept = default;
  explicit SocketAddress(const io::Address& address) noexcept;

  // An address without a family where the host's form is none of ours.
  [[nodiscard]] io::Address address() const noexcept;
  [[nodiscard]] const sockaddr* data() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
  [[nodiscard]] sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  // The path of a local socket.
  [[nodiscard]] const char* name() const noexcept {
    return reinterpret_cast<const char*>(&storage) + offsetof(sockaddr_un, sun_path);
  }
  [[nodiscard]] int family() const noexcept { return storage.ss_family; }

  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
};

// Of a socket's own and the other end; without a family where there is none.
io::Address local_address(int fd) noexcept;
io::Address peer_address(int fd) noexcept;

}  // namespace lichen::driver

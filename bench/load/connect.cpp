#include "bench/load/connect.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace bench::load {

int connect_to(uint32_t to, uint16_t port) {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return -1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(to);
  if (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    close(socket);
    return -1;
  }
  int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

bool ask(int socket, std::span<const char> request, Responses& responses) {
  if (send(socket, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    return false;
  std::array<char, 16384> buffer;
  while (true) {
    ssize_t length = recv(socket, buffer.data(), buffer.size(), 0);
    if (length <= 0) return false;
    Responses::Fed fed = responses.feed({buffer.data(), static_cast<size_t>(length)});
    if (!fed.valid) return false;
    if (fed.completed != 0) return fed.completed == 1;
  }
}

}  // namespace bench::load

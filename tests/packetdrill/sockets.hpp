// The socket calls of Linux on a World. Numbers of sockets are real descriptors (of nothing), since
// packetdrill closes them itself in the end.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lichen/net/socket/options.hpp"
#include "tests/packetdrill/world.hpp"

namespace lichen::packetdrill {

namespace socket = net::socket;

// Each call returns what it is to return or a negative Linux error number.
class Sockets {
 public:
  using Lock = World::Lock;

  explicit Sockets(World& world, const tcp::Config& config) : world_{world}, config_{config} {}
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;
  ~Sockets();

  [[nodiscard]] bool has(int fd) const { return sockets_.contains(fd); }

  int open(int domain, int type, int protocol);
  int bind(int fd, const sockaddr* address, socklen_t size);
  int listen(int fd, int backlog);
  int accept(Lock& lock, int fd, sockaddr* address, socklen_t* size);
  int connect(Lock& lock, int fd, const sockaddr* address, socklen_t size);
  ssize_t receive(Lock& lock, int fd, std::span<const iovec> into, int flags);
  ssize_t send(Lock& lock, int fd, std::span<const iovec> from, int flags);
  // What of TCP_INQ goes with recvmsg(): how much is left, if that was asked for.
  std::optional<int> unread(int fd);
  int flags(int fd) const;
  int set_flags(int fd, int flags);
  int ioctl(int fd, unsigned long request, int* value);
  int close(Lock& lock, int fd);
  int shutdown(int fd, int how);
  int get_option(int fd, int level, int name, void* value, socklen_t* size);
  int set_option(int fd, int level, int name, const void* value, socklen_t size);
  int poll(Lock& lock, pollfd* fds, nfds_t count, int timeout_ms);
  int epoll_open();
  int epoll_control(int epoll_fd, int operation, int fd, epoll_event* event);
  int epoll_wait(Lock& lock, int epoll_fd, epoll_event* events, int most, int timeout_ms);

 private:
  struct Socket {
    Socket(socket::Family family, const tcp::Config& config)
        : settings{family, socket::Kind::stream, config} {}

    socket::Settings settings;
    bool nonblocking = false;
    std::optional<tcp::Endpoint> local;  // bound
    tcp::Connection* connection = nullptr;
    tcp::Listener listener;
    bool listening = false;
    bool connecting = false;  // nobody was told that it is open
    bool shut_read = false;
    bool shut_write = false;
  };
  struct Watch {
    epoll_event event;
    std::uint32_t told = 0;  // of edges
    std::uint64_t received = 0;
    bool spent = false;  // EPOLLONESHOT
  };
  struct Epoll {
    std::map<int, Watch> watches;
  };

  Socket* find(int fd) const;
  socket::Target target(Socket& socket);
  int add(std::unique_ptr<Socket> socket);
  void touched(Socket& socket);
  [[nodiscard]] std::uint64_t until(std::uint64_t timeout) const;
  [[nodiscard]] int error_of(Socket& socket);
  [[nodiscard]] std::uint32_t events_of(Socket& socket);
  int collect(Epoll& epoll, std::span<epoll_event> events);

  World& world_;
  const tcp::Config config_;
  std::map<int, std::unique_ptr<Socket>> sockets_;
  std::map<int, std::unique_ptr<Epoll>> epolls_;
};

}  // namespace lichen::packetdrill

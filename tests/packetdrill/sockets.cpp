#include "tests/packetdrill/sockets.hpp"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lichen/base/defer.hpp"
#include "lichen/base/error_map.hpp"

namespace lichen::packetdrill {

namespace {

int failed(Error error) { return -to_errno(error); }

// Addresses of IPv4 come mapped into IPv6, too (RFC 4291 section 2.5.5.2).
std::optional<tcp::Endpoint> endpoint_of(const sockaddr* address, socklen_t size) {
  if (address == nullptr || size < sizeof(sockaddr_in)) return std::nullopt;
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    wire::Ipv4Address ip;
    std::memcpy(ip.octets.data(), &in.sin_addr, ip.octets.size());
    return tcp::Endpoint{ip, ntohs(in.sin_port)};
  }
  if (address->sa_family != AF_INET6 || size < sizeof(sockaddr_in6)) return std::nullopt;
  sockaddr_in6 in;
  std::memcpy(&in, address, sizeof in);
  if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
    wire::Ipv4Address ip;
    std::memcpy(ip.octets.data(), in.sin6_addr.s6_addr + 12, ip.octets.size());
    return tcp::Endpoint{ip, ntohs(in.sin6_port)};
  }
  wire::Ipv6Address ip;
  std::memcpy(ip.octets.data(), &in.sin6_addr, ip.octets.size());
  return tcp::Endpoint{ip, ntohs(in.sin6_port)};
}

void tell_address(const tcp::Endpoint& endpoint, socket::Family family, sockaddr* address,
                  socklen_t* size) {
  if (address == nullptr || size == nullptr) return;
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (family == socket::Family::ipv4) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    const wire::Ipv4Address ip = endpoint.address.ipv4();
    std::memcpy(&in.sin_addr, ip.octets.data(), ip.octets.size());
    length = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    if (endpoint.address.is_ipv4()) {
      const wire::Ipv4Address ip = endpoint.address.ipv4();
      in.sin6_addr.s6_addr[10] = in.sin6_addr.s6_addr[11] = 0xff;
      std::memcpy(in.sin6_addr.s6_addr + 12, ip.octets.data(), ip.octets.size());
    } else {
      std::memcpy(&in.sin6_addr, endpoint.address.octets.data(), 16);
    }
    length = sizeof in;
  }
  std::memcpy(address, &storage, std::min(*size, length));
  *size = length;
}

std::size_t size_of(std::span<const iovec> pieces) {
  std::size_t size = 0;
  for (const iovec& piece : pieces) size += piece.iov_len;
  return size;
}

}  // namespace

Sockets::~Sockets() {
  for (auto& [fd, socket] : sockets_) {
    if (socket->connection != nullptr) socket->connection->owner = nullptr;
    if (socket->listening) world_.engine().close(world_.now(), socket->listener);
  }
}

// ---- what sockets are ---------------------------------------------------------------------------

Sockets::Socket* Sockets::find(int fd) const {
  const auto at = sockets_.find(fd);
  return at == sockets_.end() ? nullptr : at->second.get();
}

socket::Target Sockets::target(Socket& socket) {
  return {.settings = socket.settings,
          .now = world_.now(),
          .engine = &world_.engine(),
          .connection = socket.connection,
          .listener = socket.listening ? &socket.listener : nullptr,
          .stack = &world_.stack()};
}

int Sockets::add(std::unique_ptr<Socket> socket) {
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  if (fd < 0) return -errno;
  sockets_[fd] = std::move(socket);
  return fd;
}

void Sockets::touched(Socket& socket) { world_.engine().touched(world_.now(), *socket.connection); }

std::uint64_t Sockets::until(std::uint64_t timeout) const {
  return timeout == 0 ? tcp::never : world_.now() + timeout;
}

int Sockets::error_of(Socket& socket) { return socket::take_error(target(socket)); }

std::uint32_t Sockets::events_of(Socket& socket) {
  if (socket.listening) return socket.listener.waiting > 0 ? POLLIN | POLLRDNORM : 0;
  if (socket.connection == nullptr) return POLLOUT | POLLWRNORM | POLLHUP;
  tcp::Connection& connection = *socket.connection;
  const bool closed = connection.state() == tcp::State::closed;
  std::uint32_t events = 0;
  const bool read_ended = connection.at_end() || socket.shut_read;
  const bool write_ended = closed || socket.shut_write;
  if (closed || (read_ended && write_ended)) events |= POLLHUP;
  if (read_ended) events |= POLLIN | POLLRDNORM | POLLRDHUP;
  if (connection.state() != tcp::State::syn_sent) {
    if (socket::is_readable(target(socket))) events |= POLLIN | POLLRDNORM;
    if (write_ended || connection.is_writable()) events |= POLLOUT | POLLWRNORM;
  }
  if (closed && !socket.settings.error_told && connection.error() != Error::closed)
    events |= POLLERR;
  return events;
}

// ---- opening ------------------------------------------------------------------------------------

int Sockets::open(int domain, int type, int protocol) {
  if (domain != AF_INET && domain != AF_INET6) return -EAFNOSUPPORT;
  if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM) return -ESOCKTNOSUPPORT;
  if (protocol != 0 && protocol != IPPROTO_TCP) return -EPROTONOSUPPORT;
  const auto family = domain == AF_INET ? socket::Family::ipv4 : socket::Family::ipv6;
  auto made = std::make_unique<Socket>(family, config_);
  made->nonblocking = (type & SOCK_NONBLOCK) != 0;
  return add(std::move(made));
}

int Sockets::bind(int fd, const sockaddr* address, socklen_t size) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  if (socket->local || socket->connection != nullptr) return -EINVAL;
  auto local = endpoint_of(address, size);
  if (!local) return -EINVAL;
  if (local->address.is_unspecified())
    local->address = {};
  else
    world_.own(local->address);
  if (local->port != 0) {
    if (!socket->settings.reuse_address && world_.engine().has_connections(*local))
      return -EADDRINUSE;
    for (const auto& [other_fd, other] : sockets_) {
      if (!other->local || *other->local != *local) continue;
      if (other->listening || !other->settings.reuse_address || !socket->settings.reuse_address)
        return -EADDRINUSE;
    }
  }
  socket->local = *local;
  socket->settings.bound = true;
  return 0;
}

int Sockets::listen(int fd, int backlog) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  if (socket->connection != nullptr || !socket->local) return -EINVAL;
  // As in Linux: one more than was asked for.
  socket->listener.backlog = static_cast<std::uint32_t>(std::max(backlog, 0)) + 1;
  if (socket->listening) return 0;
  socket->listener.local = *socket->local;
  socket->listener.config = &socket->settings.tcp;
  socket->listener.families = socket->settings.families();
  if (const auto listening = world_.engine().listen(socket->listener); !listening)
    return failed(listening.error());
  socket->listening = true;
  return 0;
}

int Sockets::accept(Lock& lock, int fd, sockaddr* address, socklen_t* size) {
  Socket* listener = find(fd);
  if (listener == nullptr) return -EBADF;
  if (!listener->listening) return -EINVAL;
  if (listener->listener.waiting == 0) {
    if (listener->nonblocking) return -EAGAIN;
    const bool there = world_.wait(lock, until(listener->settings.receive_timeout), [&] {
      return !listener->listening || listener->listener.waiting > 0;
    });
    if (!there) return -EAGAIN;
    if (!listener->listening) return -EINVAL;
  }
  auto accepted = std::make_unique<Socket>(listener->settings.family, config_);
  accepted->settings = listener->settings;
  accepted->connection = world_.engine().take(listener->listener, accepted.get());
  socket::opened(target(*accepted));
  tell_address(accepted->connection->path().remote, accepted->settings.family, address, size);
  return add(std::move(accepted));
}

int Sockets::connect(Lock& lock, int fd, const sockaddr* address, socklen_t size) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  if (address != nullptr && address->sa_family == AF_UNSPEC) return -EOPNOTSUPP;
  const auto remote = endpoint_of(address, size);
  if (!remote) return -EINVAL;
  if (socket->listening) return -EISCONN;
  if (socket->connection == nullptr) {
    const auto way = world_.stack().way(remote->address,
                                        socket->local ? socket->local->address : wire::IpAddress{},
                                        nullptr, world_.now());
    if (!way) return failed(way.error());
    const std::uint16_t port = socket->local ? socket->local->port : std::uint16_t{0};
    const auto made =
        world_.engine().connect(world_.now(), {.local = {way->from, port}, .remote = *remote},
                                socket, &socket->settings.tcp);
    if (!made) return failed(made.error());
    socket->connection = *made;
    socket->connecting = true;
    socket::opened(target(*socket));
    world_.called(lock);
    if (socket->nonblocking) return -EINPROGRESS;
  }
  if (!socket->connecting) return -EISCONN;
  const auto decided = [&] {
    return socket->connection->state() == tcp::State::closed ||
           socket->connection->state() > tcp::State::syn_received;
  };
  if (!decided()) {
    if (socket->nonblocking) return -EALREADY;
    if (!world_.wait(lock, until(socket->settings.send_timeout), decided)) return -EINPROGRESS;
  }
  socket->connecting = false;
  if (socket->connection->state() != tcp::State::closed) return 0;
  const int error = error_of(*socket);
  return error == 0 ? -ECONNABORTED : -error;
}

// ---- bytes --------------------------------------------------------------------------------------

ssize_t Sockets::receive(Lock& lock, int fd, std::span<const iovec> into, int flags) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  if (socket->connection == nullptr) return -ENOTCONN;
  if ((flags & MSG_ERRQUEUE) != 0) return -EAGAIN;
  if ((flags & MSG_OOB) != 0) return -EINVAL;
  if ((flags & MSG_PEEK) != 0) return -EOPNOTSUPP;
  tcp::Connection& connection = *socket->connection;
  const bool waits = !socket->nonblocking && (flags & MSG_DONTWAIT) == 0;
  const std::size_t wanted = size_of(into);
  const std::size_t enough =
      (flags & MSG_WAITALL) != 0
          ? wanted
          : std::min<std::size_t>(wanted, socket->settings.receive_low_water);
  const std::uint64_t deadline = until(socket->settings.receive_timeout);
  std::size_t taken = 0;
  for (const iovec& piece : into) {
    std::span room{static_cast<std::byte*>(piece.iov_base), piece.iov_len};
    while (!room.empty()) {
      const auto got = connection.read(room);
      if (got && *got > 0) {
        taken += *got;
        room = room.subspan(*got);
        touched(*socket);
        continue;
      }
      if (taken >= enough && taken > 0) return static_cast<ssize_t>(taken);
      if (got) return static_cast<ssize_t>(taken);  // the end
      if (!got.failed_with(Error::would_block)) {
        if (taken > 0) return static_cast<ssize_t>(taken);
        return -error_of(*socket);
      }
      if (socket->shut_read || connection.state() == tcp::State::time_wait)
        return static_cast<ssize_t>(taken);
      const auto ready = [&] {
        return connection.readable() > 0 || connection.at_end() || socket->shut_read;
      };
      if (!waits || !world_.wait(lock, deadline, ready))
        return taken > 0 ? static_cast<ssize_t>(taken) : -EAGAIN;
    }
  }
  return static_cast<ssize_t>(taken);
}

ssize_t Sockets::send(Lock& lock, int fd, std::span<const iovec> from, int flags) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  if (socket->connection == nullptr) return -EPIPE;
  if ((flags & (MSG_FASTOPEN | MSG_OOB)) != 0) return -EOPNOTSUPP;
  tcp::Connection& connection = *socket->connection;
  const bool waits = !socket->nonblocking && (flags & MSG_DONTWAIT) == 0;
  const std::uint64_t deadline = until(socket->settings.send_timeout);
  // Holds back what fills no segment, until something else makes the connection send.
  if ((flags & MSG_MORE) != 0) connection.set_cork(true);
  const base::Defer uncork{[&] { connection.set_cork(socket->settings.cork); }};
  std::size_t written = 0;
  const auto part = [&](int error) { return written > 0 ? static_cast<ssize_t>(written) : -error; };
  if (connection.state() <= tcp::State::syn_received && connection.state() != tcp::State::closed) {
    const auto open = [&] {
      return connection.state() == tcp::State::closed ||
             connection.state() > tcp::State::syn_received;
    };
    if (!waits || !world_.wait(lock, deadline, open)) return -EAGAIN;
  }
  // All pieces are one write: it ends with the last of them.
  std::vector<std::byte> all;
  for (const iovec& piece : from) {
    const auto* bytes = static_cast<const std::byte*>(piece.iov_base);
    all.insert(all.end(), bytes, bytes + piece.iov_len);
  }
  std::span<const std::byte> rest{all};
  while (!rest.empty()) {
    const auto sent = connection.write(world_.now(), rest, (flags & MSG_MORE) != 0);
    if (sent) {
      written += *sent;
      rest = rest.subspan(*sent);
      if (rest.empty() && (flags & MSG_EOR) != 0) connection.end_record();
      touched(*socket);
      continue;
    }
    if (!sent.failed_with(Error::would_block)) {
      const int error = error_of(*socket);
      return part(error == 0 ? EPIPE : error);
    }
    const auto room = [&] {
      return connection.is_writable() || connection.state() == tcp::State::closed;
    };
    if (!waits || !world_.wait(lock, deadline, room)) return part(EAGAIN);
  }
  return static_cast<ssize_t>(written);
}

std::optional<int> Sockets::unread(int fd) {
  Socket* socket = find(fd);
  if (socket == nullptr || !socket->settings.tells_unread) return std::nullopt;
  if (socket->connection == nullptr) return 0;
  // As Linux does: one more for the end.
  const bool end = socket->connection->at_end();
  return static_cast<int>(socket->connection->readable()) + (end ? 1 : 0);
}

// ---- the rest -----------------------------------------------------------------------------------

int Sockets::flags(int fd) const {
  const Socket* socket = find(fd);
  return socket == nullptr ? -EBADF : O_RDWR | (socket->nonblocking ? O_NONBLOCK : 0);
}

int Sockets::set_flags(int fd, int flags) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  socket->nonblocking = (flags & O_NONBLOCK) != 0;
  return 0;
}

int Sockets::ioctl(int fd, unsigned long request, int* value) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  switch (request) {
    case FIONBIO: socket->nonblocking = *value != 0; return 0;
    case SIOCINQ:
    case SIOCOUTQ:
    case SIOCOUTQNSD: break;
    default: return -ENOTTY;
  }
  if (socket->listening) return -EINVAL;
  *value = 0;
  if (socket->connection == nullptr) return 0;
  const tcp::Info info = socket->connection->info(world_.now());
  if (request == SIOCINQ)
    *value = static_cast<int>(info.unread);
  else if (request == SIOCOUTQNSD)
    *value = static_cast<int>(info.unsent);
  else
    *value = static_cast<int>(info.unacked + info.unsent);
  return 0;
}

int Sockets::shutdown(int fd, int how) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
  if (socket->listening && how != SHUT_WR) {
    world_.engine().close(world_.now(), socket->listener);
    socket->listening = false;
    return 0;
  }
  if (socket->connection == nullptr || socket->connection->state() == tcp::State::closed)
    return -ENOTCONN;
  if (how != SHUT_WR) socket->shut_read = true;
  if (how != SHUT_RD) {
    socket->shut_write = true;
    socket->connection->shutdown(world_.now());
    touched(*socket);
  }
  return 0;
}

int Sockets::close(Lock& lock, int fd) {
  if (epolls_.erase(fd) > 0) return ::close(fd) == 0 ? 0 : -errno;
  Socket* found = find(fd);
  if (found == nullptr) return -EBADF;
  for (auto& [epoll_fd, epoll] : epolls_) epoll->watches.erase(fd);
  const std::unique_ptr<Socket> socket = std::move(sockets_[fd]);
  sockets_.erase(fd);
  if (socket->listening) world_.engine().close(world_.now(), socket->listener);
  if (tcp::Connection* connection = socket->connection) {
    const socket::Settings& settings = socket->settings;
    if (settings.linger && settings.linger_seconds == 0) {
      connection->abort(world_.now());
    } else if (settings.linger && !socket->nonblocking) {
      // Until everything is acknowledged, our FIN as well.
      connection->shutdown(world_.now());
      touched(*socket);
      world_.wait(lock, until(settings.linger_seconds * tcp::second), [&] {
        const tcp::State state = connection->state();
        return state == tcp::State::closed || state == tcp::State::fin_wait_2 ||
               state == tcp::State::time_wait;
      });
    }
    world_.engine().release(world_.now(), *connection);
  }
  return ::close(fd) == 0 ? 0 : -errno;
}

int Sockets::get_option(int fd, int level, int name, void* value, socklen_t* size) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  if (static_cast<int>(*size) < 0) return -EINVAL;
  std::size_t length = *size;
  const int error =
      socket::get(target(*socket), level, name, {static_cast<std::byte*>(value), *size}, length);
  *size = static_cast<socklen_t>(length);
  return -error;
}

int Sockets::set_option(int fd, int level, int name, const void* value, socklen_t size) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  return -socket::set(target(*socket), level, name, {static_cast<const std::byte*>(value), size});
}

int Sockets::poll(Lock& lock, pollfd* fds, nfds_t count, int timeout_ms) {
  int ready = 0;
  const auto look = [&] {
    ready = 0;
    for (pollfd& one : std::span{fds, count}) {
      one.revents = 0;
      if (one.fd < 0) continue;
      Socket* socket = find(one.fd);
      const std::uint32_t always = POLLERR | POLLHUP;
      const std::uint32_t asked = static_cast<std::uint16_t>(one.events) | always;
      one.revents = static_cast<short>(socket == nullptr ? POLLNVAL : events_of(*socket) & asked);
      if (one.revents != 0) ++ready;
    }
    return ready > 0;
  };
  if (look() || timeout_ms == 0) return ready;
  const std::uint64_t deadline =
      timeout_ms < 0 ? tcp::never
                     : world_.now() + static_cast<std::uint64_t>(timeout_ms) * tcp::millisecond;
  world_.wait(lock, deadline, look);
  look();
  return ready;
}

// ---- epoll --------------------------------------------------------------------------------------

int Sockets::epoll_open() {
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  if (fd < 0) return -errno;
  epolls_[fd] = std::make_unique<Epoll>();
  return fd;
}

int Sockets::epoll_control(int epoll_fd, int operation, int fd, epoll_event* event) {
  const auto epoll = epolls_.find(epoll_fd);
  if (epoll == epolls_.end() || find(fd) == nullptr) return -EBADF;
  auto& watches = epoll->second->watches;
  const bool watched = watches.contains(fd);
  switch (operation) {
    case EPOLL_CTL_ADD:
      if (watched) return -EEXIST;
      watches[fd] = {.event = *event};
      return 0;
    case EPOLL_CTL_MOD:
      if (!watched) return -ENOENT;
      watches[fd] = {.event = *event};
      return 0;
    case EPOLL_CTL_DEL: return watches.erase(fd) > 0 ? 0 : -ENOENT;
    default: return -EINVAL;
  }
}

int Sockets::collect(Epoll& epoll, std::span<epoll_event> events) {
  std::size_t count = 0;
  for (auto& [fd, watch] : epoll.watches) {
    if (count == events.size()) break;
    Socket& socket = *find(fd);
    const std::uint32_t wanted = watch.event.events | EPOLLERR | EPOLLHUP;
    const std::uint32_t now = events_of(socket) & wanted;
    const std::uint64_t received = socket.connection == nullptr
                                       ? socket.listener.waiting
                                       : socket.connection->statistics().bytes_received;
    // An edge: something that was not told of, or more of what was.
    const bool edge = (now & ~watch.told) != 0 || received > watch.received;
    watch.told &= now;
    if (now == 0 || watch.spent) continue;
    if ((watch.event.events & EPOLLET) != 0 && !edge) continue;
    watch.told = now;
    watch.received = received;
    watch.spent = (watch.event.events & EPOLLONESHOT) != 0;
    events[count++] = {.events = now, .data = watch.event.data};
  }
  return static_cast<int>(count);
}

int Sockets::epoll_wait(Lock& lock, int epoll_fd, epoll_event* events, int most, int timeout_ms) {
  const auto found = epolls_.find(epoll_fd);
  if (found == epolls_.end()) return -EBADF;
  if (most <= 0) return -EINVAL;
  Epoll& epoll = *found->second;
  int count = collect(epoll, {events, static_cast<std::size_t>(most)});
  if (count > 0 || timeout_ms == 0) return count;
  const std::uint64_t deadline =
      timeout_ms < 0 ? tcp::never
                     : world_.now() + static_cast<std::uint64_t>(timeout_ms) * tcp::millisecond;
  world_.wait(lock, deadline, [&] {
    if (count == 0) count = collect(epoll, {events, static_cast<std::size_t>(most)});
    return count > 0;
  });
  return count;
}

}  // namespace lichen::packetdrill

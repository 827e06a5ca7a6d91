// The shared object: packetdrill's table of functions on our Sockets.
//
// Loaded before the program (LD_PRELOAD) it also stands in for getsockopt(), which packetdrill
// calls itself, past the table, for the %{ }% parts of scripts.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/packetdrill/interface.hpp"
#include "tests/packetdrill/sockets.hpp"
#include "tests/packetdrill/sysctl.hpp"

namespace lichen::packetdrill {

namespace {

// Names the file with the settings of the script (sysctl.hpp).
constexpr const char* sysctl_variable = "LICHEN_PACKETDRILL_SYSCTLS";

class Adapter {
 public:
  explicit Adapter(const char* flags) { apply_flags(flags, setup_); }

  [[nodiscard]] World& world() noexcept { return world_; }
  // Null before the first.
  [[nodiscard]] Sockets* sockets() noexcept { return sockets_.get(); }
  // With the script's first socket: its settings are known by then.
  Sockets& start() {
    if (!sockets_) {
      apply_sysctls(std::getenv(sysctl_variable), setup_);
      world_.start(setup_);
      sockets_ = std::make_unique<Sockets>(world_, setup_.tcp.connection);
    }
    return *sockets_;
  }

 private:
  Setup setup_;
  World world_;
  std::unique_ptr<Sockets> sockets_;
};

// Of the getsockopt() that is called past the table.
Adapter* current = nullptr;

Adapter& of(void* user) { return *static_cast<Adapter*>(user); }

template <class T>
T result(T value) {
  if (value >= 0) return value;
  errno = static_cast<int>(-value);
  return -1;
}

// One call of a script, on sockets that exist.
template <class Call>
auto on_sockets(void* user, Call call) {
  World& world = of(user).world();
  World::Lock lock{world.mutex};
  Sockets* sockets = of(user).sockets();
  using Value = decltype(call(*sockets, lock));
  if (sockets == nullptr) return result(static_cast<Value>(-EBADF));
  const Value value = call(*sockets, lock);
  world.called(lock);
  lock.unlock();
  return result(value);
}

// ---- the table ----------------------------------------------------------------------------------

void free_adapter(void* user) {
  if (current == user) current = nullptr;
  delete &of(user);
}

int socket_call(void* user, int domain, int type, int protocol) {
  const World::Lock lock{of(user).world().mutex};
  return result(of(user).start().open(domain, type, protocol));
}

int bind_call(void* user, int fd, const sockaddr* address, socklen_t size) {
  return on_sockets(user, [&](Sockets& s, auto&) { return s.bind(fd, address, size); });
}

int listen_call(void* user, int fd, int backlog) {
  return on_sockets(user, [&](Sockets& s, auto&) { return s.listen(fd, backlog); });
}

int accept_call(void* user, int fd, sockaddr* address, socklen_t* size) {
  return on_sockets(user,
                    [&](Sockets& s, auto& lock) { return s.accept(lock, fd, address, size); });
}

int connect_call(void* user, int fd, const sockaddr* address, socklen_t size) {
  return on_sockets(user,
                    [&](Sockets& s, auto& lock) { return s.connect(lock, fd, address, size); });
}

ssize_t receive(void* user, int fd, std::span<const iovec> into, int flags) {
  return on_sockets(user, [&](Sockets& s, auto& lock) { return s.receive(lock, fd, into, flags); });
}

ssize_t send(void* user, int fd, std::span<const iovec> from, int flags) {
  return on_sockets(user, [&](Sockets& s, auto& lock) { return s.send(lock, fd, from, flags); });
}

iovec piece(const void* bytes, std::size_t size) { return {const_cast<void*>(bytes), size}; }

ssize_t recv_call(void* user, int fd, void* into, std::size_t size, int flags) {
  const iovec one = piece(into, size);
  return receive(user, fd, {&one, 1}, flags);
}

ssize_t read_call(void* user, int fd, void* into, std::size_t size) {
  return recv_call(user, fd, into, size, 0);
}

ssize_t readv_call(void* user, int fd, const iovec* into, int count) {
  return receive(user, fd, {into, static_cast<std::size_t>(count)}, 0);
}

ssize_t recvfrom_call(void* user, int fd, void* into, std::size_t size, int flags, sockaddr*,
                      socklen_t* address_size) {
  if (address_size != nullptr) *address_size = 0;  // of a stream
  return recv_call(user, fd, into, size, flags);
}

ssize_t recvmsg_call(void* user, int fd, msghdr* message, int flags) {
  const ssize_t size = receive(user, fd, {message->msg_iov, message->msg_iovlen}, flags);
  if (size < 0) return size;
  message->msg_namelen = 0;
  message->msg_flags = 0;
  const World::Lock lock{of(user).world().mutex};
  const std::optional<int> unread = of(user).sockets()->unread(fd);
  if (unread && message->msg_controllen >= CMSG_SPACE(sizeof *unread)) {
    cmsghdr* control = CMSG_FIRSTHDR(message);
    control->cmsg_level = socket::level::tcp;
    control->cmsg_type = socket::tcp_option::inq;
    control->cmsg_len = CMSG_LEN(sizeof *unread);
    std::memcpy(CMSG_DATA(control), &*unread, sizeof *unread);
    message->msg_controllen = CMSG_SPACE(sizeof *unread);
  } else {
    message->msg_controllen = 0;
  }
  return size;
}

ssize_t send_call(void* user, int fd, const void* from, std::size_t size, int flags) {
  const iovec one = piece(from, size);
  return send(user, fd, {&one, 1}, flags);
}

ssize_t write_call(void* user, int fd, const void* from, std::size_t size) {
  return send_call(user, fd, from, size, 0);
}

ssize_t writev_call(void* user, int fd, const iovec* from, int count) {
  return send(user, fd, {from, static_cast<std::size_t>(count)}, 0);
}

ssize_t sendto_call(void* user, int fd, const void* from, std::size_t size, int flags,
                    const sockaddr*, socklen_t) {
  return send_call(user, fd, from, size, flags);
}

ssize_t sendmsg_call(void* user, int fd, const msghdr* message, int flags) {
  return send(user, fd, {message->msg_iov, message->msg_iovlen}, flags);
}

int fcntl_call(void* user, int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const int flags = command == F_SETFL ? va_arg(arguments, int) : 0;
  va_end(arguments);
  return on_sockets(user, [&](Sockets& s, auto&) {
    if (command == F_GETFL) return s.flags(fd);
    return command == F_SETFL ? s.set_flags(fd, flags) : -EINVAL;
  });
}

int ioctl_call(void* user, int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  int* value = va_arg(arguments, int*);
  va_end(arguments);
  return on_sockets(user, [&](Sockets& s, auto&) { return s.ioctl(fd, request, value); });
}

int close_call(void* user, int fd) {
  return on_sockets(user, [&](Sockets& s, auto& lock) { return s.close(lock, fd); });
}

int shutdown_call(void* user, int fd, int how) {
  return on_sockets(user, [&](Sockets& s, auto&) { return s.shutdown(fd, how); });
}

int getsockopt_call(void* user, int fd, int level, int name, void* value, socklen_t* size) {
  return on_sockets(user,
                    [&](Sockets& s, auto&) { return s.get_option(fd, level, name, value, size); });
}

int setsockopt_call(void* user, int fd, int level, int name, const void* value, socklen_t size) {
  return on_sockets(user,
                    [&](Sockets& s, auto&) { return s.set_option(fd, level, name, value, size); });
}

int poll_call(void* user, pollfd* fds, nfds_t count, int timeout_ms) {
  return on_sockets(user,
                    [&](Sockets& s, auto& lock) { return s.poll(lock, fds, count, timeout_ms); });
}

int netdev_send(void* user, const void* packet, std::size_t size) {
  World& world = of(user).world();
  World::Lock lock{world.mutex};
  if (!world.started()) return result(-ENETDOWN);
  world.send(lock, {static_cast<const std::byte*>(packet), size});
  return 0;
}

int netdev_receive(void* user, void* packet, std::size_t* size, long long* time_us) {
  World& world = of(user).world();
  World::Lock lock{world.mutex};
  World::Packet next = world.receive(lock);
  if (next.bytes.empty()) {
    // There will never be one, and there is no word for that: what cannot be parsed ends the
    // script.
    std::fputs("lichen: no packet is sent\n", stderr);
    next = {.bytes = {std::byte{0x40}}, .at = world.now()};
  }
  if (next.bytes.size() > *size) return result(-EMSGSIZE);
  std::memcpy(packet, next.bytes.data(), next.bytes.size());
  *size = next.bytes.size();
  *time_us = static_cast<long long>(next.at / 1'000);
  return 0;
}

int usleep_call(void* user, useconds_t us) {
  World& world = of(user).world();
  World::Lock lock{world.mutex};
  world.sleep(lock, std::uint64_t{us} * 1'000);
  return 0;
}

int gettimeofday_call(void* user, timeval* time, struct timezone*) {
  World& world = of(user).world();
  World::Lock lock{world.mutex};
  const std::uint64_t now = world.ask_time(lock);
  time->tv_sec = static_cast<time_t>(now / tcp::second);
  time->tv_usec = static_cast<suseconds_t>(now % tcp::second / 1'000);
  return 0;
}

int epoll_create_call(void* user, int size) {
  const World::Lock lock{of(user).world().mutex};
  return result(size <= 0 ? -EINVAL : of(user).start().epoll_open());
}

int epoll_ctl_call(void* user, int epoll_fd, int operation, int fd, epoll_event* event) {
  return on_sockets(
      user, [&](Sockets& s, auto&) { return s.epoll_control(epoll_fd, operation, fd, event); });
}

int epoll_wait_call(void* user, int epoll_fd, epoll_event* events, int most, int timeout_ms) {
  return on_sockets(user, [&](Sockets& s, auto& lock) {
    return s.epoll_wait(lock, epoll_fd, events, most, timeout_ms);
  });
}

int pipe_call(void*, int*) { return result(-ENOSYS); }

int splice_call(void*, int, loff_t*, int, loff_t*, std::size_t, unsigned) {
  return result(-ENOSYS);
}

}  // namespace
}  // namespace lichen::packetdrill

extern "C" {

__attribute__((visibility("default"))) void packetdrill_interface_init(
    const char* flags, lichen::packetdrill::Interface* table) {
  using namespace lichen::packetdrill;
  auto* adapter = new Adapter{flags};
  current = adapter;
  *table = {
      .user = adapter,
      .free = free_adapter,
      .socket = socket_call,
      .bind = bind_call,
      .listen = listen_call,
      .accept = accept_call,
      .connect = connect_call,
      .read = read_call,
      .readv = readv_call,
      .recv = recv_call,
      .recvfrom = recvfrom_call,
      .recvmsg = recvmsg_call,
      .write = write_call,
      .writev = writev_call,
      .send = send_call,
      .sendto = sendto_call,
      .sendmsg = sendmsg_call,
      .fcntl = fcntl_call,
      .ioctl = ioctl_call,
      .close = close_call,
      .shutdown = shutdown_call,
      .getsockopt = getsockopt_call,
      .setsockopt = setsockopt_call,
      .poll = poll_call,
      .netdev_send = netdev_send,
      .netdev_receive = netdev_receive,
      .usleep = usleep_call,
      .gettimeofday = gettimeofday_call,
      .epoll_create = epoll_create_call,
      .epoll_ctl = epoll_ctl_call,
      .epoll_wait = epoll_wait_call,
      .pipe = pipe_call,
      .splice = splice_call,
  };
}

__attribute__((visibility("default"))) int getsockopt(int fd, int level, int name, void* value,
                                                      socklen_t* size) noexcept {
  using namespace lichen::packetdrill;
  if (current != nullptr && current->sockets() != nullptr && current->sockets()->has(fd))
    return getsockopt_call(current, fd, level, name, value, size);
  return static_cast<int>(::syscall(SYS_getsockopt, fd, level, name, value, size));
}
}

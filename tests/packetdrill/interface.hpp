// What packetdrill's --so_filename expects of a shared object, written from the facts of that
// interface: it looks up packetdrill_interface_init() and calls it with the text of --so_flags and
// a table to fill in. The order and types of the members are its ABI. All calls report errors by -1
// and errno, as the system calls they are named after.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <cstddef>

namespace lichen::packetdrill {

struct Interface {
  void* user;
  void (*free)(void* user);
  int (*socket)(void* user, int domain, int type, int protocol);
  int (*bind)(void* user, int fd, const sockaddr* address, socklen_t size);
  int (*listen)(void* user, int fd, int backlog);
  int (*accept)(void* user, int fd, sockaddr* address, socklen_t* size);
  int (*connect)(void* user, int fd, const sockaddr* address, socklen_t size);
  ssize_t (*read)(void* user, int fd, void* into, std::size_t size);
  ssize_t (*readv)(void* user, int fd, const iovec* into, int count);
  ssize_t (*recv)(void* user, int fd, void* into, std::size_t size, int flags);
  ssize_t (*recvfrom)(void* user, int fd, void* into, std::size_t size, int flags,
                      sockaddr* address, socklen_t* address_size);
  ssize_t (*recvmsg)(void* user, int fd, msghdr* message, int flags);
  ssize_t (*write)(void* user, int fd, const void* from, std::size_t size);
  ssize_t (*writev)(void* user, int fd, const iovec* from, int count);
  ssize_t (*send)(void* user, int fd, const void* from, std::size_t size, int flags);
  ssize_t (*sendto)(void* user, int fd, const void* from, std::size_t size, int flags,
                    const sockaddr* address, socklen_t address_size);
  ssize_t (*sendmsg)(void* user, int fd, const msghdr* message, int flags);
  int (*fcntl)(void* user, int fd, int command, ...);
  int (*ioctl)(void* user, int fd, unsigned long request, ...);
  int (*close)(void* user, int fd);
  int (*shutdown)(void* user, int fd, int how);
  int (*getsockopt)(void* user, int fd, int level, int name, void* value, socklen_t* size);
  int (*setsockopt)(void* user, int fd, int level, int name, const void* value, socklen_t size);
  int (*poll)(void* user, pollfd* fds, nfds_t count, int timeout_ms);
  // A packet for the stack, from its IP header on.
  int (*netdev_send)(void* user, const void* packet, std::size_t size);
  // The next packet of the stack. `size`: the room on the way in. Waits for one.
  int (*netdev_receive)(void* user, void* packet, std::size_t* size, long long* time_us);
  int (*usleep)(void* user, useconds_t us);
  int (*gettimeofday)(void* user, timeval* time, struct timezone* zone);
  int (*epoll_create)(void* user, int size);
  int (*epoll_ctl)(void* user, int epoll_fd, int operation, int fd, epoll_event* event);
  int (*epoll_wait)(void* user, int epoll_fd, epoll_event* events, int most, int timeout_ms);
  int (*pipe)(void* user, int fds[2]);
  int (*splice)(void* user, int from, loff_t* from_at, int to, loff_t* to_at, std::size_t size,
                unsigned flags);
};

using Init = void (*)(const char* flags, Interface* table);
inline constexpr const char* init_name = "packetdrill_interface_init";

}  // namespace lichen::packetdrill

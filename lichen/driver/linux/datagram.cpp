#include "lichen/driver/linux/datagram.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "lichen/base/error_map.hpp"
#include "lichen/driver/linux/socket_address.hpp"

namespace lichen::driver {

Result<std::unique_ptr<io::Datagram>> HostDatagram::create(UringCores& cores,
                                                           const io::Address& at) {
  if (at.family() == io::AddressFamily::none) return Error::invalid_argument;
  const SocketAddress address{at};
  Descriptor fd{::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (fd.get() < 0) return from_errno(errno);
  if (::bind(fd.get(), address.data(), address.size) < 0) return from_errno(errno);
  const io::Address local = at.family() == io::AddressFamily::local ? at : local_address(fd.get());
  std::unique_ptr<io::Datagram> datagram{new (std::nothrow)
                                             HostDatagram{cores, std::move(fd), local}};
  if (!datagram) return Error::no_memory;
  return datagram;
}

Task<Result<io::Received>> HostDatagram::receive(std::span<std::byte> into) {
  SocketAddress from;
  iovec vector{into.data(), into.size()};
  msghdr message{};
  message.msg_name = from.data();
  message.msg_namelen = from.size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  io::Received received;
  received.size = CO_TRY(co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_RECVMSG;
    sqe.fd = fd_.get();
    sqe.addr = reinterpret_cast<std::uint64_t>(&message);
    sqe.len = 1;
  }));
  received.truncated = (message.msg_flags & MSG_TRUNC) != 0;
  from.size = message.msg_namelen;
  received.from = from.address();
  co_return received;
}

Task<Result<void>> HostDatagram::send(std::span<const std::byte> from, const io::Address& to) {
  SocketAddress address{to};
  iovec vector{const_cast<std::byte*>(from.data()), from.size()};
  msghdr message{};
  message.msg_name = address.data();
  message.msg_namelen = address.size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  CO_TRY(co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_SENDMSG;
    sqe.fd = fd_.get();
    sqe.addr = reinterpret_cast<std::uint64_t>(&message);
    sqe.len = 1;
    sqe.msg_flags = MSG_NOSIGNAL;
  }));
  co_return Result<void>{};
}

Task<Result<void>> HostDatagram::join(const io::Address& group) {
  const auto octets = group.octets();
  int failed = -1;
  if (group.family() == io::AddressFamily::ipv4) {
    ip_mreqn request{};
    std::memcpy(&request.imr_multiaddr, octets.data(), octets.size());
    failed = setsockopt(fd_.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
  } else if (group.family() == io::AddressFamily::ipv6) {
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, octets.data(), octets.size());
    request.ipv6mr_interface = group.scope();
    failed = setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request);
  } else {
    co_return Error::invalid_argument;
  }
  if (failed == 0) co_return Result<void>{};
  switch (errno) {
    case ENOBUFS: co_return Error::limit_reached;  // net.ipv4.igmp_max_memberships
    case ENODEV: co_return Error::not_found;
    default: co_return from_errno(errno);
  }
}

}  // namespace lichen::driver

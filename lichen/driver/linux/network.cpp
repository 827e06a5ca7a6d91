#include "lichen/driver/linux/network.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "lichen/base/defer.hpp"
#include "lichen/base/error_map.hpp"
#include "lichen/driver/linux/datagram.hpp"
#include "lichen/driver/linux/listener.hpp"
#include "lichen/driver/linux/resolve.hpp"
#include "lichen/driver/linux/socket.hpp"
#include "lichen/driver/linux/socket_address.hpp"

namespace lichen::driver {

Task<Result<std::unique_ptr<io::Listener>>> HostNetwork::listen(io::Address at,
                                                                io::ListenOptions options) {
  co_return HostListener::create(cores_.here(), at, options);
}

Task<Result<std::unique_ptr<io::Stream>>> HostNetwork::connect(io::Address to) {
  if (to.family() == io::AddressFamily::none) co_return Error::invalid_argument;
  UringCore& core = cores_.here();
  const SocketAddress address{to};
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return from_errno(errno);
  Defer close_it{[fd] { ::close(fd); }};
  if (to.family() != io::AddressFamily::local) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  CO_TRY(co_await core.submit_within(std::chrono::seconds{30}, [&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_CONNECT;
    sqe.fd = fd;
    sqe.addr = reinterpret_cast<std::uint64_t>(address.data());
    sqe.off = address.size;
  }));
  // A task may go on elsewhere than where it waited; the stream belongs to the ring that connected
  // it.
  const io::Stay stay = co_await io::StayOn{core.core()};
  close_it.dismiss();
  co_return make_stream(Socket::create(core, fd));
}

Task<Result<std::unique_ptr<io::Datagram>>> HostNetwork::bind(io::Address at) {
  co_return HostDatagram::create(cores_, at);
}

Task<Result<std::vector<io::Address>>> HostNetwork::resolve(std::string_view host,
                                                            std::uint16_t port) {
  if (host.empty() || host.find('\0') != std::string_view::npos) co_return Error::invalid_argument;
  if (const Result<io::Address> literal = parse_host(host, port))
    co_return std::vector<io::Address>{*literal};
  co_return co_await helpers_.run(cores_.here(), [host = std::string{host}, port]() noexcept {
    return look_up_host(host, port);
  });
}

}  // namespace lichen::driver

#include "lichen/driver/linux/listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "lichen/base/defer.hpp"
#include "lichen/base/error_map.hpp"
#include "lichen/base/log.hpp"
#include "lichen/base/member.hpp"
#include "lichen/driver/linux/socket_address.hpp"
#include "lichen/io/turn.hpp"

namespace lichen::driver {

namespace {

constexpr long long pause_ns = 20'000'000;

bool is_shortage(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// The name in the file system of a listener whose program died stays behind and would block the
// next one. It is removed if nobody has it: a datagram socket is refused there then, and finds the
// wrong type of socket otherwise, without the listener's noticing.
void remove_stale_name(const SocketAddress& address) noexcept {
  struct stat info;
  if (lstat(address.name(), &info) < 0 || !S_ISSOCK(info.st_mode)) return;
  const int probe = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return;
  if (::connect(probe, address.data(), address.size) < 0 && errno == ECONNREFUSED)
    unlink(address.name());
  ::close(probe);
}

// Of a local socket's name in the file system; 0 where there is none.
std::uint64_t inode_of_name(const io::Address& address) noexcept {
  struct stat info;
  if (address.octets()[0] == '@' || lstat(SocketAddress{address}.name(), &info) < 0) return 0;
  return info.st_ino;
}

}  // namespace

Acceptor::Acceptor(UringCore& core, int fd) noexcept
    : core_{core},
      accept_{[](io::Operation& operation, io::Completion completion) noexcept {
        base::holder_of<Acceptor, &Acceptor::accept_>(&operation)->accepted(completion);
      }},
      pause_{[](io::Operation& operation, io::Completion) noexcept {
        Acceptor& self = *base::holder_of<Acceptor, &Acceptor::pause_>(&operation);
        self.pausing_ = false;
        --self.in_flight_;
        if (self.closed_) return self.free_if_done();
        self.news_.notify();
      }},
      close_{[](io::Operation& operation, io::Completion) noexcept {
        Acceptor& self = *base::holder_of<Acceptor, &Acceptor::close_>(&operation);
        --self.in_flight_;
        self.core_.sockets().subtract();
        self.free_if_done();
      }},
      remote_close_{.function =
                        [](RemoteCall& call) noexcept {
                          base::holder_of<Acceptor, &Acceptor::remote_close_>(&call)->close_here();
                        }},
      remote_destroy_{.function =
                          [](RemoteCall& call) noexcept {
                            base::holder_of<Acceptor, &Acceptor::remote_destroy_>(&call)->destroy();
                          }},
      fd_{fd} {
  core.sockets().add();
}

Acceptor* Acceptor::create(UringCore& core, int fd) noexcept {
  void* memory = coro::hooks::allocate_frame(sizeof(Acceptor));
  if (!memory) {
    ::close(fd);
    return nullptr;
  }
  return new (memory) Acceptor{core, fd};
}

Socket* Acceptor::next() noexcept {
  if (queued_ == 0) return nullptr;
  --queued_;
  return std::exchange(first_, first_->next_accepted);
}

void Acceptor::arm() noexcept {
  armed_ = true;
  ++in_flight_;
  io_uring_sqe& sqe = core_.prepare(accept_);
  sqe.opcode = IORING_OP_ACCEPT;
  sqe.fd = fd_;
  sqe.accept_flags = SOCK_CLOEXEC;
  if (core_.features().has(Feature::multishot_accept)) sqe.ioprio = IORING_ACCEPT_MULTISHOT;
}

void Acceptor::accepted(io::Completion completion) noexcept {
  if (completion.result >= 0) {
    if (Socket* socket = closed_ ? nullptr : Socket::create(core_, completion.result)) {
      (queued_ > 0 ? last_->next_accepted : first_) = socket;
      last_ = socket;
      ++queued_;
      complained_ = false;
    } else if (closed_) {
      ::close(completion.result);
    } else {
      log::warning("a connection was cut: out of memory");
    }
  }
  if (!(completion.flags & IORING_CQE_F_MORE)) {
    armed_ = withdrawn_ = false;
    --in_flight_;
    if (closed_) return free_if_done();
    if (completion.result < 0) failed(-completion.result);
  } else if (queued_ >= queue_limit && !withdrawn_) {
    withdrawn_ = true;
    core_.cancel(accept_);
  }
  if (!pausing_) news_.notify();
}

void Acceptor::failed(int error) noexcept {
  if (is_shortage(error)) {
    if (!std::exchange(complained_, true))
      log::warning("cannot accept connections for now ({}): trying again", from_errno(error));
    pause();
    return;
  }
  switch (error) {
    // Of connections that died before they were accepted (accept(2) lists them), and of cancelling.
    case ECANCELED:
    case EINTR:
    case EAGAIN:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: return;
    default: error_ = from_errno(error);
  }
}

void Acceptor::pause() noexcept {
  pausing_ = true;
  ++in_flight_;
  pause_length_.tv_nsec = pause_ns;
  io_uring_sqe& sqe = core_.prepare(pause_);
  sqe.opcode = IORING_OP_TIMEOUT;
  sqe.fd = -1;
  sqe.addr = reinterpret_cast<std::uint64_t>(&pause_length_);
  sqe.len = 1;
}

void Acceptor::close() noexcept {
  if (core_.is_here())
    close_here();
  else
    core_.call(remote_close_);
}

void Acceptor::close_here() noexcept {
  if (std::exchange(closed_, true)) return;
  // The address is free from here on, while the descriptor may take a moment.
  ::shutdown(fd_, SHUT_RDWR);
  while (Socket* socket = next()) socket->close();
  if (armed_ && !withdrawn_) core_.cancel(accept_);
  if (pausing_) core_.cancel(pause_);
  io_uring_sqe& sqe = core_.prepare(close_);
  sqe.opcode = IORING_OP_CLOSE;
  sqe.fd = fd_;
  ++in_flight_;
  news_.notify();
}

void Acceptor::destroy() noexcept {
  if (!core_.is_here()) return core_.call(remote_destroy_);
  close_here();
  destroyed_ = true;
  free_if_done();
}

void Acceptor::free_if_done() noexcept {
  if (in_flight_ > 0 || !destroyed_) return;
  this->~Acceptor();
  coro::hooks::free_frame(this, sizeof(Acceptor));
}

HostListener::~HostListener() {
  remove_name();
  acceptor_.destroy();
}

void HostListener::close() noexcept {
  if (std::exchange(closed_, true)) return;
  remove_name();
  acceptor_.close();
}

void HostListener::remove_name() noexcept {
  if (name_inode_ != 0 && inode_of_name(local_) == std::exchange(name_inode_, 0))
    unlink(SocketAddress{local_}.name());
}

Result<std::unique_ptr<io::Listener>> HostListener::create(UringCore& core, const io::Address& at,
                                                           const io::ListenOptions& options) {
  SocketAddress address{at};
  const bool local = at.family() == io::AddressFamily::local;
  if (at.family() == io::AddressFamily::none) return Error::invalid_argument;
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return from_errno(errno);
  Defer close_it{[fd] { ::close(fd); }};

  const int on = 1;
  if (local) {
    if (at.octets()[0] != '@') remove_stale_name(address);
  } else {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (options.share_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
      return from_errno(errno);
    // Linux hands this down to the connections.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (::bind(fd, address.data(), address.size) < 0) return from_errno(errno);
  if (::listen(fd, static_cast<int>(options.backlog)) < 0) return from_errno(errno);
  const io::Address bound = local ? at : local_address(fd);
  const std::uint64_t name_inode = local ? inode_of_name(bound) : 0;

  close_it.dismiss();
  Acceptor* acceptor = Acceptor::create(core, fd);
  if (!acceptor) return Error::no_memory;
  auto* listener = new (std::nothrow) HostListener{*acceptor, bound, name_inode};
  if (!listener) {
    acceptor->destroy();
    return Error::no_memory;
  }
  return std::unique_ptr<io::Listener>{listener};
}

Task<Result<std::unique_ptr<io::Stream>>> HostListener::accept() {
  const io::Stay stay = co_await io::StayOn{acceptor_.core().core()};
  io::Turn turn{acceptor_.accepting};
  if (!turn) co_return Error::busy;
  for (;;) {
    if (acceptor_.closed()) co_return Error::closed;
    if (Socket* socket = acceptor_.next()) co_return make_stream(socket);
    if (acceptor_.error() != Error{}) co_return acceptor_.error();
    CO_TRY(co_await acceptor_.wait());
  }
}

}  // namespace lichen::driver

#include "lichen/driver/linux/socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "lichen/base/error_map.hpp"
#include "lichen/base/member.hpp"
#include "lichen/driver/linux/socket_address.hpp"
#include "lichen/io/turn.hpp"

namespace lichen::driver {

namespace {

bool same_host(const io::Address& a, const io::Address& b) noexcept {
  return std::ranges::equal(a.octets(), b.octets());
}

}  // namespace

Socket::Socket(UringCore& core, int fd) noexcept
    : core_{core},
      receive_{[](io::Operation& operation, io::Completion completion) noexcept {
        base::holder_of<Socket, &Socket::receive_>(&operation)->received(completion);
      }},
      close_{[](io::Operation& operation, io::Completion) noexcept {
        Socket& self = *base::holder_of<Socket, &Socket::close_>(&operation);
        --self.in_flight_;
        self.free_if_done();
      }},
      register_{[](io::Operation& operation, io::Completion completion) noexcept {
        base::holder_of<Socket, &Socket::register_>(&operation)->file_registered(completion.result);
      }},
      remote_close_{.function =
                        [](RemoteCall& call) noexcept {
                          base::holder_of<Socket, &Socket::remote_close_>(&call)->close_here();
                        }},
      fd_{fd} {
  core.sockets().add();
}

Socket* Socket::create(UringCore& core, int fd) noexcept {
  void* memory = coro::hooks::allocate_frame(sizeof(Socket));
  if (!memory) {
    ::close(fd);
    return nullptr;
  }
  return new (memory) Socket{core, fd};
}

void Socket::register_file() noexcept {
  slot_ = core_.take_slot();
  if (slot_ == UringCore::no_slot) return;
  ++in_flight_;
  io_uring_sqe& sqe = core_.prepare(register_);
  sqe.opcode = IORING_OP_FILES_UPDATE;
  sqe.fd = -1;
  sqe.addr = reinterpret_cast<std::uint64_t>(&fd_);
  sqe.len = 1;
  sqe.off = static_cast<std::uint64_t>(slot_);
}

void Socket::file_registered(std::int32_t result) noexcept {
  --in_flight_;
  slot_ready_ = result == 1;
  if (closing_) free_if_done();
}

// Over loopback the kernel copies what it promised not to, and tells us later than if it had not
// promised (docs/decisions).
bool Socket::may_send_zero_copy() noexcept {
  if (zero_copy_ == ZeroCopy::undecided) {
    const io::Address peer = peer_address(fd_);
    const bool network =
        peer.family() == io::AddressFamily::ipv4 || peer.family() == io::AddressFamily::ipv6;
    const bool ourselves = !core_.options().zero_copy_to_ourselves &&
                           (peer.is_loopback() || same_host(peer, local_address(fd_)));
    zero_copy_ = core_.features().has(Feature::send_zero_copy) && network && !ourselves
                     ? ZeroCopy::yes
                     : ZeroCopy::no;
  }
  return zero_copy_ == ZeroCopy::yes;
}

void Socket::arm() noexcept {
  armed_ = true;
  ++in_flight_;
  if (core_.buffers() && core_.features().has(Feature::multishot_receive) && !starved_)
    arm_multishot();
  else
    arm_poll();
}

void Socket::arm_multishot() noexcept {
  polling_ = false;
  io_uring_sqe& sqe = core_.prepare(receive_);
  sqe.opcode = IORING_OP_RECV;
  sqe.fd = fd_;
  sqe.flags = IOSQE_BUFFER_SELECT;
  sqe.ioprio = IORING_RECV_MULTISHOT;
  sqe.buf_group = core_.buffers()->group();
}

void Socket::arm_poll() noexcept {
  polling_ = true;
  starved_ = false;
  io_uring_sqe& sqe = core_.prepare(receive_);
  sqe.opcode = IORING_OP_POLL_ADD;
  sqe.fd = fd_;
  sqe.poll32_events = POLLIN;
}

void Socket::received(io::Completion completion) noexcept {
  if (completion.flags & IORING_CQE_F_BUFFER) {
    const auto id = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
    BufferRing& buffers = *core_.buffers();
    buffers.taken();
    if (completion.result > 0 && !closing_) {
      buffers.length(id) = static_cast<std::uint32_t>(completion.result);
      buffers.next(id) = BufferRing::none;
      (queued_ > 0 ? buffers.next(last_) : first_) = id;
      last_ = id;
      ++queued_;
    } else {
      buffers.put(id);
    }
  }
  if (!(completion.flags & IORING_CQE_F_MORE)) {
    armed_ = withdrawn_ = false;
    --in_flight_;
    if (closing_) return free_if_done();
    if (polling_)
      became_readable(completion.result);
    else
      request_ended(completion.result);
  } else if (queued_ >= queue_limit && !withdrawn_) {
    withdrawn_ = true;
    core_.cancel(receive_);
  }
  news_.notify();
}

void Socket::request_ended(std::int32_t result) noexcept {
  if (result > 0) return;  // the kernel wants to be asked again
  switch (-result) {
    case 0: ended_ = true; break;
    case ECANCELED:
    case EINTR:
    case EAGAIN: break;
    case ENOBUFS: starved_ = !core_.buffers()->replenish(); break;
    case EINVAL:
    case EOPNOTSUPP: core_.lose_multishot_receive(from_errno(-result)); break;
    default: error_ = from_errno(-result);
  }
}

void Socket::became_readable(std::int32_t result) noexcept {
  if (result > 0)
    readable_ = true;
  else if (result != -ECANCELED && result != -EINTR)
    error_ = from_errno(-result);
}

std::optional<Result<io::Buffer>> Socket::next() noexcept {
  if (!front_.empty()) return std::move(front_);
  if (queued_ > 0) return take_queued();
  if (readable_) return read_now();
  if (error_ != Error{}) return error_;
  if (ended_) return io::Buffer{};
  return std::nullopt;
}

io::Buffer Socket::take_queued() noexcept {
  BufferRing& buffers = *core_.buffers();
  const std::uint16_t id = first_;
  first_ = buffers.next(id);
  --queued_;
  return io::Buffer{buffers, buffers.bytes(id), buffers.length(id)};
}

std::optional<Result<io::Buffer>> Socket::read_now() noexcept {
  io::Buffer buffer = io::allocate_buffer(fallback_size);
  if (buffer.room().empty()) return Error::no_memory;
  readable_ = false;
  const ssize_t size = ::recv(fd_, buffer.room().data(), buffer.room().size(), MSG_DONTWAIT);
  if (size > 0) {
    buffer.extend(static_cast<std::size_t>(size));
    return buffer;
  }
  if (size == 0) {
    ended_ = true;
    return io::Buffer{};
  }
  if (errno == EAGAIN || errno == EINTR) return std::nullopt;
  error_ = from_errno(errno);
  return error_;
}

void Socket::close() noexcept {
  if (core_.is_here())
    close_here();
  else
    core_.call(remote_close_);
}

void Socket::close_here() noexcept {
  closing_ = true;
  front_.release();
  while (queued_ > 0) take_queued().release();
  if (armed_ && !withdrawn_) core_.cancel(receive_);
  if (slot_ != UringCore::no_slot) {
    // After the entry into the table, which may be under way, and before the place is used again.
    static constexpr std::int32_t nothing = -1;
    io_uring_sqe& sqe = core_.prepare_unheard();
    sqe.opcode = IORING_OP_FILES_UPDATE;
    sqe.fd = -1;
    sqe.addr = reinterpret_cast<std::uint64_t>(&nothing);
    sqe.len = 1;
    sqe.off = static_cast<std::uint64_t>(slot_);
  }
  io_uring_sqe& sqe = core_.prepare(close_);
  sqe.opcode = IORING_OP_CLOSE;
  sqe.fd = fd_;
  ++in_flight_;
}

void Socket::free_if_done() noexcept {
  if (in_flight_ > 0) return;
  core_.sockets().subtract();
  if (slot_ != UringCore::no_slot) core_.put_slot(slot_);
  this->~Socket();
  coro::hooks::free_frame(this, sizeof(Socket));
}

Task<Result<io::Buffer>> HostStream::receive() {
  const io::Stay stay = co_await io::StayOn{socket_.core().core()};
  io::Turn turn{socket_.reading};
  if (!turn) co_return Error::busy;
  for (;;) {
    if (auto received = socket_.next()) co_return *std::move(received);
    CO_TRY(co_await socket_.wait());
  }
}

Task<Result<std::size_t>> HostStream::read(std::span<std::byte> into) {
  const io::Stay stay = co_await io::StayOn{socket_.core().core()};
  io::Turn turn{socket_.reading};
  if (!turn) co_return Error::busy;
  for (;;) {
    if (auto received = socket_.next()) {
      io::Buffer buffer = CO_TRY(*std::move(received));
      const std::size_t size = std::min(buffer.size(), into.size());
      std::copy_n(buffer.bytes().data(), size, into.data());
      buffer.consume(size);
      if (!buffer.empty()) socket_.put_back(std::move(buffer));
      co_return size;
    }
    CO_TRY(co_await socket_.wait());
  }
}

Task<Result<std::size_t>> HostStream::write(std::span<const std::byte> from) {
  const io::Stay stay = co_await io::StayOn{socket_.core().core()};
  io::Turn turn{socket_.writing};
  if (!turn) co_return Error::busy;
  co_return CO_TRY(co_await socket_.send(from, 0));
}

Task<Result<void>> HostStream::write_all(std::span<const std::byte> from) {
  const io::Stay stay = co_await io::StayOn{socket_.core().core()};
  io::Turn turn{socket_.writing};
  if (!turn) co_return Error::busy;
  while (!from.empty()) from = from.subspan(CO_TRY(co_await socket_.send(from, MSG_WAITALL)));
  co_return Result<void>{};
}

Task<Result<void>> HostStream::write_pieces(std::span<const std::span<const std::byte>> pieces) {
  const io::Stay stay = co_await io::StayOn{socket_.core().core()};
  io::Turn turn{socket_.writing};
  if (!turn) co_return Error::busy;
  std::array<iovec, 16> vectors;
  msghdr message{};
  message.msg_iov = vectors.data();
  std::size_t sent = 0;  // of the first piece that is left
  while (!pieces.empty()) {
    std::size_t count = 0;
    for (const auto& piece : pieces.first(std::min(pieces.size(), vectors.size())))
      vectors[count++] = {const_cast<std::byte*>(piece.data()), piece.size()};
    vectors[0].iov_base = static_cast<std::byte*>(vectors[0].iov_base) + sent;
    vectors[0].iov_len -= sent;
    message.msg_iovlen = count;
    const bool last = count == pieces.size();
    socket_.will_send();
    sent += CO_TRY(co_await socket_.core().submit([&](io_uring_sqe& sqe) noexcept {
      sqe.opcode = IORING_OP_SENDMSG;
      socket_.name_file(sqe);
      sqe.addr = reinterpret_cast<std::uint64_t>(&message);
      sqe.len = 1;
      sqe.msg_flags = MSG_NOSIGNAL | MSG_WAITALL | (last ? 0 : MSG_MORE);
    }));
    while (!pieces.empty() && sent >= pieces.front().size()) {
      sent -= pieces.front().size();
      pieces = pieces.subspan(1);
    }
  }
  co_return Result<void>{};
}

Task<Result<void>> HostStream::shutdown(io::Direction direction) {
  const int how = direction == io::Direction::send ? SHUT_WR : SHUT_RDWR;
  if (::shutdown(socket_.fd(), how) < 0) co_return from_errno(errno);
  co_return Result<void>{};
}

void HostStream::abort() noexcept {
  // Connecting a TCP socket to nowhere resets the connection at once (tcp_disconnect) and fails the
  // calls that wait on it; sockets of other kinds refuse, and are shut down.
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  if (::connect(socket_.fd(), &nowhere, sizeof nowhere) == 0) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::shutdown(socket_.fd(), SHUT_RDWR);
}

io::Address HostStream::peer() const { return peer_address(socket_.fd()); }

Result<std::unique_ptr<io::Stream>> make_stream(Socket* socket) noexcept {
  if (!socket) return Error::no_memory;
  auto* stream = new HostStream{*socket};
  if (!stream) {
    socket->close();
    return Error::no_memory;
  }
  return std::unique_ptr<io::Stream>{stream};
}

}  // namespace lichen::driver

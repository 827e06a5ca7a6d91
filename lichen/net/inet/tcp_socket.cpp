#include "lichen/net/inet/tcp_socket.hpp"

#include <new>
#include <utility>

#include "lichen/coro/hooks.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/io/turn.hpp"
#include "lichen/net/inet/inet.hpp"

namespace lichen::net::inet {

namespace {

TcpSocket* make_socket(Inet& inet) noexcept {
  void* memory = coro::hooks::allocate_frame(sizeof(TcpSocket));
  return memory ? new (memory) TcpSocket{inet} : nullptr;
}

}  // namespace

InetStream::~InetStream() { socket_.inet.wish(socket_, TcpSocket::release); }

Task<Result<void>> InetStream::connected() {
  const io::Stay stay = co_await io::StayOn{socket_.inet.home()};
  for (;;) {
    const tcp::State state = socket_.connection->state();
    if (state == tcp::State::closed) co_return socket_.connection->error();
    if (state > tcp::State::syn_received) co_return Result<void>{};
    CO_TRY(co_await socket_.writable.wait(socket_.inet.home()));
  }
}

Task<Result<std::size_t>> InetStream::read(std::span<std::byte> into) {
  const io::Stay stay = co_await io::StayOn{socket_.inet.home()};
  io::Turn turn{socket_.reading};
  if (!turn) co_return Error::busy;
  for (;;) {
    const Result<std::size_t> size = socket_.connection->read(into);
    if (!size.failed_with(Error::would_block)) {
      if (size && socket_.connection->wants_flush()) socket_.inet.touched(*socket_.connection);
      co_return size;
    }
    CO_TRY(co_await socket_.readable.wait(socket_.inet.home()));
  }
}

Task<Result<io::Buffer>> InetStream::receive() {
  const io::Stay stay = co_await io::StayOn{socket_.inet.home()};
  io::Turn turn{socket_.reading};
  if (!turn) co_return Error::busy;
  for (;;) {
    Result<io::Buffer> buffer = socket_.connection->receive();
    if (!buffer.failed_with(Error::would_block)) {
      if (buffer && socket_.connection->wants_flush()) socket_.inet.touched(*socket_.connection);
      co_return buffer;
    }
    CO_TRY(co_await socket_.readable.wait(socket_.inet.home()));
  }
}

Task<Result<std::size_t>> InetStream::write(std::span<const std::byte> from) {
  const io::Stay stay = co_await io::StayOn{socket_.inet.home()};
  io::Turn turn{socket_.writing};
  if (!turn) co_return Error::busy;
  for (;;) {
    const Result<std::size_t> size = socket_.connection->write(socket_.inet.now(), from);
    if (!size.failed_with(Error::would_block)) {
      if (size) socket_.inet.touched(*socket_.connection);
      co_return size;
    }
    CO_TRY(co_await socket_.writable.wait(socket_.inet.home()));
  }
}

// `rest`, then the pieces.
Task<Result<void>> InetStream::write_rest(std::span<const std::byte> rest,
                                          std::span<const std::span<const std::byte>> pieces) {
  const io::Stay stay = co_await io::StayOn{socket_.inet.home()};
  io::Turn turn{socket_.writing};
  if (!turn) co_return Error::busy;
  Inet& inet = socket_.inet;
  tcp::Connection& connection = *socket_.connection;
  std::uint64_t at = inet.now();
  for (bool touched = false;;) {
    if (rest.empty()) {
      if (pieces.empty()) break;
      rest = pieces.front();
      pieces = pieces.subspan(1);
      continue;
    }
    const Result<std::size_t> size = connection.write(at, rest);
    if (size) {
      rest = rest.subspan(*size);
      touched = false;
      continue;
    }
    if (!size.failed_with(Error::would_block)) co_return size.error();
    // What is sent now may make room at once, and nobody waits to be told of it yet.
    if (!std::exchange(touched, true)) {
      inet.touched(connection, at);
      continue;
    }
    touched = false;
    CO_TRY(co_await socket_.writable.wait(inet.home()));
    at = inet.now();
  }
  inet.touched(connection, at);
  co_return Result<void>{};
}

Task<Result<void>> InetStream::shutdown(io::Direction direction) {
  const io::Stay stay = co_await io::StayOn{socket_.inet.home()};
  socket_.connection->shutdown(socket_.inet.now());
  socket_.inet.touched(*socket_.connection);
  if (direction == io::Direction::both) socket_.readable.notify();
  co_return Result<void>{};
}

void InetStream::abort() noexcept { socket_.inet.wish(socket_, TcpSocket::abort); }

io::Address InetStream::peer() const {
  const tcp::Endpoint& remote = socket_.connection->path().remote;
  return address_of(remote.address, remote.port);
}

InetListener::~InetListener() { socket_.inet.wish(socket_, TcpSocket::release); }

void InetListener::close() noexcept {
  // On the listener's own core, as everything of it.
  if (std::exchange(socket_.closed, true)) return;
  socket_.inet.now();
  socket_.inet.stop_listening(socket_);
  socket_.inet.after(socket_.inet.now());
  socket_.readable.notify();
}

Task<Result<std::unique_ptr<io::Stream>>> InetListener::accept() {
  Inet& inet = socket_.inet;
  const io::Stay stay = co_await io::StayOn{inet.home()};
  io::Turn turn{socket_.reading};
  if (!turn) co_return Error::busy;
  while (!socket_.closed && socket_.listener.ready.empty())
    CO_TRY(co_await socket_.readable.wait(inet.home()));
  if (socket_.closed) co_return Error::closed;
  TcpSocket* accepted = make_socket(inet);
  if (!accepted) co_return Error::no_memory;
  std::unique_ptr<io::Stream> stream{new (std::nothrow) InetStream{*accepted}};
  if (!stream) {
    inet.wish(*accepted, TcpSocket::release);
    co_return Error::no_memory;
  }
  accepted->connection = inet.engine_.take(socket_.listener, accepted);
  co_return stream;
}

Task<Result<std::unique_ptr<io::Listener>>> Inet::listen(io::Address at,
                                                         io::ListenOptions options) {
  const io::Stay stay = co_await io::StayOn{home_};
  if (at.family() != io::AddressFamily::ipv4 && at.family() != io::AddressFamily::ipv6)
    co_return Error::not_supported;
  TcpSocket* socket = make_socket(*this);
  if (!socket) co_return Error::no_memory;
  socket->listener.local = {address_of(at), at.port()};
  if (socket->listener.local.address.is_unspecified()) socket->listener.local.address = {};
  socket->listener.backlog = options.backlog;
  socket->listener.owner = socket;
  socket->claim.place = shared_.place;
  socket->claim.shared = options.share_port;
  const auto begin = [&]() noexcept -> Result<void> {
    TRY(engine_.listen(socket->listener));
    if (!shared_.crossing) return {};
    socket->claim.local = socket->listener.local;
    const Result<void> claimed = shared_.crossing->claim(socket->claim);
    if (!claimed) engine_.close(now(), socket->listener);
    return claimed;
  };
  Result<void> listening = Error::address_in_use;
  if (at.port() != 0) {
    listening = begin();
  } else {
    // Any that is free, of those that nobody is given (RFC 6335 section 6).
    for (int tries = 0; tries < 1'000 && listening.failed_with(Error::address_in_use); ++tries) {
      const auto port = static_cast<std::uint16_t>(49'152 + stack_.random().below(16'384));
      at.set_port(socket->listener.local.port = port);
      listening = begin();
    }
  }
  socket->listens = listening.has_value();
  std::unique_ptr<io::Listener> listener{new (std::nothrow) InetListener{*socket, at}};
  if (!listener) {
    wish(*socket, TcpSocket::release);
    co_return Error::no_memory;
  }
  CO_TRY(listening);
  co_return listener;
}

Task<Result<std::unique_ptr<io::Stream>>> Inet::connect(io::Address to) {
  const io::Stay stay = co_await io::StayOn{home_};
  if (to.family() != io::AddressFamily::ipv4 && to.family() != io::AddressFamily::ipv6)
    co_return Error::not_supported;
  const std::uint64_t at = now();
  const ip::Way way = CO_TRY(stack_.way(address_of(to), {}, nullptr, at));
  TcpSocket* socket = make_socket(*this);
  if (!socket) co_return Error::no_memory;
  std::unique_ptr<InetStream> stream{new (std::nothrow) InetStream{*socket}};
  if (!stream) {
    wish(*socket, TcpSocket::release);
    co_return Error::no_memory;
  }
  // From a port whose answers come to this core.
  const auto comes_here = [this](const tcp::Path& path) noexcept {
    return !shared_.crossing || shared_.crossing->home(path) == shared_.place;
  };
  socket->connection = CO_TRY(engine_.connect(
      at, {.local = {way.from, 0}, .remote = {way.to, to.port()}}, socket, nullptr, comes_here));
  after(at);
  CO_TRY(co_await stream->connected());
  co_return std::unique_ptr<io::Stream>{std::move(stream)};
}

}  // namespace lichen::net::inet

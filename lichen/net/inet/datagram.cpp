#include "lichen/net/inet/datagram.hpp"

#include <algorithm>
#include <new>

#include "lichen/io/operation.hpp"
#include "lichen/io/turn.hpp"
#include "lichen/net/inet/inet.hpp"

namespace lichen::net::inet {

InetDatagram::~InetDatagram() {
  if (socket_.is_open()) inet_.udp_.close(socket_);
  for (const wire::IpAddress& group : std::span{groups_}.first(group_count_))
    inet_.stack_.leave(*inet_.interface_, group);
  if (group_count_ > 0) inet_.after(inet_.now());
}

Result<void> InetDatagram::open(const io::Address& at) noexcept {
  wire::IpAddress address = address_of(at);
  if (address.is_unspecified()) address = {};
  return inet_.udp_.open(socket_, {address, at.port()});
}

Task<Result<io::Received>> InetDatagram::receive(std::span<std::byte> into) {
  const io::Stay stay = co_await io::StayOn{inet_.home()};
  io::Turn turn{receiving_};
  if (!turn) co_return Error::busy;
  for (;;) {
    const Result<ip::UdpMessage> message = socket_.receive(into);
    if (message)
      co_return io::Received{.size = message->size,
                             .truncated = message->truncated,
                             .from = address_of(message->from.address, message->from.port)};
    if (!message.failed_with(Error::would_block)) co_return message.error();
    CO_TRY(co_await news_.wait(inet_.home()));
  }
}

Task<Result<void>> InetDatagram::send(std::span<const std::byte> from, const io::Address& to) {
  const io::Stay stay = co_await io::StayOn{inet_.home()};
  const std::uint64_t at = inet_.now();
  const Result<void> sent =
      inet_.udp_.send(socket_, {address_of(to), to.port()}, ip::Pieces{from}, at);
  inet_.after(at);
  co_return sent;
}

Task<Result<void>> InetDatagram::join(const io::Address& group) {
  const io::Stay stay = co_await io::StayOn{inet_.home()};
  if (group.family() != io::AddressFamily::ipv4 && group.family() != io::AddressFamily::ipv6)
    co_return Error::invalid_argument;
  const wire::IpAddress address = address_of(group);
  const auto joined = std::span{groups_}.first(group_count_);
  if (std::ranges::find(joined, address) != joined.end()) co_return Error::address_in_use;
  if (group_count_ == most_groups) co_return Error::limit_reached;
  CO_TRY(inet_.stack_.join(*inet_.interface_, address));
  groups_[group_count_++] = address;
  inet_.after(inet_.now());
  co_return Result<void>{};
}

io::Address InetDatagram::local() const {
  return address_of(socket_.local().address, socket_.local().port);
}

Task<Result<std::unique_ptr<io::Datagram>>> Inet::bind(io::Address at) {
  const io::Stay stay = co_await io::StayOn{home_};
  if (at.family() != io::AddressFamily::ipv4 && at.family() != io::AddressFamily::ipv6)
    co_return Error::not_supported;
  std::unique_ptr<InetDatagram> datagram{new (std::nothrow) InetDatagram{*this}};
  if (!datagram) co_return Error::no_memory;
  CO_TRY(datagram->open(at));
  co_return std::unique_ptr<io::Datagram>{std::move(datagram)};
}

}  // namespace lichen::net::inet

#include "lichen/net/inet/datagram.hpp"

#include <algorithm>
#include <new>

#include "lichen/io/operation.hpp"
#include "lichen/io/turn.hpp"
#include "lichen/net/inet/inet.hpp"

namespace lichen::net::inet {

UdpEnd::~UdpEnd() {
  if (socket.is_open()) inet.udp_.close(socket);
  for (const Group& group : std::span{groups}.first(group_count)) {
    if (!inet.follows())
      inet.stack_.leave(inet.stack_.interfaces()[group.interface], group.address);
    else  // with no room for that on its way, the machine stays in the group
      inet.shared_.crossing->put(
          inet.shared_.place, 0,
          {.to = group.address, .kind = ParcelKind::leave, .interface = group.interface});
  }
  if (group_count > 0) inet.after(inet.now());
}

Result<void> UdpEnd::open(const io::Address& at) noexcept {
  wire::IpAddress address = address_of(at);
  if (address.is_unspecified()) address = {};
  return inet.udp_.open(socket, {address, at.port()});
}

InetDatagram::InetDatagram(std::unique_ptr<UdpEnd> end) noexcept
    : end_{*end}, local_{address_of(end->socket.local().address, end->socket.local().port)} {
  static_cast<void>(end.release());
}

InetDatagram::~InetDatagram() { end_.inet.release(end_); }

Task<Result<io::Received>> InetDatagram::receive(std::span<std::byte> into) {
  const io::Stay stay = co_await io::StayOn{end_.inet.home()};
  io::Turn turn{end_.receiving};
  if (!turn) co_return Error::busy;
  for (;;) {
    const Result<ip::UdpMessage> message = end_.socket.receive(into);
    if (message)
      co_return io::Received{.size = message->size,
                             .truncated = message->truncated,
                             .from = address_of(message->from.address, message->from.port)};
    if (!message.failed_with(Error::would_block)) co_return message.error();
    CO_TRY(co_await end_.news.wait(end_.inet.home()));
  }
}

Task<Result<void>> InetDatagram::send(std::span<const std::byte> from, const io::Address& to) {
  Inet& inet = end_.inet;
  const io::Stay stay = co_await io::StayOn{inet.home()};
  const std::uint64_t at = inet.now();
  const Result<void> sent =
      inet.udp_.send(end_.socket, {address_of(to), to.port()}, ip::Pieces{from}, at);
  inet.after(at);
  co_return sent;
}

// The first core has the conversation with the network, also about groups.
Task<Result<void>> InetDatagram::join(const io::Address& group) {
  if (group.family() != io::AddressFamily::ipv4 && group.family() != io::AddressFamily::ipv6)
    co_return Error::invalid_argument;
  const wire::IpAddress address = address_of(group);
  Inet& inet = end_.inet;
  {
    const io::Stay stay = co_await io::StayOn{inet.home()};
    const auto joined = std::span{end_.groups}.first(end_.group_count);
    if (std::ranges::find(joined, address, &UdpEnd::Group::address) != joined.end())
      co_return Error::address_in_use;
    if (end_.group_count == UdpEnd::most_groups) co_return Error::limit_reached;
    end_.groups[end_.group_count++] = {address};
  }
  Result<void> joined;
  std::uint8_t interface = 0;
  {
    Inet& leader = inet.follows() ? *inet.shared_.leader : inet;
    const io::Stay stay = co_await io::StayOn{leader.home()};
    ip::Interface& there = leader.group_interface(address);
    interface = there.index;
    joined = leader.stack_.join(there, address);
    if (joined) leader.after(leader.now());
  }
  const io::Stay stay = co_await io::StayOn{inet.home()};
  const auto groups = std::span{end_.groups}.first(end_.group_count);
  const auto mine = std::ranges::find(groups, address, &UdpEnd::Group::address);
  mine->interface = interface;
  if (joined) co_return Result<void>{};
  *mine = groups.back();
  --end_.group_count;
  co_return joined;
}

Task<Result<std::unique_ptr<io::Datagram>>> Inet::bind(io::Address at) {
  const io::Stay stay = co_await io::StayOn{home_};
  if (at.family() != io::AddressFamily::ipv4 && at.family() != io::AddressFamily::ipv6)
    co_return Error::not_supported;
  std::unique_ptr<UdpEnd> end{new (std::nothrow) UdpEnd{*this}};
  if (!end) co_return Error::no_memory;
  CO_TRY(end->open(at));
  std::unique_ptr<io::Datagram> datagram{new (std::nothrow) InetDatagram{std::move(end)}};
  if (!datagram) co_return Error::no_memory;
  co_return datagram;
}

}  // namespace lichen::net::inet

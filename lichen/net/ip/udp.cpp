#include "lichen/net/ip/udp.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace lichen::net::ip {

namespace {

// Any address of either family, and 0.0.0.0: any of IPv4.
bool is_any(const wire::IpAddress& address) noexcept { return address.is_unspecified(); }

// How well a socket fits a datagram; 0: not at all.
unsigned fit(const UdpSocket& socket, const Arrival& arrival, std::uint16_t from_port,
             std::uint16_t to_port) noexcept {
  if (socket.local().port != to_port) return 0;
  if (socket.options.interface != nullptr && socket.options.interface != &arrival.interface)
    return 0;
  unsigned score = 1;
  const wire::IpAddress& local = socket.local().address;
  if (is_any(local)) {
    if (local.is_ipv4() != arrival.to.is_ipv4() && (local.is_ipv4() || socket.options.ipv6_only))
      return 0;
  } else {
    // One that is bound to an address of a network hears what is for all in it.
    if (local != arrival.to) return 0;
    score += 1;
  }
  if (socket.remote()) {
    if (*socket.remote() != Endpoint{arrival.from, from_port}) return 0;
    score += 2;
  }
  return score;
}

}  // namespace

Result<UdpMessage> UdpSocket::receive(std::span<std::byte> into) noexcept {
  if (error_) {
    const Error error = *error_;
    error_.reset();
    return error;
  }
  if (queue_.empty()) return Error::would_block;
  const auto record = queue_.front();
  UdpMessage message;
  std::memcpy(&message, record.data(), sizeof message);
  const auto payload = record.subspan(sizeof message);
  message.size = std::min(payload.size(), into.size());
  message.truncated = message.size < payload.size();
  std::ranges::copy(payload.first(message.size), into.begin());
  queue_.pop();
  return message;
}

Udp::Udp(Stack& stack) noexcept : stack_{stack} { stack_.set_transport(wire::protocol::udp, this); }

Udp::~Udp() { stack_.set_transport(wire::protocol::udp, nullptr); }

Result<void> Udp::open(UdpSocket& socket, const Endpoint& local) noexcept {
  if (socket.is_open()) return Error::invalid_state;
  const wire::IpAddress& address = local.address;
  if (!address.is_unspecified() && !address.is_multicast() && stack_.owner_of(address) == nullptr)
    return Error::address_unavailable;
  Endpoint chosen = local;
  if (chosen.port == 0)
    chosen.port = TRY(choose_port(socket, address));
  else if (!is_free(socket, chosen))
    return Error::address_in_use;
  else if (ports_ && !has(chosen.port))
    TRY(ports_->claim(chosen.port));
  socket.local_ = chosen;
  socket.remote_.reset();
  socket.error_.reset();
  socket.recent_ = {};
  bucket(chosen.port).push_front(socket);
  return {};
}

Result<void> Udp::connect(UdpSocket& socket, const Endpoint& remote, std::uint64_t now) noexcept {
  if (remote.port == 0) return Error::invalid_argument;
  const wire::IpAddress from =
      is_any(socket.local_.address) ? wire::IpAddress{} : socket.local_.address;
  const Way way = TRY(stack_.way(remote.address, from, socket.options.interface, now));
  if (!socket.is_open()) TRY(open(socket, {way.from, 0}));
  socket.remote_ = remote;
  socket.queue_.clear();  // what came from others before
  return {};
}

void Udp::close(UdpSocket& socket) noexcept {
  if (socket.is_open()) {
    socket.node_.unlink();
    if (ports_ && !has(socket.local_.port)) ports_->release(socket.local_.port);
  }
  socket.queue_.clear();
  socket.local_ = {};
  socket.remote_.reset();
  socket.error_.reset();
}

Result<void> Udp::send(UdpSocket& socket, const Endpoint& to, const Pieces& payload,
                       std::uint64_t now) noexcept {
  if (!socket.is_open()) return Error::invalid_state;
  if (to.port == 0) return Error::invalid_argument;
  const UdpOptions& options = socket.options;
  const bool ipv4 = to.address.is_ipv4();
  if (payload.size() > (ipv4 ? most_payload_ipv4 : most_payload_ipv6)) return Error::too_large;
  const bool choose = is_any(socket.local_.address) || socket.local_.address.is_multicast();
  wire::IpAddress from = choose ? wire::IpAddress{} : socket.local_.address;
  if (options.from_nobody) from = wire::Ipv4Address{};
  const Way way = TRY(stack_.way(to.address, from, options.interface, now));
  if (!options.broadcast && way.interface->is_broadcast(to.address)) return Error::access_denied;

  const std::size_t size = wire::UdpHeader::size + payload.size();
  std::array<std::byte, wire::UdpHeader::size> header;
  wire::write(header, wire::UdpHeader{socket.local_.port, to.port}, payload.size());
  wire::Sum sum = wire::pseudo_header(way.from, way.to, wire::protocol::udp, size);
  Offload offload;
  if (way.offloads_checksum && size <= way.room()) {
    wire::seal_partial<wire::UdpHeader>(header, sum);
    offload.checksum = true;
    offload.checksum_offset = wire::UdpHeader::checksum_at;
  } else {
    for (const Bytes piece : payload.all()) sum.add(piece);
    wire::seal<wire::UdpHeader>(header, sum);
  }
  Pieces datagram{header};
  if (!payload.cut(0, payload.size(), datagram)) return Error::invalid_argument;
  if (!socket.remote_) {
    if (std::ranges::find(socket.recent_, to) == socket.recent_.end())
      socket.recent_[socket.next_recent_++ % UdpSocket::most_recent] = to;
  }
  return stack_.send(
      way,
      {.protocol = wire::protocol::udp,
       .hop_limit = to.address.is_multicast() ? options.group_hop_limit : options.hop_limit,
       .traffic_class = options.traffic_class,
       .dont_fragment = options.dont_fragment,
       .payload = datagram,
       .offload = offload},
      now);
}

Verdict Udp::receive(const Arrival& arrival, std::uint64_t) noexcept {
  const auto datagram = wire::parse_udp(
      arrival.payload, arrival.verify(),
      arrival.to.is_ipv4() ? wire::NoChecksum::accepted : wire::NoChecksum::refused);
  if (!datagram) {
    arrival.interface.counters.count(datagram.error());
    return Verdict::taken;
  }
  Bucket& sockets = bucket(datagram->to_port);
  UdpSocket* best = nullptr;
  unsigned best_score = 0;
  bool any = false;
  for (auto at = sockets.begin(); at != sockets.end();) {
    UdpSocket& socket = *at++;  // a waiter may close its socket
    const unsigned score = fit(socket, arrival, datagram->from_port, datagram->to_port);
    if (score == 0) continue;
    any = true;
    if (arrival.to_group) {
      enqueue(socket, arrival, *datagram);
    } else if (score > best_score) {
      best = &socket;
      best_score = score;
    }
  }
  if (best != nullptr) enqueue(*best, arrival, *datagram);
  return any ? Verdict::taken : Verdict::nobody;
}

void Udp::enqueue(UdpSocket& socket, const Arrival& arrival,
                  const wire::UdpDatagram& datagram) noexcept {
  const UdpMessage message{.from = {arrival.from, datagram.from_port},
                           .to = arrival.to,
                           .interface = arrival.interface.index,
                           .traffic_class = arrival.traffic_class};
  const auto room = socket.queue_.push(sizeof message + datagram.payload.size());
  if (room.data() == nullptr) {
    ++socket.dropped_;
    return arrival.interface.counters.count(Drop::receiver_full);
  }
  std::memcpy(room.data(), &message, sizeof message);
  std::ranges::copy(datagram.payload, room.begin() + sizeof message);
  if (socket.waiter_ != nullptr) socket.waiter_->readable(socket);
}

// RFC 1122 section 4.1.3.3; RFC 8085 section 5.2: an error counts if it is about a socket that is
// there and has sent to whom it says.
bool Udp::failed(const wire::Quote& quote, const Failure& failure, std::uint64_t) noexcept {
  const Endpoint to{quote.to, quote.to_port};
  bool believed = false;
  for (UdpSocket& socket : bucket(quote.from_port)) {
    if (socket.local_.port != quote.from_port) continue;
    if (!is_any(socket.local_.address) && socket.local_.address != quote.from) continue;
    if (socket.remote_ ? *socket.remote_ != to
                       : std::ranges::find(socket.recent_, to) == socket.recent_.end())
      continue;
    believed = true;
    if (!socket.remote_) continue;
    switch (failure.kind) {
      case FailureKind::refused: socket.error_ = Error::connection_refused; break;
      case FailureKind::too_big:
        // Without dont_fragment the next one is cut.
        if (!socket.options.dont_fragment) continue;
        socket.error_ = Error::too_large;
        break;
      case FailureKind::malformed: socket.error_ = Error::protocol_error; break;
      default: socket.error_ = Error::unreachable; break;
    }
    if (socket.waiter_ != nullptr) {
      socket.waiter_->readable(socket);
      break;  // it may have closed any of them
    }
  }
  return believed;
}

bool Udp::is_free(const UdpSocket& socket, const Endpoint& local) noexcept {
  for (const UdpSocket& other : bucket(local.port)) {
    if (other.local_.port != local.port) continue;
    const bool overlap = is_any(local.address) || is_any(other.local_.address) ||
                         local.address == other.local_.address;
    if (overlap && !(socket.options.shared && other.options.shared)) return false;
  }
  return true;
}

bool Udp::has(std::uint16_t port) noexcept {
  for (const UdpSocket& other : bucket(port))
    if (other.local_.port == port) return true;
  return false;
}

// RFC 6056 section 3.3.1: anywhere, then the next ones.
Result<std::uint16_t> Udp::choose_port(const UdpSocket& socket, wire::IpAddress address) noexcept {
  constexpr std::uint32_t range = 65'536 - first_ephemeral;
  const std::uint32_t start = static_cast<std::uint32_t>(stack_.random().below(range));
  for (std::uint32_t i = 0; i < range; ++i) {
    const auto port = static_cast<std::uint16_t>(first_ephemeral + (start + i) % range);
    if (!is_free(socket, {address, port})) continue;
    if (!ports_ || has(port)) return port;
    const Result<void> claimed = ports_->claim(port);
    if (claimed) return port;
    if (!claimed.failed_with(Error::address_in_use)) return claimed.error();
  }
  return Error::limit_reached;
}

}  // namespace lichen::net::ip

// ICMP (RFC 792, RFC 1122 section 3.2.2) and ICMPv6 (RFC 4443): errors both ways, and echo.
#include <algorithm>

#include "lichen/net/ip/stack.hpp"
#include "lichen/net/wire/fields.hpp"

namespace lichen::net::ip {

namespace {

constexpr std::size_t most_error_ipv4 = 576;  // RFC 1812 section 4.3.2.3, of the whole packet
constexpr std::size_t most_error_ipv6 = least_ipv6_mtu;

bool is_error(std::uint8_t type, bool ipv4) noexcept {
  if (!ipv4) return type < 128;
  namespace icmp = wire::icmp;
  constexpr std::uint8_t source_quench = 4;
  return type == icmp::unreachable || type == source_quench || type == icmp::redirect ||
         type == icmp::time_exceeded || type == icmp::parameter_problem;
}

// RFC 1191 section 5 and 7: old routers do not say how much, so the next usual size below.
std::uint32_t plateau_below(std::uint32_t size) noexcept {
  for (const std::uint32_t plateau : {32'000, 17'914, 8'166, 4'352, 2'002, 1'492, 1'006})
    if (plateau < size) return plateau;
  return least_ipv4_mtu;
}

Failure failure_of_ipv4(const wire::IcmpMessage& message) noexcept {
  namespace icmp = wire::icmp;
  if (message.type == icmp::time_exceeded) return {FailureKind::time_exceeded};
  if (message.type == icmp::parameter_problem) return {FailureKind::malformed};
  switch (message.code) {
    case icmp::protocol_unreachable:
    case icmp::port_unreachable: return {FailureKind::refused};
    case icmp::fragmentation_needed: {
      // Of a packet that was no larger than what is said to pass this is no news.
      const std::uint32_t sent = message.body.size() < 4 ? 0 : wire::load16(message.body, 2);
      const std::uint32_t said = message.word & 0xffff;
      return {FailureKind::too_big, said == 0 || said >= sent ? plateau_below(sent) : said};
    }
    default: return {FailureKind::unreachable};
  }
}

Failure failure_of_ipv6(const wire::IcmpMessage& message) noexcept {
  namespace icmpv6 = wire::icmpv6;
  switch (message.type) {
    case icmpv6::packet_too_big: return {FailureKind::too_big, message.word};
    case icmpv6::time_exceeded: return {FailureKind::time_exceeded};
    case icmpv6::parameter_problem:
      return {message.code == icmpv6::unknown_next_header ? FailureKind::refused
                                                          : FailureKind::malformed};
    default:
      return {message.code == icmpv6::port_unreachable ? FailureKind::refused
                                                       : FailureKind::unreachable};
  }
}

}  // namespace

void Stack::receive_icmp(const Arrival& arrival) noexcept {
  namespace icmp = wire::icmp;
  Counters& counters = arrival.interface.counters;
  const auto message = wire::parse_icmp(arrival.payload, arrival.interface.is_loopback()
                                                             ? wire::Verify::done_by_device()
                                                             : wire::Verify{});
  if (!message) return counters.count(message.error());
  switch (message->type) {
    case icmp::echo_request:
      if (arrival.to_group) return counters.count(Drop::broadcast_echo);
      return answer_echo(arrival, *message, icmp::echo_reply);
    case icmp::echo_reply:
      if (echo_client_ == nullptr) return counters.count(Drop::unsolicited);
      return echo_client_->echo_reply(arrival, *message, now_);
    case icmp::unreachable:
    case icmp::time_exceeded:
    case icmp::parameter_problem:
      return receive_error(arrival, *message, failure_of_ipv4(*message));
    // Redirects are not followed: anybody on the link could steer us.
    default: return counters.count(Drop::unknown_message);
  }
}

void Stack::receive_icmpv6(const Arrival& arrival) noexcept {
  namespace icmpv6 = wire::icmpv6;
  Counters& counters = arrival.interface.counters;
  const auto message = wire::parse_icmp(
      arrival.payload,
      arrival.interface.is_loopback()
          ? wire::Verify::done_by_device()
          : wire::Verify{wire::pseudo_header(arrival.from, arrival.to, wire::protocol::icmpv6,
                                             arrival.payload.size())});
  if (!message) return counters.count(message.error());
  if (receive_ndp(arrival, *message)) return;
  // Only neighbour discovery has a use for packets from nobody.
  if (arrival.from.is_unspecified()) return counters.count(Drop::martian_source);
  switch (message->type) {
    case icmpv6::echo_request: return answer_echo(arrival, *message, icmpv6::echo_reply);
    case icmpv6::listener_query: return receive_mld_query(arrival, *message);
    case icmpv6::echo_reply:
      if (echo_client_ == nullptr) return counters.count(Drop::unsolicited);
      return echo_client_->echo_reply(arrival, *message, now_);
    default:
      if (is_error(message->type, false))
        return receive_error(arrival, *message, failure_of_ipv6(*message));
      return counters.count(Drop::unknown_message);
  }
}

// RFC 1122 section 3.2.2, RFC 4443 section 2.4 (d): who sent the packet is told. Whether it has
// been sent at all, the transport knows.
void Stack::receive_error(const Arrival& arrival, const wire::IcmpMessage& message,
                          const Failure& failure) noexcept {
  Counters& counters = arrival.interface.counters;
  const auto quote = arrival.from.is_ipv4() ? wire::parse_quote_ipv4(message.body)
                                            : wire::parse_quote_ipv6(message.body);
  if (!quote) return counters.count(quote.error());
  const bool ipv4 = arrival.from.is_ipv4();
  if (quote->from.is_ipv4() != ipv4 || quote->to.is_ipv4() != ipv4)
    return counters.count(wire::Drop::bad_address);
  if (owner_of(quote->from) == nullptr) return counters.count(Drop::not_believed);
  // RFC 8201 section 4: whoever says less than the least is not heard, by transports neither.
  if (failure.kind == FailureKind::too_big && !ipv4 && failure.mtu < least_ipv6_mtu)
    return counters.count(Drop::not_believed);
  report(*quote, failure, arrival.interface);
}

void Stack::report(const wire::Quote& quote, const Failure& failure,
                   Interface& interface) noexcept {
  bool believed = false;
  if (quote.protocol == wire::protocol::icmp || quote.protocol == wire::protocol::icmpv6)
    believed = echo_client_ != nullptr && echo_client_->echo_failed(quote, failure, now_);
  else if (Transport* transport = transports_[quote.protocol])
    believed = transport->failed(quote, failure, now_);
  if (!believed) return interface.counters.count(Drop::not_believed);
  if (failure.kind != FailureKind::too_big) return;
  path_mtu_.lower(quote.to, failure.mtu, now_);
  forget_ways();
}

void Stack::answer_echo(const Arrival& arrival, const wire::IcmpMessage& request,
                        std::uint8_t reply_type) noexcept {
  // From the address that was asked, or one of the interface if a group was.
  const wire::IpAddress from = arrival.to_group ? wire::IpAddress{} : arrival.to;
  Interface* interface = arrival.interface.is_loopback() ? nullptr : &arrival.interface;
  const auto back = way(arrival.from, from, interface, now_);
  if (!back) return;
  (void)send_icmp(*back, {reply_type, 0, request.word}, request.body);
}

Result<void> Stack::send_echo(const Way& way, std::uint16_t id, std::uint16_t number, Bytes body,
                              std::uint64_t now) noexcept {
  now_ = now;
  return send_icmp(
      way,
      wire::IcmpHeader::echo(
          way.to.is_ipv4() ? wire::icmp::echo_request : wire::icmpv6::echo_request, id, number),
      body);
}

Result<void> Stack::send_icmp(const Way& way, const wire::IcmpHeader& header, Bytes body,
                              std::uint8_t hop_limit) noexcept {
  constexpr std::size_t size = wire::IcmpHeader::size;
  const bool ipv4 = way.to.is_ipv4();
  const std::uint8_t protocol = ipv4 ? wire::protocol::icmp : wire::protocol::icmpv6;
  wire::Sum sum;
  if (!ipv4) sum = wire::pseudo_header(way.from, way.to, protocol, size + body.size());
  sum.add(body);
  std::array<std::byte, size> room;
  wire::write(room, header);
  wire::seal<wire::IcmpHeader>(room, sum);
  Pieces message{room};
  message.add(body);
  return send(way, {.protocol = protocol, .hop_limit = hop_limit, .payload = message}, now_);
}

// RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e): never about an error, about what went to many
// or came from none, about pieces but the first; and not too often.
void Stack::send_error(const Arrival& arrival, const wire::IcmpHeader& header,
                       bool even_if_multicast) noexcept {
  const bool ipv4 = arrival.to.is_ipv4();
  if (arrival.to_group && !even_if_multicast) return;
  if (arrival.from.is_unspecified() || arrival.from.is_multicast()) return;
  const Bytes packet = arrival.packet;
  if (ipv4) {
    if ((wire::load16(packet, 6) & 0x1fff) != 0) return;
    if (arrival.protocol == wire::protocol::icmp &&
        (arrival.payload.empty() || is_error(wire::load8(arrival.payload, 0), true)))
      return;
  } else if (arrival.protocol == wire::protocol::icmpv6 &&
             (arrival.payload.empty() || is_error(wire::load8(arrival.payload, 0), false))) {
    return;
  } else if (arrival.payload.empty() && wire::load8(packet, 6) == wire::protocol::icmpv6) {
    return;  // its headers did not parse; what it is cannot be told for certain
  }
  if (!errors_.take(now_)) return arrival.interface.counters.count(Drop::error_limited);
  const wire::IpAddress from = arrival.to_group ? wire::IpAddress{} : arrival.to;
  Interface* interface = arrival.interface.is_loopback() ? nullptr : &arrival.interface;
  const auto back = way(arrival.from, from, interface, now_);
  if (!back) return;
  const std::size_t headers =
      (ipv4 ? wire::Ipv4Header::size : wire::Ipv6Header::size) + wire::IcmpHeader::size;
  const std::size_t most = (ipv4 ? most_error_ipv4 : most_error_ipv6) - headers;
  (void)send_icmp(*back, header, packet.first(std::min(packet.size(), most)));
}

// RFC 792, RFC 8200 section 4.5: told only if the first piece has come.
void Stack::expired(const Reassembly::Datagram& datagram) noexcept {
  if (!datagram.has_first || datagram.bytes.empty()) return;
  const bool ipv4 = datagram.key.from.is_ipv4();
  const std::size_t size = ipv4 ? wire::Ipv4Header::size : wire::Ipv6Header::size;
  const auto header = datagram.header.last(size);
  const Bytes bytes = datagram.bytes.first(std::min<std::size_t>(datagram.bytes.size(), 1'280));
  if (ipv4)
    wire::write(header,
                wire::Ipv4Header{.protocol = datagram.protocol,
                                 .from = datagram.key.from.ipv4(),
                                 .to = datagram.key.to.ipv4()},
                bytes.size());
  else
    wire::write(
        header,
        wire::Ipv6Header{
            .next_header = datagram.protocol, .from = datagram.key.from, .to = datagram.key.to},
        bytes.size());
  Interface& interface = interfaces_[datagram.key.interface];
  constexpr std::uint8_t reassembly_time = 1;
  send_error({.interface = interface,
              .from = datagram.key.from,
              .to = datagram.key.to,
              .protocol = datagram.protocol,
              .to_group = datagram.key.to.is_multicast() || interface.is_broadcast(datagram.key.to),
              .packet = {header.data(), size + bytes.size()},
              .payload = bytes},
             {ipv4 ? wire::icmp::time_exceeded : wire::icmpv6::time_exceeded, reassembly_time, 0});
}

}  // namespace lichen::net::ip

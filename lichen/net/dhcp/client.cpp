#include "lichen/net/dhcp/client.hpp"

#include <algorithm>
#include <bit>

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::dhcp {

namespace {

using ip::after_seconds;
using ip::never;
using ip::second;

constexpr unsigned most_request_tries = 5;
constexpr std::uint64_t least_renewal_interval = 60 * second;  // section 4.4.5
constexpr std::uint64_t after_decline = 10 * second;           // section 3.1 (5)

bool is_host(const wire::Ipv4Address& address) noexcept {
  return address.octets[0] != 0 && !address.is_loopback() && address.octets[0] < 224;
}

// The length of the network; without a mask that of its class, as RFC 2132 section 3.3 has it.
std::optional<std::uint8_t> bits_of(const Reply& reply) noexcept {
  if (!reply.mask) {
    const std::uint8_t first = reply.address.octets[0];
    return first < 128 ? 8 : first < 192 ? 16 : 24;
  }
  const std::uint32_t mask = reply.mask->number();
  const int bits = std::countl_one(mask);
  if (std::popcount(mask) != bits || bits == 0) return std::nullopt;
  return static_cast<std::uint8_t>(bits);
}

}  // namespace

void Client::start(std::uint64_t now, std::uint64_t spread) noexcept {
  if (state_ != State::stopped) return;
  wait(now + random_.below(spread + 1));
}

void Client::stop(std::uint64_t now) noexcept {
  if (state_ == State::bound || state_ == State::renewing || state_ == State::rebinding) {
    began_ = now;
    send({.type = MessageType::release,
          .transaction = static_cast<std::uint32_t>(random_()),
          .current = lease_.address,
          .server = lease_.server},
         lease_.server, false);
  }
  give_up();
  state_ = State::stopped;
  deadline_ = never;
}

void Client::receive(Bytes message, std::uint64_t now) noexcept {
  const auto reply = parse_reply(message);
  if (!reply || reply->transaction != transaction_ || reply->client != mac_) {
    ++ignored_;
    return;
  }
  const bool asked =
      state_ == State::requesting || state_ == State::renewing || state_ == State::rebinding;
  if (reply->type == MessageType::offer && state_ == State::selecting)
    take_offer(*reply, now);
  else if (reply->type == MessageType::acknowledge && asked)
    take_lease(*reply, now);
  else if (reply->type == MessageType::refuse && asked)
    refused(*reply, now);
  else
    ++ignored_;
}

void Client::probed(std::uint64_t now) noexcept {
  if (state_ != State::probing) return;
  state_ = State::bound;
  deadline_ = std::max(now, lease_.renew_at);
}

void Client::conflict(std::uint64_t now) noexcept {
  if (!holds_lease()) return;
  send({.type = MessageType::decline,
        .transaction = static_cast<std::uint32_t>(random_()),
        .wanted = lease_.address,
        .server = lease_.server},
       wire::Ipv4Address::broadcast(), true);
  give_up();
  wait(now + after_decline);
}

void Client::advance(std::uint64_t now) noexcept {
  if (now < deadline_) return;
  switch (state_) {
    case State::stopped: deadline_ = never; return;
    case State::waiting: return begin(now);
    case State::selecting: return transmit(now);
    case State::requesting:
      if (tries_ == most_request_tries) return begin(now);
      return transmit(now);
    case State::probing:
      // Nobody has said what became of the probing until the lease was over.
      give_up();
      return begin(now);
    case State::bound:
      state_ = State::renewing;
      transaction_ = static_cast<std::uint32_t>(random_());
      began_ = now;
      return transmit(now);
    case State::renewing:
      if (now >= lease_.rebind_at) state_ = State::rebinding;
      return transmit(now);
    case State::rebinding:
      if (now < lease_.expires) return transmit(now);
      give_up();
      return begin(now);
  }
}

void Client::begin(std::uint64_t now) noexcept {
  state_ = State::selecting;
  transaction_ = static_cast<std::uint32_t>(random_());
  began_ = now;
  tries_ = 0;
  lease_ = {};
  transmit(now);
}

void Client::wait(std::uint64_t until) noexcept {
  state_ = State::waiting;
  deadline_ = until;
}

void Client::transmit(std::uint64_t now) noexcept {
  ++tries_;
  requested_ = now;
  Request request{.transaction = transaction_,
                  .seconds = static_cast<std::uint16_t>(
                      std::min<std::uint64_t>((now - began_) / second, 65'535))};
  switch (state_) {
    case State::selecting:
      request.broadcast = true;
      deadline_ = now + retransmit_delay();
      return send(request, wire::Ipv4Address::broadcast(), true);
    case State::requesting:
      request.type = MessageType::request;
      request.broadcast = true;
      request.wanted = lease_.address;
      request.server = lease_.server;
      deadline_ = now + retransmit_delay();
      return send(request, wire::Ipv4Address::broadcast(), true);
    default:
      request.type = MessageType::request;
      request.current = lease_.address;
      schedule_renewal(now);
      return send(request,
                  state_ == State::renewing ? lease_.server : wire::Ipv4Address::broadcast(),
                  false);
  }
}

void Client::send(const Request& request, const wire::Ipv4Address& to, bool from_nobody) noexcept {
  Request complete = request;
  complete.client = mac_;
  std::array<std::byte, request_size> message;
  write(message, complete);
  owner_.send(message, to, from_nobody);
}

// Section 4.4.5: again after half of the time that is left, no sooner than in a minute.
void Client::schedule_renewal(std::uint64_t now) noexcept {
  const std::uint64_t end = state_ == State::renewing ? lease_.rebind_at : lease_.expires;
  const std::uint64_t left = end > now ? end - now : 0;
  deadline_ = std::min(end, now + std::max(left / 2, least_renewal_interval));
}

void Client::take_offer(const Reply& reply, std::uint64_t now) noexcept {
  if (!is_host(reply.address) || !reply.server || !bits_of(reply)) {
    ++ignored_;
    return;
  }
  lease_ = {.address = reply.address, .server = *reply.server};
  state_ = State::requesting;
  tries_ = 0;
  transmit(now);
}

void Client::take_lease(const Reply& reply, std::uint64_t now) noexcept {
  const auto bits = bits_of(reply);
  const bool same = reply.address == lease_.address;
  const bool from_asked =
      reply.server && (state_ == State::rebinding || *reply.server == lease_.server);
  if (!is_host(reply.address) || !bits || !same || !from_asked || !reply.lease_s ||
      *reply.lease_s == 0) {
    ++ignored_;
    return;
  }
  lease_.bits = *bits;
  lease_.server = *reply.server;
  lease_.router = reply.router && is_host(*reply.router) ? reply.router : std::nullopt;
  lease_.dns_servers = reply.dns_servers;
  lease_.dns_server_count = reply.dns_server_count;
  lease_.mtu = reply.mtu;
  // Times that make no order are replaced by the usual ones (section 4.4.5).
  const std::uint64_t lease = *reply.lease_s;
  const std::uint64_t rebind =
      reply.rebind_s && *reply.rebind_s < lease ? *reply.rebind_s : lease * 7 / 8;
  const std::uint64_t renew =
      reply.renew_s && *reply.renew_s < rebind ? *reply.renew_s : std::min(lease / 2, rebind);
  const bool for_ever = *reply.lease_s == UINT32_MAX;
  lease_.expires = after_seconds(requested_, *reply.lease_s);
  lease_.rebind_at = for_ever ? never : requested_ + rebind * second;
  lease_.renew_at = for_ever ? never : requested_ + renew * second;
  tries_ = 0;
  if (state_ == State::requesting) {
    state_ = State::probing;
    deadline_ = lease_.expires;
    owner_.offered(lease_);
  } else {
    state_ = State::bound;
    deadline_ = std::max(now, lease_.renew_at);
    owner_.renewed(lease_);
  }
}

void Client::refused(const Reply& reply, std::uint64_t now) noexcept {
  if (state_ != State::rebinding && reply.server && *reply.server != lease_.server) {
    ++ignored_;
    return;
  }
  give_up();
  wait(now + second + random_.below(second));  // a server that always refuses is not flooded
}

void Client::give_up() noexcept {
  const bool held = holds_lease();
  state_ = State::waiting;
  if (held) owner_.lost(lease_);
}

// Section 4.1: 4 s, doubled up to 64 s, give or take one.
std::uint64_t Client::retransmit_delay() noexcept {
  const std::uint64_t base = std::uint64_t{4} << std::min(tries_ - 1, 4u);
  return base * second - second + random_.below(2 * second);
}

}  // namespace lichen::net::dhcp

#pragma clang attribute pop

#include "lichen/net/dns/resolver.hpp"

#include <algorithm>

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::dns {

namespace {

constexpr std::uint64_t first_timeout = 1 * ip::second;  // doubled with each round

bool is_local(const Name& name) noexcept {
  const Name localhost = *Name::parse("localhost");
  return name.is_within(localhost);
}

}  // namespace

Resolver::Resolver(ip::Stack& stack, ip::Udp& udp) noexcept
    : stack_{stack}, udp_{udp}, cache_{stack.random()()} {}

Resolver::~Resolver() {
  for (Query& query : queries_) udp_.close(query.socket);
}

void Resolver::set_servers(std::span<const wire::IpAddress> servers) noexcept {
  server_count_ = std::min(servers.size(), most_servers);
  std::copy_n(servers.begin(), server_count_, servers_.begin());
  cache_.clear();
}

Result<Addresses> Resolver::resolve(Lookup& lookup, const Question& question,
                                    std::uint64_t now) noexcept {
  if (is_local(question.name)) {
    Addresses loopback;
    loopback.count = 1;
    if (question.kind == Kind::ipv4)
      loopback.list[0] = wire::Ipv4Address{{127, 0, 0, 1}};
    else
      loopback.list[0] = wire::Ipv6Address::loopback();
    return loopback;
  }
  if (const Addresses* known = cache_.find(question, now)) {
    if (known->count == 0) return Error::name_unresolved;
    return *known;
  }
  if (server_count_ == 0) return Error::invalid_state;
  Query* free = nullptr;
  for (Query& query : queries_) {
    if (query.open && query.question == question) {
      query.lookups.push_back(lookup);
      return Error::would_block;
    }
    if (!query.open) free = &query;
  }
  if (free == nullptr) return Error::limit_reached;
  free->open = true;
  ++open_count_;
  free->ready = false;
  free->question = free->current = question;
  free->aliases = free->attempts = 0;
  free->ttl_s = UINT32_MAX;
  free->lookups.push_back(lookup);
  ask(*free, now);
  return Error::would_block;
}

void Resolver::cancel(Lookup& lookup) noexcept {
  if (lookup.node_.is_linked()) lookup.node_.unlink();
  // The question goes on: its answer is worth remembering.
}

std::uint64_t Resolver::deadline() const noexcept {
  std::uint64_t first = ip::never;
  if (open_count_ == 0) return first;
  for (const Query& query : queries_)
    if (query.open) first = std::min(first, query.ready ? 0 : query.deadline);
  return first;
}

void Resolver::advance(std::uint64_t now) noexcept {
  for (Query& query : queries_) {
    if (query.open && query.ready) read(query, now);
    if (query.open && query.deadline <= now) next_server(query, query.failure, now);
  }
}

void Resolver::readable(ip::UdpSocket& socket) noexcept {
  for (Query& query : queries_)
    if (&query.socket == &socket) query.ready = true;
}

// A new id and a new port each time.
void Resolver::ask(Query& query, std::uint64_t now) noexcept {
  if (server_count_ == 0) return finish(query, Error::invalid_state);  // there was one until now
  udp_.close(query.socket);
  query.ready = false;
  query.id = static_cast<std::uint16_t>(stack_.random()());
  query.deadline = now + (first_timeout << query.attempts / server_count_);
  const ip::Endpoint server{servers_[query.attempts % server_count_], server_port};
  std::array<std::byte, most_query> message;
  const std::size_t size = write_query(message, query.id, query.current);
  auto sent = udp_.connect(query.socket, server, now);
  if (sent) sent = udp_.send(query.socket, server, Bytes{message}.first(size), now);
  query.failure = Error::timed_out;
  if (sent) return;
  // No way there now: the next one is asked at the next advance().
  query.failure = sent.error();
  query.deadline = now;
}

void Resolver::read(Query& query, std::uint64_t now) noexcept {
  query.ready = false;
  std::array<std::byte, most_message> message;
  while (query.socket.is_readable()) {
    const auto got = query.socket.receive(message);
    if (!got) return next_server(query, got.error(), now);
    if (got->truncated) continue;
    const auto response = parse_response(Bytes{message}.first(got->size), query.id, query.current);
    if (response) return take(query, *response, now);
  }
}

void Resolver::take(Query& query, const Response& response, std::uint64_t now) noexcept {
  if (response.ttl_s) query.ttl_s = std::min(query.ttl_s, *response.ttl_s);
  query.aliases += response.aliases;
  switch (response.outcome) {
    case Outcome::found:
      cache_.add(query.question, response.addresses, query.ttl_s, now);
      return finish(query, response.addresses);
    case Outcome::no_name:
    case Outcome::no_data:
      if (response.ttl_s) cache_.add(query.question, {}, query.ttl_s, now);
      return finish(query, Error::name_unresolved);
    case Outcome::alias:
      if (query.aliases > most_aliases) return finish(query, Error::protocol_error);
      query.current.name = response.target;
      query.attempts = 0;
      return ask(query, now);
    case Outcome::truncated: return finish(query, Error::too_large);
    case Outcome::failed: return next_server(query, Error::protocol_error, now);
  }
}

void Resolver::next_server(Query& query, Error why, std::uint64_t now) noexcept {
  ++query.attempts;
  if (server_count_ == 0 || query.attempts >= rounds * server_count_) return finish(query, why);
  ask(query, now);
}

void Resolver::finish(Query& query, const Result<Addresses>& result) noexcept {
  udp_.close(query.socket);
  query.open = false;
  --open_count_;
  query.deadline = ip::never;
  // Who is told may ask again, and be given this place.
  base::List<Lookup, &Lookup::node_> lookups;
  lookups.append(query.lookups);
  while (Lookup* lookup = lookups.pop_front()) lookup->done(result);
}

}  // namespace lichen::net::dns

#pragma clang attribute pop

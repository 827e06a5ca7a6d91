#include "lichen/net/inet/names.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>

#include "lichen/base/defer.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/net/inet/inet.hpp"
#include "lichen/net/ip/selection.hpp"
#include "lichen/net/wire/fields.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::inet {

namespace {

constexpr std::chrono::seconds stream_limit{5};  // for each server

// One question, until it is answered or nobody wants to know any more.
class Answer final : public dns::Lookup {
 public:
  Answer(dns::Resolver& resolver, const dns::Question& question, std::uint64_t now) noexcept
      : resolver_{resolver}, question_{question} {
    const Result<dns::Addresses> known = resolver.resolve(*this, question, now);
    if (!known.failed_with(Error::would_block)) result_ = known;
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { resolver_.cancel(*this); }

  [[nodiscard]] const dns::Question& question() const noexcept { return question_; }
  Task<Result<dns::Addresses>> wait(coro::Core& home) {
    while (!result_) CO_TRY(co_await news_.wait(home));
    co_return *result_;
  }

 private:
  void done(const Result<dns::Addresses>& result) noexcept override {
    result_ = result;
    news_.notify();
  }

  dns::Resolver& resolver_;
  const dns::Question question_;
  std::optional<Result<dns::Addresses>> result_;
  io::HomeSignal news_;
};

}  // namespace

Names::Names(Inet& inet) noexcept : inet_{inet}, resolver_{inet.stack_, inet.udp_} {}

Task<Result<std::vector<io::Address>>> Names::resolve(std::string_view host, std::uint16_t port) {
  const io::Stay stay = co_await io::StayOn{inet_.home()};
  const auto name = dns::Name::parse(host);
  if (!name) co_return Error::name_unresolved;
  CO_TRY(co_await turns_.acquire());
  const base::Defer release{[this]() noexcept { turns_.release(); }};
  use_known_servers();

  const std::uint64_t asked_at = inet_.now();
  std::array<Answer, 2> answers{Answer{resolver_, {*name, dns::Kind::ipv6}, asked_at},
                                Answer{resolver_, {*name, dns::Kind::ipv4}, asked_at}};
  inet_.after(asked_at);
  std::array<wire::IpAddress, 2 * dns::Addresses::most> all;
  std::size_t count = 0;
  Error why = Error::name_unresolved;
  for (Answer& answer : answers) {
    Result<dns::Addresses> found = co_await answer.wait(inet_.home());
    if (found.failed_with(Error::too_large)) found = co_await ask_by_stream(answer.question());
    if (found)
      for (const wire::IpAddress& address : found->all()) all[count++] = address;
    else if (!found.failed_with(Error::name_unresolved))
      why = found.error();
  }
  if (why == Error::stopped) co_return why;
  if (count == 0 && why == Error::invalid_state) {
    base::log::warning("net: {} has no address: nobody has told a server of names", *name);
    why = Error::name_unresolved;
  }
  if (count == 0) co_return why;
  const auto found = std::span{all}.first(count);
  ip::sort_destinations(inet_.stack_, found, inet_.now());
  std::vector<io::Address> addresses;
  addresses.reserve(count);
  for (const wire::IpAddress& address : found) addresses.push_back(address_of(address, port));
  co_return addresses;
}

void Names::use_known_servers() noexcept {
  std::array<wire::IpAddress, dns::Resolver::most_servers> servers;
  const auto known = std::span{servers}.first(inet_.name_servers(servers));
  if (!std::ranges::equal(known, resolver_.servers())) resolver_.set_servers(known);
}

// RFC 7766 section 5: what was cut is asked again with TCP.
Task<Result<dns::Addresses>> Names::ask_by_stream(dns::Question question) {
  std::array<wire::IpAddress, dns::Resolver::most_servers> servers;
  const std::size_t count = resolver_.servers().size();
  std::ranges::copy(resolver_.servers(), servers.begin());
  Error why = Error::timed_out;
  for (std::size_t i = 0; i < count; ++i) {
    const Result<dns::Response> response = co_await with_timeout(
        stream_limit, exchange(address_of(servers[i], dns::server_port), question));
    if (response.failed_with(Error::stopped)) co_return Error::stopped;
    if (!response) {
      why = response.error();
      continue;
    }
    switch (response->outcome) {
      case dns::Outcome::found:
      case dns::Outcome::no_name:
      case dns::Outcome::no_data:
        if (response->ttl_s)
          resolver_.remember(question, response->addresses, *response->ttl_s, inet_.now());
        if (response->addresses.count == 0) co_return Error::name_unresolved;
        co_return response->addresses;
      // A stream has room for all that an alias leads to.
      case dns::Outcome::alias:
      case dns::Outcome::truncated:
      case dns::Outcome::failed: why = Error::protocol_error;
    }
  }
  co_return why;
}

// RFC 1035 section 4.2.2: each message behind its length.
Task<Result<dns::Response>> Names::exchange(io::Address server, dns::Question question) {
  const std::unique_ptr<io::Stream> stream = CO_TRY(co_await inet_.connect(server));
  const auto id = static_cast<std::uint16_t>(inet_.stack_.random()());
  std::array<std::byte, 2 + dns::most_query> query;
  const std::size_t query_size = dns::write_query(std::span{query}.subspan<2>(), id, question);
  wire::store16(query, 0, static_cast<std::uint16_t>(query_size));
  CO_TRY(co_await stream->write_all(std::span{query}.first(2 + query_size)));
  std::array<std::byte, 2> length;
  CO_TRY(co_await stream->read_exact(length));
  const std::size_t size = wire::load16(length, 0);
  io::Buffer message = io::allocate_buffer(size);
  if (message.room().size() < size) co_return Error::no_memory;
  CO_TRY(co_await stream->read_exact(message.room().first(size)));
  message.extend(size);
  const auto response = dns::parse_response(message.bytes(), id, question);
  if (!response) co_return Error::protocol_error;
  co_return *response;
}

}  // namespace lichen::net::inet

#pragma clang attribute pop

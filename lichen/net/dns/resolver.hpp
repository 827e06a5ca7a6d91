// A stub resolver (RFC 1034 section 5.3.1): asks recursive servers, over UDP, and remembers.
//
// Against forged answers (RFC 5452): each question has a random id and a socket of its own at a
// random port, connected to the server; the answer must repeat the question; the same question is
// asked only once at a time.
//
// An answer that does not fit 1,232 bytes is Error::too_large here: who has TCP asks again with
// that, and lets the cache know by remember(). Not there: DNSSEC, search lists, anything but
// addresses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/net/dns/cache.hpp"
#include "lichen/net/ip/udp.hpp"

namespace lichen::net::dns {

// One who asks. It MUST stay where it is until done() is called or it is cancelled.
class Lookup {
 public:
  Lookup() = default;
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // Errors: name_unresolved (there is no such name, or no such address of it), timed_out,
  // too_large (the answer is too long for UDP), protocol_error (no server makes sense, aliases
  // in a circle), and as of sending. Called from within Resolver::advance(); may start lookups.
  virtual void done(const Result<Addresses>& result) noexcept = 0;

 protected:
  ~Lookup() = default;

 private:
  friend class Resolver;
  base::ListNode node_;
};

class Resolver final : ip::UdpWaiter {
 public:
  static constexpr std::size_t most_servers = 4;
  static constexpr std::size_t most_queries = 16;
  static constexpr unsigned rounds = 3;  // through all servers

  // Both MUST outlive it. No lookup may be open when it is destroyed.
  Resolver(ip::Stack& stack, ip::Udp& udp) noexcept;
  virtual ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // The first `most_servers`; port 53. What was remembered is forgotten.
  void set_servers(std::span<const wire::IpAddress> servers) noexcept;
  [[nodiscard]] std::span<const wire::IpAddress> servers() const noexcept {
    return std::span{servers_}.first(server_count_);
  }
  // What was learnt in another way.
  void remember(const Question& question, const Addresses& addresses, std::uint32_t ttl_s,
                std::uint64_t now) noexcept {
    cache_.add(question, addresses, ttl_s, now);
  }

  // The answer, if it is known. Errors: would_block (done() will be called), name_unresolved
  // (known, too), limit_reached (too many questions are open), invalid_state (no servers).
  // "localhost" and what is below it is this machine (RFC 6761 section 6.3).
  Result<Addresses> resolve(Lookup& lookup, const Question& question, std::uint64_t now) noexcept;
  // done() will not be called.
  void cancel(Lookup& lookup) noexcept;

  // After receive() of the stack, or when the time has come.
  [[nodiscard]] std::uint64_t deadline() const noexcept;
  void advance(std::uint64_t now) noexcept;

 private:
  struct Query {
    alignas(8) std::array<std::byte, 2 * most_message> queue;
    ip::UdpSocket socket;
    base::List<Lookup, &Lookup::node_> lookups;
    bool open = false;
    bool ready = false;  // the socket has something
    Question question;   // as it was asked
    Question current;    // behind the aliases so far
    unsigned aliases = 0;
    std::uint32_t ttl_s = UINT32_MAX;  // the least of theirs
    unsigned attempts = 0;
    std::uint16_t id = 0;
    Error failure = Error::timed_out;  // what the end of the time means
    std::uint64_t deadline = ip::never;

    explicit Query(ip::UdpWaiter* waiter) noexcept : socket{queue, waiter} {}
  };

  void readable(ip::UdpSocket& socket) noexcept override;
  void ask(Query& query, std::uint64_t now) noexcept;
  void read(Query& query, std::uint64_t now) noexcept;
  void take(Query& query, const Response& response, std::uint64_t now) noexcept;
  void next_server(Query& query, Error why, std::uint64_t now) noexcept;
  void finish(Query& query, const Result<Addresses>& result) noexcept;

  template <std::size_t... I>
  [[clang::minsize]] static std::array<Query, most_queries> make_queries(
      ip::UdpWaiter* waiter, std::index_sequence<I...>) noexcept {
    return {((void)I, Query{waiter})...};
  }

  ip::Stack& stack_;
  ip::Udp& udp_;
  std::array<wire::IpAddress, most_servers> servers_{};
  std::size_t server_count_ = 0;
  Cache cache_;
  std::size_t open_count_ = 0;
  std::array<Query, most_queries> queries_{
      make_queries(this, std::make_index_sequence<most_queries>{})};
};

}  // namespace lichen::net::dns

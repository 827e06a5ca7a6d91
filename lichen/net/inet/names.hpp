// Names: the addresses behind the names of machines, by DNS over our own UDP, and over our own TCP
// when an answer is too long for that (RFC 7766).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/address.hpp"
#include "lichen/net/dns/resolver.hpp"

namespace lichen::net::inet {

class Inet;

// Of the home core of its Inet; resolve() goes there.
class Names {
 public:
  explicit Names(Inet& inet) noexcept;
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  // As io::Network::resolve(). `host` MUST live until it returns.
  Task<Result<std::vector<io::Address>>> resolve(std::string_view host, std::uint16_t port);

  // After receive() of the stack, or when the time has come.
  [[nodiscard]] std::uint64_t deadline() const noexcept { return resolver_.deadline(); }
  void advance(std::uint64_t now) noexcept { resolver_.advance(now); }

 private:
  void use_known_servers() noexcept;
  Task<Result<dns::Addresses>> ask_by_stream(dns::Question question);
  Task<Result<dns::Response>> exchange(io::Address server, dns::Question question);

  Inet& inet_;
  dns::Resolver resolver_;
  // Each asks two questions at once.
  coro::Semaphore turns_{dns::Resolver::most_queries / 2};
};

}  // namespace lichen::net::inet

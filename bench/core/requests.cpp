// The HTTP server's part of `calls`: requests over a connection in memory, one after the other.
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "counting.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/io/test_system.hpp"
#include "lichen/net/http/server.hpp"
#include "measure.hpp"

namespace bench {

namespace {

constexpr std::size_t capacity = 4'096;

class Outside final : public io::test::ClockOnly {
  [[nodiscard]] std::int64_t wall_clock_ns() const noexcept override { return 0; }
};

class Hello final : public net::http::Handler {
 public:
  Task<Result<void>> handle(net::http::Request&, net::http::Response& response) override {
    response.status(net::http::Status::ok).field("Content-Type", "text/plain");
    co_return co_await response.send("Hello, World!");
  }
};

Task<Result<void>> ask(io::Stream& stream, std::uint64_t times) {
  constexpr std::string_view request = "GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::array<std::byte, capacity> answer;
  for (; times != 0; --times) {
    CO_TRY(co_await stream.write_all(base::as_bytes(request)));
    if (CO_TRY(co_await stream.read(answer)) == 0) co_return Error::end_of_stream;
  }
  co_return Result<void>{};
}

// The same bytes there and back, and nobody who reads them.
Task<> send_back(io::Stream& stream, std::size_t size) {
  std::array<std::byte, capacity> bytes{};
  for (;;) {
    const auto got = co_await stream.read(bytes);
    if (!got || *got == 0) co_return;
    if (!co_await stream.write_all(std::span{bytes}.first(size))) co_return;
  }
}

}  // namespace

Task<Result<void>> count_requests(std::uint64_t times, bool with_server) {
  io::StreamPair pair = CO_TRY(io::make_stream_pair(capacity));
  Outside outside;
  Hello hello;
  Scope scope;
  std::unique_ptr<io::Stream> other = std::move(pair.second);
  io::test::FakeListener listener;
  std::optional<net::http::Server> server;
  if (with_server) {
    if (!listener.connect(std::move(other))) co_return Error::no_memory;
    server.emplace(listener, hello, outside);
    scope.spawn(server->run());
  } else {
    scope.spawn(send_back(*other, 128));
  }
  CO_TRY(co_await ask(*pair.first, times));
  counting_starts();
  const Result<void> asked = co_await ask(*pair.first, times);
  counting_ends();
  CO_TRY(asked);
  if (server) server->drain(std::chrono::seconds{1});
  pair.first.reset();
  co_return co_await scope.join();
}

}  // namespace bench

// The HTTP server's part of `calls`: requests over a connection in memory, one after the other.
#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include "counting.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/io/system.hpp"
#include "lichen/net/http/server.hpp"
#include "measure.hpp"

namespace bench {

namespace {

constexpr std::size_t capacity = 4'096;

// Nothing of a machine but the date.
class Outside final : public io::System {
 public:
  io::Network& network() noexcept override { std::abort(); }
  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view) override {
    co_return Error::not_supported;
  }
  Result<Pipe> make_pipe() override { return Error::not_supported; }
  Task<Result<io::Request>> next_request() override { co_return Error::not_supported; }
  [[nodiscard]] std::int64_t wall_clock_ns() const noexcept override { return 0; }
};

class OneStream final : public io::Listener {
 public:
  explicit OneStream(std::unique_ptr<io::Stream> stream) { streams_.try_send(stream).ignore(); }
  Task<Result<std::unique_ptr<io::Stream>>> accept() override {
    co_return co_await streams_.receive();
  }
  [[nodiscard]] io::Address local() const override { return {}; }
  void close() noexcept override { streams_.close(); }

 private:
  Channel<std::unique_ptr<io::Stream>> streams_{1};
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
  std::optional<OneStream> listener;
  std::optional<net::http::Server> server;
  if (with_server) {
    listener.emplace(std::move(other));
    server.emplace(*listener, hello, outside);
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

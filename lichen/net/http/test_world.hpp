// TestWorld: a server without an operating system. Streams are memory, time is virtual, clients are
// scripts.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lichen/base/span.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/io/test_system.hpp"
#include "lichen/net/http/server.hpp"

namespace lichen::net::http::test {

class FakeSystem final : public io::test::ClockOnly {
 public:
  [[nodiscard]] std::int64_t wall_clock_ns() const noexcept override {
    return 784'111'777'000'000'000 + static_cast<std::int64_t>(coro::test::virtual_now_ns);
  }
};

// What a client saw before the connection ended.
struct Seen {
  std::string text;
  Error error{};  // none after an orderly end
};

class TestWorld : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(coro::test::frames_alive, 0U);
    EXPECT_EQ(loop_.timers().size(), 0U);
  }

  // Runs a server and a client script; the server drains when the script has ended.
  template <class Script>
  void serve(Handler& handler, Script script, ServerOptions options = {}) {
    listener_.emplace();
    Server server{*listener_, handler, system_, options};
    server_ = &server;
    auto body = [](Server& running, Script& client) -> Task<Result<void>> {
      Scope scope;
      scope.spawn(running.run());
      co_await yield();
      const Result<void> outcome = co_await client();
      EXPECT_TRUE(outcome) << name(outcome.error());
      running.drain(std::chrono::seconds{1});
      co_return co_await scope.join();
    };
    const auto outcome = loop_.run(body(server, script));
    ASSERT_TRUE(outcome) << "it never ends";
    EXPECT_TRUE(*outcome) << name(outcome->error());
    EXPECT_EQ(server.counters().open, 0U);
    EXPECT_EQ(server.counters().busy, 0U);
    listener_.reset();
  }

  // A new connection; so many bytes fit into it each way.
  std::unique_ptr<io::Stream> connect(std::size_t capacity = 4'096) {
    auto pair = io::make_stream_pair(capacity);
    if (!pair || !listener_->connect(std::move(pair->second))) std::abort();
    return std::move(pair->first);
  }

  static Task<Result<void>> write(io::Stream& stream, std::string_view text) {
    co_return co_await stream.write_all(base::as_bytes(text));
  }
  // Everything until the end.
  static Task<Result<Seen>> read_to_end(io::Stream& stream) {
    Seen seen;
    for (;;) {
      auto buffer = co_await stream.receive();
      if (!buffer) seen.error = buffer.error();
      if (!buffer || buffer->empty()) co_return seen;
      seen.text += base::as_string_view(buffer->bytes());
    }
  }
  // Until the text read ends like this.
  static Task<Result<std::string>> read_until(io::Stream& stream, std::string_view end) {
    std::string text;
    while (!text.ends_with(end)) {
      std::array<std::byte, 1> one;
      if (CO_TRY(co_await stream.read(one)) == 0) co_return Error::end_of_stream;
      text += base::as_string_view(one);
    }
    co_return text;
  }

  // Sends a text over a connection of this capacity, while it reads, and returns what came back.
  Task<Result<Seen>> talk(std::string text, std::size_t capacity = 4'096) {
    auto stream = connect(capacity);
    Scope scope;
    auto send = [](io::Stream& to, std::string_view all) -> Task<> {
      (co_await write(to, all)).ignore();
    };
    scope.spawn(send(*stream, text));
    auto seen = co_await read_to_end(*stream);
    // The server may have closed before it read everything.
    scope.request_stop();
    (co_await scope.join()).ignore();
    co_return seen;
  }

  // The same as the only thing that happens.
  Seen talk_once(Handler& handler, std::string text, std::size_t capacity = 4'096,
                 ServerOptions options = {}) {
    Seen seen;
    serve(
        handler,
        [&]() -> Task<Result<void>> {
          seen = CO_TRY(co_await talk(text, capacity));
          co_return Result<void>{};
        },
        options);
    return seen;
  }

  coro::test::TestLoop loop_;
  FakeSystem system_;
  std::optional<io::test::FakeListener> listener_;  // while it serves
  Server* server_ = nullptr;
};

// The head of a response with this status and these lines, in the first second of virtual time.
inline std::string head(std::string_view status, std::string_view lines = "") {
  return "HTTP/1.1 " + std::string{status} + "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n" +
         std::string{lines} + "\r\n";
}

}  // namespace lichen::net::http::test

#include "lichen/net/http/server.hpp"

#include "lichen/net/http/test_world.hpp"

namespace lichen::net::http {
namespace {

using namespace std::chrono_literals;
using test::head;
using test::Seen;

// What one path does, as a plain coroutine.
class TestHandler final : public Handler {
 public:
  Task<Result<void>> handle(Request& request, Response& response) override {
    ++calls;
    const std::string_view path = request.path();
    if (path == "/hello") co_return co_await response.send("Hello");
    if (path == "/big") co_return co_await response.send(big);
    if (path == "/nothing") co_return Result<void>{};
    if (path == "/no-content") {
      response.status(Status::no_content);
      co_return co_await response.send("dropped");
    }
    if (path == "/late-echo") CO_TRY(co_await sleep_for(1ms));
    if (path == "/echo" || path == "/late-echo") {
      std::string content;
      for (;;) {
        const io::Buffer piece = CO_TRY(co_await request.body().receive());
        if (piece.empty()) break;
        content += base::as_string_view(piece.bytes());
      }
      co_return co_await response.send(content);
    }
    if (path == "/stream") {
      response.status(Status::ok).field("X", "y");
      CO_TRY(co_await response.write("one"));
      CO_TRY(co_await sleep_for(1ms));
      co_return co_await response.write("two");
    }
    if (path == "/length") {
      response.length(6);
      CO_TRY(co_await response.write("one"));
      co_return co_await response.write("two");
    }
    if (path == "/short") {
      response.length(6);
      co_return co_await response.write("one");
    }
    if (path == "/long") {
      response.length(2);
      co_return co_await response.write("one");
    }
    if (path == "/fail") co_return Error::internal;
    if (path == "/full") co_return Error::no_memory;
    if (path == "/fail-late") {
      CO_TRY(co_await response.write("one"));
      co_return Error::internal;
    }
    if (path == "/fail-after-send") {
      CO_TRY(co_await response.send("never seen"));
      co_return Error::internal;
    }
    if (path == "/split") {
      response.field("X", "y\r\nSet-Cookie: z");
      co_return co_await response.send();
    }
    if (path == "/wait") {
      CO_TRY(co_await gate.wait());
      co_return co_await response.send("waited");
    }
    co_return co_await response.send_error(Status::not_found);
  }

  int calls = 0;
  coro::Event gate;
  std::string big = std::string(100'000, 'b');
};

class HttpServer : public test::TestWorld {
 protected:
  // Capacities of a connection from one byte up, so that everything is cut everywhere.
  static constexpr std::array<std::size_t, 5> capacities{1, 2, 7, 64, 65'536};

  Seen get(std::string_view path, std::string_view more = "", std::string_view method = "GET") {
    return talk_once(handler_, request(path, more, method));
  }
  static std::string request(std::string_view path, std::string_view more = "",
                             std::string_view method = "GET") {
    return std::string{method} + " " + std::string{path} + " HTTP/1.1\r\nHost: h\r\n" +
           "Connection: close\r\n" + std::string{more} + "\r\n";
  }
  static std::string ok(std::string_view content) {
    return head("200 OK",
                "Content-Length: " + std::to_string(content.size()) + "\r\nConnection: close\r\n") +
           std::string{content};
  }

  TestHandler handler_;
};

TEST_F(HttpServer, Answers) {
  const Seen seen = get("/hello");
  EXPECT_EQ(seen.text, ok("Hello"));
  EXPECT_EQ(seen.error, Error{});
}

TEST_F(HttpServer, AnswersInWhateverPiecesBytesCome) {
  for (const std::size_t capacity : capacities) {
    const std::string text = "\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n" + request("/big");
    const Seen seen = talk_once(handler_, text, capacity);
    EXPECT_EQ(seen.text, head("200 OK", "Content-Length: 5\r\n") + "Hello" + ok(handler_.big));
  }
}

TEST_F(HttpServer, GathersPipelinedResponses) {
  std::string text;
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    text += "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";
    expected += head("200 OK", "Content-Length: 5\r\n") + "Hello";
  }
  serve(handler_, [&]() -> Task<Result<void>> {
    auto stream = connect(65'536);
    CO_TRY(co_await write(*stream, text));
    std::string seen;
    while (seen.size() < expected.size()) {
      const io::Buffer buffer = CO_TRY(co_await stream->receive());
      seen += base::as_string_view(buffer.bytes());
    }
    EXPECT_EQ(seen, expected);
    co_return Result<void>{};
  });
  EXPECT_EQ(handler_.calls, 40);
}

TEST_F(HttpServer, DoesNotHoldBackAResponseWhileALaterRequestWaits) {
  serve(handler_, [&]() -> Task<Result<void>> {
    auto stream = connect();
    CO_TRY(co_await write(*stream, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n" + request("/wait")));
    EXPECT_EQ(CO_TRY(co_await read_until(*stream, "Hello")),
              head("200 OK", "Content-Length: 5\r\n") + "Hello");
    handler_.gate.set();
    EXPECT_EQ(CO_TRY(co_await read_to_end(*stream)).text, ok("waited"));
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, CompletesWhatTheHandlerLeavesOpen) { EXPECT_EQ(get("/nothing").text, ok("")); }

TEST_F(HttpServer, HeadHasTheHeadOfGet) {
  const std::string whole = ok(handler_.big);
  EXPECT_EQ(get("/big", "", "HEAD").text, whole.substr(0, whole.find("\r\n\r\n") + 4));
}

TEST_F(HttpServer, HeadOfAStream) {
  EXPECT_EQ(get("/stream", "", "HEAD").text,
            head("200 OK", "X: y\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"));
}

TEST_F(HttpServer, NoContentHasNone) {
  EXPECT_EQ(get("/no-content").text, head("204 No Content", "Connection: close\r\n"));
}

TEST_F(HttpServer, StreamsInChunks) {
  EXPECT_EQ(get("/stream").text,
            head("200 OK", "X: y\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n") +
                "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
}

TEST_F(HttpServer, StreamsToTheEndForHttp10) {
  EXPECT_EQ(talk_once(handler_, "GET /stream HTTP/1.0\r\n\r\n").text,
            head("200 OK", "X: y\r\nConnection: close\r\n") + "onetwo");
}

TEST_F(HttpServer, KeepsHttp10AliveWhenAsked) {
  const std::string text =
      "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n";
  EXPECT_EQ(
      talk_once(handler_, text).text,
      head("200 OK", "Content-Length: 5\r\nConnection: keep-alive\r\n") + "Hello" + ok("Hello"));
}

TEST_F(HttpServer, StreamsAnAnnouncedLength) { EXPECT_EQ(get("/length").text, ok("onetwo")); }

TEST_F(HttpServer, CutsAResponseThatFallsShort) {
  const Seen seen = get("/short");
  EXPECT_EQ(seen.error, Error::connection_reset);
}

TEST_F(HttpServer, RefusesToWriteMoreThanAnnounced) {
  EXPECT_TRUE(get("/long").text.starts_with("HTTP/1.1 500 "));
}

TEST_F(HttpServer, AHandlersErrorIsA500) {
  const std::string expected =
      head("500 Internal Server Error",
           "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 27\r\nConnection: "
           "close\r\n") +
      "500 Internal Server Error\r\n";
  EXPECT_EQ(get("/fail").text, expected);
}

TEST_F(HttpServer, WhatHasRunOutIsA503) {
  EXPECT_TRUE(get("/full").text.starts_with("HTTP/1.1 503 "));
}

TEST_F(HttpServer, AnErrorAfterSendingIsA500WhileNothingHasLeft) {
  EXPECT_TRUE(get("/fail-after-send").text.starts_with("HTTP/1.1 500 "));
}

TEST_F(HttpServer, AnErrorInTheMiddleCutsTheConnection) {
  EXPECT_EQ(get("/fail-late").error, Error::connection_reset);
}

TEST_F(HttpServer, AHandlerCannotSplitAResponse) {
  const Seen seen = get("/split");
  EXPECT_TRUE(seen.text.starts_with("HTTP/1.1 500 "));
  EXPECT_EQ(seen.text.find("Set-Cookie"), seen.text.npos);
}

TEST_F(HttpServer, ReadsBodiesHoweverTheyAreCut) {
  const std::string content(5'000, 'c');
  std::string chunks;
  for (std::size_t i = 0; i < 5; ++i)
    chunks += "3E8;x=y\r\n" + content.substr(i * 1'000, 1'000) + "\r\n";
  const std::string keep = "POST /echo HTTP/1.1\r\nHost: h\r\n";
  const std::string text = keep + "Content-Length: 5000\r\n\r\n" + content + keep +
                           "Transfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\nT: v\r\n\r\n" +
                           request("/hello");
  const std::string echoed = head("200 OK", "Content-Length: 5000\r\n") + content;
  for (const std::size_t capacity : capacities) {
    EXPECT_EQ(talk_once(handler_, text, capacity).text, echoed + echoed + ok("Hello"));
  }
}

TEST_F(HttpServer, SkipsABodyNobodyReads) {
  const std::string text = "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n" +
                           std::string(5'000, 'x') + request("/hello");
  EXPECT_EQ(talk_once(handler_, text, 100).text,
            head("200 OK", "Content-Length: 5\r\n") + "Hello" + ok("Hello"));
}

TEST_F(HttpServer, ClosesRatherThanSkipALargeBody) {
  const std::string text = "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n" +
                           std::string(500'000, 'x');
  const Seen seen = talk_once(handler_, text, 1'000);
  EXPECT_EQ(seen.text, head("200 OK", "Content-Length: 5\r\n") + "Hello");
}

TEST_F(HttpServer, AsksForABodyThatIsHeldBack) {
  serve(handler_, [&]() -> Task<Result<void>> {
    auto stream = connect();
    CO_TRY(co_await write(
        *stream, request("/echo", "Expect: 100-continue\r\nContent-Length: 3\r\n", "POST")));
    EXPECT_EQ(CO_TRY(co_await read_until(*stream, "\r\n\r\n")), "HTTP/1.1 100 Continue\r\n\r\n");
    CO_TRY(co_await write(*stream, "abc"));
    EXPECT_EQ(CO_TRY(co_await read_to_end(*stream)).text, ok("abc"));
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, DoesNotAskForABodyItDoesNotWant) {
  const Seen seen = get("/hello", "Expect: 100-continue\r\nContent-Length: 3\r\n", "POST");
  EXPECT_EQ(seen.text, ok("Hello"));
}

TEST_F(HttpServer, RefusesBodiesOverTheLimit) {
  const ServerOptions options{.max_body = 10};
  EXPECT_TRUE(talk_once(handler_, request("/echo", "Content-Length: 11\r\n", "POST"), 100, options)
                  .text.starts_with("HTTP/1.1 413 "));
  EXPECT_EQ(handler_.calls, 0);
}

TEST_F(HttpServer, RefusesChunksOverTheLimit) {
  const std::string text =
      request("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "b\r\n01234567890\r\n0\r\n\r\n";
  EXPECT_TRUE(talk_once(handler_, text, 100, {.max_body = 10}).text.starts_with("HTTP/1.1 413 "));
}

TEST_F(HttpServer, RefusesBrokenChunks) {
  const std::string text =
      request("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "3\nabc\r\n0\r\n\r\n";
  const Seen seen = talk_once(handler_, text);
  EXPECT_TRUE(seen.text.starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(seen.error, Error{});
}

TEST_F(HttpServer, RefusesMalformedRequests) {
  const std::array<std::pair<std::string, std::string>, 8> cases{{
      {"GET / HTTP/1.1\nHost: h\n\n     ", "400"},
      {"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505"},
      {"GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", "414"},
      {"GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(20'000, 'a') + "\r\n\r\n", "431"},
  }};
  serve(handler_, [&]() -> Task<Result<void>> {
    for (const auto& [text, status] : cases) {
      for (const std::size_t capacity : capacities) {
        const Seen seen = CO_TRY(co_await talk(text, capacity));
        EXPECT_TRUE(seen.text.starts_with("HTTP/1.1 " + status)) << text << seen.text;
        EXPECT_EQ(seen.error, Error{});
      }
    }
    EXPECT_EQ(server_->counters().refused, cases.size() * capacities.size());
    co_return Result<void>{};
  });
  EXPECT_EQ(handler_.calls, 0);
}

TEST_F(HttpServer, AnswersTheRequestsBeforeABrokenOne) {
  const Seen seen =
      talk_once(handler_, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\nrubbish\n\n           ");
  EXPECT_TRUE(
      seen.text.starts_with(head("200 OK", "Content-Length: 5\r\n") + "HelloHTTP/1.1 400 "));
}

TEST_F(HttpServer, TellsASlowClientThatItsTimeIsUp) {
  serve(handler_, [&]() -> Task<Result<void>> {
    auto stream = connect();
    const std::string text = request("/hello");
    const std::uint64_t begin = coro::test::virtual_now_ns;
    for (const char c : text) {
      if (!co_await write(*stream, {&c, 1})) break;
      CO_TRY(co_await sleep_for(1s));
      if (coro::test::virtual_now_ns - begin > 12'000'000'000) break;
    }
    const Seen seen = CO_TRY(co_await read_to_end(*stream));
    EXPECT_TRUE(seen.text.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << seen.text;
    EXPECT_EQ(server_->counters().timed_out, 1U);
    co_return Result<void>{};
  });
  EXPECT_EQ(handler_.calls, 0);
}

TEST_F(HttpServer, TimesOutABodyWithoutProgress) {
  serve(handler_, [&]() -> Task<Result<void>> {
    auto stream = connect();
    CO_TRY(co_await write(*stream, request("/echo", "Content-Length: 100\r\n", "POST")));
    // Slow but steady is not slow.
    for (int i = 0; i < 50; ++i) {
      CO_TRY(co_await sleep_for(20s));
      CO_TRY(co_await write(*stream, "x"));
    }
    EXPECT_EQ(server_->counters().timed_out, 0U);
    const Seen seen = CO_TRY(co_await read_to_end(*stream));
    EXPECT_TRUE(seen.text.starts_with("HTTP/1.1 408 ")) << seen.text;
    EXPECT_EQ(server_->counters().timed_out, 1U);
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, TimesOutABodyThoughAnEarlierResponseWasSlowToLeave) {
  serve(handler_, [&]() -> Task<Result<void>> {
    std::string text;
    for (int i = 0; i < 4; ++i) text += "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";
    text += request("/late-echo", "Content-Length: 9\r\n", "POST");
    // All of it arrives at once, and the four responses do not fit on the way back.
    auto stream = connect(text.size());
    CO_TRY(co_await write(*stream, text));
    CO_TRY(co_await sleep_for(5s));
    const Seen seen = CO_TRY(co_await read_to_end(*stream));
    EXPECT_NE(seen.text.find("HTTP/1.1 408 "), seen.text.npos) << seen.text;
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, ClosesAnIdleConnectionWithoutAWord) {
  serve(handler_, [&]() -> Task<Result<void>> {
    auto stream = connect();
    CO_TRY(co_await write(*stream, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
    const std::uint64_t begin = coro::test::virtual_now_ns;
    const Seen seen = CO_TRY(co_await read_to_end(*stream));
    EXPECT_TRUE(seen.text.ends_with("Hello"));
    EXPECT_EQ(seen.error, Error{});
    EXPECT_GE(coro::test::virtual_now_ns - begin, 75'000'000'000U);
    EXPECT_LT(coro::test::virtual_now_ns - begin, 76'000'000'000U);
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, CutsAClientThatStopsReading) {
  serve(handler_, [&]() -> Task<Result<void>> {
    auto stream = connect(100);
    CO_TRY(co_await write(*stream, request("/big")));
    const std::uint64_t begin = coro::test::virtual_now_ns;
    do {
      CO_TRY(co_await sleep_for(1s));
    } while (server_->counters().open != 0);
    EXPECT_GE(coro::test::virtual_now_ns - begin, 30'000'000'000U);
    EXPECT_LT(coro::test::virtual_now_ns - begin, 33'000'000'000U);
    EXPECT_EQ(server_->counters().timed_out, 1U);
    EXPECT_EQ(CO_TRY(co_await read_to_end(*stream)).error, Error::connection_reset);
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, SurvivesClientsThatGoAway) {
  serve(handler_, [&]() -> Task<Result<void>> {
    const std::string text = request("/echo", "Content-Length: 100\r\n", "POST") + "abc";
    for (std::size_t size = 0; size <= text.size(); ++size) {
      auto stream = connect();
      CO_TRY(co_await write(*stream, text.substr(0, size)));
      if (size % 2 == 0) stream->abort();
      stream.reset();
      co_await yield();
    }
    for (int i = 0; i < 20; ++i) {
      auto stream = connect(50);
      CO_TRY(co_await write(*stream, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n"));
      for (int steps = 0; steps < i; ++steps) co_await yield();
      stream.reset();
    }
    while (server_->counters().open != 0) CO_TRY(co_await sleep_for(1s));
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, DrainsIdleConnectionsAtOnceAndBusyOnesAfterTheirRequest) {
  serve(handler_, [&]() -> Task<Result<void>> {
    auto idle = connect();
    auto busy = connect();
    CO_TRY(co_await write(*busy, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"));
    CO_TRY(co_await sleep_for(1ms));
    EXPECT_EQ(server_->counters().busy, 1U);
    server_->drain(10s);
    const std::uint64_t begin = coro::test::virtual_now_ns;
    EXPECT_EQ(CO_TRY(co_await read_to_end(*idle)).error, Error{});
    EXPECT_EQ(coro::test::virtual_now_ns, begin);
    EXPECT_EQ(server_->counters().open, 1U);
    handler_.gate.set();
    const Seen seen = CO_TRY(co_await read_to_end(*busy));
    EXPECT_TRUE(seen.text.ends_with("waited"));
    EXPECT_EQ(seen.error, Error{});
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, CutsWhatIsLeftAfterTheGrace) {
  serve(handler_, [&]() -> Task<Result<void>> {
    auto busy = connect();
    CO_TRY(co_await write(*busy, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"));
    CO_TRY(co_await sleep_for(1ms));
    server_->drain(10s);
    const std::uint64_t begin = coro::test::virtual_now_ns;
    EXPECT_EQ(CO_TRY(co_await read_to_end(*busy)).error, Error::connection_reset);
    EXPECT_GE(coro::test::virtual_now_ns - begin, 10'000'000'000U);
    co_return Result<void>{};
  });
}

TEST_F(HttpServer, HoldsNoMoreConnectionsThanAllowed) {
  serve(handler_,
        [&]() -> Task<Result<void>> {
          auto first = connect();
          auto second = connect();
          auto third = connect();
          CO_TRY(co_await write(*third, request("/hello")));
          CO_TRY(co_await sleep_for(1s));
          EXPECT_EQ(server_->counters().open, 2U);
          EXPECT_EQ(handler_.calls, 0);
          first.reset();
          EXPECT_TRUE(CO_TRY(co_await read_to_end(*third)).text.ends_with("Hello"));
          co_return Result<void>{};
        },
        {.max_connections = 2});
}

TEST_F(HttpServer, GoesOnWhenMemoryRunsOut) {
  serve(handler_, [&]() -> Task<Result<void>> {
    const std::string text = request("/echo", "Content-Length: 3\r\n", "POST") + "abc";
    // The client's frames fail as well as the server's.
    for (std::size_t frames = 0; frames < 60; ++frames) {
      coro::test::frames_until_failure = frames;
      auto seen = co_await talk(text, 7);
      coro::test::frames_until_failure = ~std::size_t{0};
      CO_TRY(co_await sleep_for(100s));
    }
    EXPECT_TRUE(CO_TRY(co_await talk(text)).text.ends_with("\r\n\r\nabc"));
    co_return Result<void>{};
  });
}

}  // namespace
}  // namespace lichen::net::http

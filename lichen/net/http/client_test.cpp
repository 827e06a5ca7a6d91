#include "lichen/net/http/client.hpp"

#include <vector>

#include "lichen/net/http/event_stream.hpp"
#include "lichen/net/http/test_world.hpp"

namespace lichen::net::http {
namespace {

using namespace std::chrono_literals;

// A server that says what it is told to, whatever it hears.
struct Script {
  std::string answer;
  bool closes = true;
  std::string heard{};
};

class HttpClient : public test::TestWorld, public Connector {
 protected:
  Task<Result<std::unique_ptr<io::Stream>>> connect(std::string_view authority) override {
    connected.emplace_back(authority);
    if (refuse) co_return Error::connection_refused;
    co_return TestWorld::connect(capacity);
  }

  // Runs a client against scripts, one a connection, in order.
  template <class Body>
  void play(std::vector<Script>& scripts, Body body) {
    auto act = [](io::Listener& listener, std::vector<Script>& all) -> Task<> {
      for (Script& script : all) {
        auto stream = co_await listener.accept();
        if (!stream) co_return;
        if (script.answer.empty()) continue;
        script.heard = (co_await read_until(**stream, "\r\n\r\n")).value_or("");
        (co_await write(**stream, script.answer)).ignore();
        if (!script.closes) (co_await read_to_end(**stream)).ignore();
      }
    };
    listener_.emplace();
    auto main = [&](Body& client) -> Task<Result<void>> {
      Scope scope;
      scope.spawn(act(*listener_, scripts));
      const Result<void> outcome = co_await client();
      scope.request_stop();
      (co_await scope.join()).ignore();
      co_return outcome;
    };
    const auto outcome = loop_.run(main(body));
    ASSERT_TRUE(outcome) << "it never ends";
    EXPECT_TRUE(*outcome) << name(outcome->error());
    listener_.reset();
  }

  // Sends a GET against one script and expects this error.
  Error error_of(std::string answer, ClientOptions options = {}) {
    std::vector<Script> scripts{{.answer = std::move(answer)}};
    Error error{};
    play(scripts, [&]() -> Task<Result<void>> {
      Client client{*this, options};
      auto response = co_await client.send({.authority = "h"});
      if (!response) {
        error = response.error();
        co_return Result<void>{};
      }
      error = (co_await response->body().skip(1'000'000)).error();
      co_return Result<void>{};
    });
    return error;
  }

  static Task<Result<std::string>> read_body(ClientResponse& response) {
    std::string content;
    for (;;) {
      const io::Buffer piece = CO_TRY(co_await response.body().receive());
      if (piece.empty()) co_return content;
      content += base::as_string_view(piece.bytes());
    }
  }

  std::vector<std::string> connected;
  std::size_t capacity = 4'096;
  bool refuse = false;
};

class Echo final : public Handler {
 public:
  Task<Result<void>> handle(Request& request, Response& response) override {
    if (request.path() == "/away") {
      response.status(Status::found).field("Location", "../there?q=1");
      co_return co_await response.send("go away");
    }
    if (request.path() == "/loop") {
      response.status(Status::found).field("Location", "/loop");
      co_return co_await response.send();
    }
    if (request.path() == "/events") {
      EventStream events{response};
      CO_TRY(co_await events.begin());
      CO_TRY(co_await events.send({.data = "a\nb\r\nc\rd", .name = "n", .id = "7"}));
      CO_TRY(co_await events.keep_alive());
      EXPECT_TRUE((co_await events.send({.name = "a\nb"})).failed_with(Error::invalid_argument));
      co_return co_await events.send({});
    }
    std::string content{request.head().method_name};
    content.append(" ").append(request.head().target).append(" ");
    for (;;) {
      const io::Buffer piece = CO_TRY(co_await request.body().receive());
      if (piece.empty()) break;
      content += base::as_string_view(piece.bytes());
    }
    response.field("X-Framing", static_cast<std::uint64_t>(request.head().framing));
    co_return co_await response.send(content);
  }
};

// Text in pieces of one size.
class Pieces final : public io::Reader {
 public:
  Pieces(std::string text, std::size_t size) : text_{std::move(text)}, size_{size} {}
  Task<Result<std::size_t>> read(std::span<std::byte>) override { co_return Error::not_supported; }
  Task<Result<io::Buffer>> receive() override {
    const std::string_view rest = std::string_view{text_}.substr(at_);
    io::Buffer buffer = io::allocate_buffer(std::max<std::size_t>(1, std::min(size_, rest.size())));
    const std::size_t size = std::min(size_, rest.size());
    std::memcpy(buffer.room().data(), rest.data(), size);
    buffer.extend(size);
    at_ += size;
    co_return buffer;
  }

 private:
  std::string text_;
  std::size_t size_;
  std::size_t at_ = 0;
};

TEST_F(HttpClient, TalksToTheServerAndReusesTheConnection) {
  Echo echo;
  for (const std::size_t size : {1, 7, 4'096}) {
    capacity = size;
    connected.clear();
    serve(echo, [&]() -> Task<Result<void>> {
      Client client{*this};
      for (int i = 0; i < 3; ++i) {
        auto response = CO_TRY(co_await client.send({.authority = "h:1", .target = "/a?b"}));
        EXPECT_EQ(response.status(), Status::ok);
        EXPECT_EQ(CO_TRY(co_await read_body(response)), "GET /a?b ");
      }
      auto post = CO_TRY(co_await client.send(
          {.method = "POST", .authority = "h:1", .content = std::string(5'000, 'x')}));
      EXPECT_EQ(CO_TRY(co_await read_body(post)), "POST / " + std::string(5'000, 'x'));
      EXPECT_EQ(post.field("x-framing"), "1");
      EXPECT_EQ(connected.size(), 1U);
      co_return Result<void>{};
    });
  }
}

TEST_F(HttpClient, SendsABodyInChunks) {
  Echo echo;
  capacity = 50;
  serve(echo, [&]() -> Task<Result<void>> {
    Client client{*this};
    Pieces pieces{std::string(1'000, 'y'), 77};
    auto response =
        CO_TRY(co_await client.send({.method = "PUT", .authority = "h", .body = &pieces}));
    EXPECT_EQ(CO_TRY(co_await read_body(response)), "PUT / " + std::string(1'000, 'y'));
    EXPECT_EQ(response.field("X-Framing"), "2");
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, HeadHasNoContent) {
  Echo echo;
  serve(echo, [&]() -> Task<Result<void>> {
    Client client{*this};
    for (int i = 0; i < 2; ++i) {
      auto response = CO_TRY(co_await client.send({.method = "HEAD", .authority = "h"}));
      EXPECT_EQ(response.head().content_length, 7U);
      EXPECT_EQ(CO_TRY(co_await read_body(response)), "");
    }
    EXPECT_EQ(connected.size(), 1U);
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, GivesUpAConnectionWhoseBodyWasNotRead) {
  Echo echo;
  serve(echo, [&]() -> Task<Result<void>> {
    Client client{*this};
    CO_TRY(co_await client.send({.authority = "h"}));
    EXPECT_EQ(client.idle(), 0U);
    auto other = CO_TRY(co_await client.send({.authority = "h"}));
    EXPECT_EQ(connected.size(), 2U);
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, KeepsConnectionsApartAndNotForLong) {
  Echo echo;
  serve(echo, [&]() -> Task<Result<void>> {
    Client client{*this, {.max_idle = 2}};
    for (const std::string_view authority : {"a", "b", "c", "a"}) {
      auto response = CO_TRY(co_await client.send({.authority = authority}));
      CO_TRY(co_await read_body(response));
    }
    EXPECT_EQ(connected, (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(client.idle(), 2U);
    CO_TRY(co_await sleep_for(31s));
    auto response = CO_TRY(co_await client.send({.authority = "a"}));
    EXPECT_EQ(connected.size(), 4U);
    EXPECT_EQ(client.idle(), 0U);
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, FollowsRedirectsWhenAsked) {
  Echo echo;
  serve(echo, [&]() -> Task<Result<void>> {
    Client plain{*this};
    auto away = CO_TRY(co_await plain.send({.authority = "h", .target = "/away"}));
    EXPECT_EQ(away.status(), Status::found);
    Client follower{*this, {.max_redirects = 3}};
    EXPECT_TRUE((co_await follower.send({.authority = "h", .target = "/loop"}))
                    .failed_with(Error::limit_reached));
    auto there =
        CO_TRY(co_await follower.send({.method = "POST", .authority = "h", .target = "/away"}));
    EXPECT_EQ(CO_TRY(co_await read_body(there)), "GET /../there?q=1 ");
    co_return Result<void>{};
  });
}

// RFC 9110 sections 4.2.1 and 4.2.4: nobody, and somebody with a name, have no server.
TEST_F(HttpClient, FollowsNoRedirectToAServerWithoutAName) {
  for (const std::string_view location : {"http:///x", "//", "http://user@other/", "http://a b/"}) {
    std::vector<Script> scripts{{.answer = "HTTP/1.1 307 Go\r\nLocation: " + std::string{location} +
                                           "\r\nContent-Length: 0\r\n\r\n"}};
    connected.clear();
    play(scripts, [&]() -> Task<Result<void>> {
      Client client{*this, {.max_redirects = 1}};
      auto response = co_await client.send({.authority = "h"});
      EXPECT_TRUE(response.failed_with(Error::protocol_error)) << location;
      co_return Result<void>{};
    });
    EXPECT_EQ(connected.size(), 1U) << location;
  }
}

TEST_F(HttpClient, TakesNoCredentialsToAnotherServer) {
  std::vector<Script> scripts{
      {.answer = "HTTP/1.1 307 Go\r\nLocation: http://other:8/x#y\r\nContent-Length: 0\r\n\r\n"},
      {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
  play(scripts, [&]() -> Task<Result<void>> {
    Client client{*this, {.max_redirects = 1}};
    const std::array fields{Field{"authorization", "secret"}, Field{"X", "y"}};
    auto response = CO_TRY(co_await client.send({.authority = "h", .fields = fields}));
    EXPECT_EQ(response.status(), Status::ok);
    co_return Result<void>{};
  });
  EXPECT_EQ(scripts[0].heard, "GET / HTTP/1.1\r\nHost: h\r\nauthorization: secret\r\nX: y\r\n\r\n");
  EXPECT_EQ(scripts[1].heard, "GET /x HTTP/1.1\r\nHost: other:8\r\nX: y\r\n\r\n");
}

TEST_F(HttpClient, ReadsToTheEndOfTheStreamWhereNothingElseTells) {
  std::vector<Script> scripts{
      {.answer = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it"}};
  play(scripts, [&]() -> Task<Result<void>> {
    Client client{*this};
    auto response = CO_TRY(co_await client.send({.authority = "h"}));
    EXPECT_EQ(CO_TRY(co_await read_body(response)), "all of it");
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, RepeatsARequestOnAConnectionThatHadBeenClosed) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  std::vector<Script> scripts{{.answer = answer}, {.answer = answer}};
  play(scripts, [&]() -> Task<Result<void>> {
    Client client{*this};
    for (int i = 0; i < 2; ++i) {
      auto response = CO_TRY(co_await client.send({.authority = "h"}));
      EXPECT_EQ(CO_TRY(co_await read_body(response)), "ok");
    }
    EXPECT_EQ(connected.size(), 2U);
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, DoesNotRepeatWhatMustNotHappenTwice) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  std::vector<Script> scripts{{.answer = answer}, {.answer = answer}};
  play(scripts, [&]() -> Task<Result<void>> {
    Client client{*this};
    auto first = CO_TRY(co_await client.send({.method = "POST", .authority = "h"}));
    CO_TRY(co_await read_body(first));
    {
      const ClientResponse done = std::move(first);
    }
    EXPECT_FALSE(co_await client.send({.method = "POST", .authority = "h"}));
    EXPECT_EQ(connected.size(), 1U);
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, DropsAConnectionWithBytesNobodyAskedFor) {
  std::vector<Script> scripts{
      {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
       .closes = false}};
  play(scripts, [&]() -> Task<Result<void>> {
    Client client{*this};
    {
      auto response = CO_TRY(co_await client.send({.authority = "h"}));
      EXPECT_EQ(CO_TRY(co_await read_body(response)), "ok");
    }
    EXPECT_EQ(client.idle(), 0U);
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, TellsWhatWentWrong) {
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"), Error::end_of_stream);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            Error::end_of_stream);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n"),
            Error::protocol_error);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Le"), Error::end_of_stream);
  EXPECT_EQ(error_of("SSH-2.0-something else\r\n"), Error::protocol_error);
  EXPECT_EQ(error_of("HTTP/1.1 101 Switch\r\n\r\n"), Error::protocol_error);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", {.max_body = 4}),
            Error::too_large);
  std::string endless;
  for (int i = 0; i < 20; ++i) endless += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(error_of(endless), Error::protocol_error);
}

TEST_F(HttpClient, RefusesToWriteWhatIsNoRequest) {
  std::vector<Script> scripts;
  play(scripts, [&]() -> Task<Result<void>> {
    Client client{*this};
    const std::array fields{Field{"X", "y\r\nZ: a"}};
    EXPECT_TRUE((co_await client.send({.authority = "h", .target = "/a b"}))
                    .failed_with(Error::invalid_argument));
    EXPECT_TRUE((co_await client.send({.authority = "h", .fields = fields}))
                    .failed_with(Error::invalid_argument));
    refuse = true;
    EXPECT_TRUE((co_await client.send({.authority = "h"})).failed_with(Error::connection_refused));
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, DoesNotWaitForever) {
  std::vector<Script> scripts{
      {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", .closes = false},
      {.answer = "HTTP/1.1", .closes = false}};
  play(scripts, [&]() -> Task<Result<void>> {
    Client client{*this};
    {
      auto response = CO_TRY(co_await client.send({.authority = "h"}));
      EXPECT_TRUE((co_await read_body(response)).failed_with(Error::timed_out));
    }
    EXPECT_TRUE((co_await client.send({.authority = "h"})).failed_with(Error::timed_out));
    co_return Result<void>{};
  });
}

TEST_F(HttpClient, ReceivesServerSentEvents) {
  Echo echo;
  serve(echo, [&]() -> Task<Result<void>> {
    Client client{*this};
    auto response = CO_TRY(co_await client.send({.authority = "h", .target = "/events"}));
    EXPECT_EQ(response.field("Content-Type"), "text/event-stream");
    EXPECT_EQ(CO_TRY(co_await read_body(response)),
              "event: n\nid: 7\ndata: a\ndata: b\ndata: c\ndata: d\n\n:\n\ndata: \n\n");
    co_return Result<void>{};
  });
}

}  // namespace
}  // namespace lichen::net::http

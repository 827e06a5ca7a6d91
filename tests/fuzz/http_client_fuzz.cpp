// A client and servers that answer what the input says, in pieces. Whatever they answer: what the
// client sends is one well-formed request each time, to the server it belongs to, whatever a
// redirect says; a body is as long as was announced, and no connection is used again after an
// answer whose end is not known. The first bytes of the input choose what is asked and how; of the
// others 0 ends a piece, 1 the connection, 2 breaks it, 3 lets time pass.
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "lichen/coro/sleep.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/net/http/chunked.hpp"
#include "lichen/net/http/client.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen;
using namespace lichen::net::http;
using namespace std::chrono_literals;

namespace {

struct World final : io::BufferOwner {
  explicit World(std::string_view input) {
    const std::size_t count = std::min(input.size(), choices.size());
    input.copy(choices.data(), count);
    answers = input.substr(count);
  }
  unsigned choice() { return static_cast<unsigned char>(choices[next_choice++ % choices.size()]); }
  io::Buffer lend(std::string_view text) {
    auto* const memory = new std::byte[text.size()];
    std::memcpy(memory, text.data(), text.size());
    ++lent;
    return {*this, {memory, text.size()}, text.size()};
  }
  void give_back(std::span<std::byte> whole) noexcept override {
    --lent;
    delete[] whole.data();
  }

  std::array<char, 12> choices{};
  std::size_t next_choice = 0;
  std::string_view answers;
  std::size_t lent = 0;
  std::size_t open = 0;
};

// Of a server that says what comes next.
class Connection final : public io::Stream {
 public:
  Connection(World& world, std::string_view authority) : world_{world}, authority_{authority} {
    ++world_.open;
  }
  ~Connection() override { --world_.open; }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Task<Result<io::Buffer>> receive() override {
    const std::string_view piece = CO_TRY(co_await next(1'000));
    if (piece.empty()) co_return io::Buffer{};
    co_return world_.lend(piece);
  }
  Task<Result<std::size_t>> read(std::span<std::byte> into) override {
    CHECK(!into.empty());
    const std::string_view piece = CO_TRY(co_await next(into.size()));
    if (!piece.empty()) std::memcpy(into.data(), piece.data(), piece.size());
    co_return piece.size();
  }
  Task<Result<std::size_t>> write(std::span<const std::byte> from) override {
    CHECK(!from.empty());
    if (ended_) {
      heard_.clear();
      co_return Error::connection_reset;
    }
    heard_.append(reinterpret_cast<const char*>(from.data()), from.size());
    co_return from.size();
  }
  Task<Result<void>> shutdown(io::Direction) override { co_return Result<void>{}; }
  void abort() noexcept override { ended_ = true; }

 private:
  enum Command : char { cut = 0, end = 1, breaks = 2, later = 3 };

  Task<Result<std::string_view>> next(std::size_t most) {
    check_request();
    while (!ended_ && !world_.answers.empty()) {
      const std::size_t size = world_.answers.find_first_of(std::string_view{"\0\1\2\3", 4});
      if (size != 0) {
        const std::string_view piece = world_.answers.substr(0, std::min(size, most));
        world_.answers.remove_prefix(piece.size());
        co_return piece;
      }
      const char command = world_.answers.front();
      world_.answers.remove_prefix(1);
      if (command == end) ended_ = true;
      if (command == later) CO_TRY(co_await sleep_for(20s));
      if (command == breaks) {
        ended_ = true;
        co_return Error::connection_reset;
      }
    }
    co_return std::string_view{};
  }

  // All of a request has come, and nothing else.
  void check_request() {
    if (heard_.empty()) return;
    RequestHead head;
    const Parsed parsed = parse_request(heard_, head);
    CHECK(parsed.complete());
    CHECK(head.host == authority_);
    CHECK(head.fields.find("Cookie").has_value() <= (authority_ == "one.example"));
    std::string_view rest{heard_};
    rest.remove_prefix(parsed.size);
    if (head.framing == Framing::chunked) {
      ChunkedDecoder decoder;
      ChunkedDecoder::Step step{};
      do step = decoder.decode(rest);
      while (step.outcome == ChunkedDecoder::Outcome::content);
      CHECK(step.outcome == ChunkedDecoder::Outcome::end && rest.empty());
    } else {
      CHECK(rest.size() == head.content_length);
    }
    heard_.clear();
  }

  World& world_;
  const std::string authority_;
  std::string heard_;
  bool ended_ = false;
};

class Servers final : public Connector {
 public:
  explicit Servers(World& world) : world_{world} {}
  Task<Result<std::unique_ptr<io::Stream>>> connect(std::string_view authority) override {
    if (world_.choice() % 16 == 15) co_return Error::connection_refused;
    std::unique_ptr<io::Stream> stream = std::make_unique<Connection>(world_, authority);
    co_return stream;
  }

 private:
  World& world_;
};

class Pieces final : public io::Reader {
 public:
  explicit Pieces(World& world) : world_{world} {}
  Task<Result<io::Buffer>> receive() override {
    if (left_ == 0) co_return io::Buffer{};
    --left_;
    co_return world_.lend("content");
  }
  Task<Result<std::size_t>> read(std::span<std::byte>) override { co_return Error::not_supported; }

 private:
  World& world_;
  unsigned left_ = 2;
};

Task<Result<void>> take_body(World& world, ClientResponse& response, bool has_body,
                             std::uint64_t limit) {
  const ResponseHead& head = response.head();
  const unsigned how = world.choice();
  if (how % 8 == 0) co_return Result<void>{};
  if (how % 8 == 1) co_return co_await response.body().skip(100);
  std::uint64_t size = 0;
  for (;;) {
    std::size_t got = 0;
    if (how % 2 == 0) {
      const io::Buffer piece = CO_TRY(co_await response.body().receive());
      got = piece.size();
    } else {
      std::array<std::byte, 7> into;
      got = CO_TRY(co_await response.body().read(into));
    }
    size += got;
    CHECK(size <= limit);
    if (got == 0) break;
  }
  CHECK(response.body().at_end());
  if (!has_body) CHECK(size == 0);
  if (has_body && head.framing == Framing::length) CHECK(size == head.content_length);
  co_return Result<void>{};
}

Task<Result<void>> ask(World& world, Client& client, const ClientOptions& options) {
  static constexpr std::array<std::string_view, 5> methods{"GET", "POST", "HEAD", "PUT", "GET"};
  static constexpr std::array fields{Field{"Cookie", "secret"}, Field{"Accept", "*/*"}};
  for (unsigned times = 0; times < 6 && !world.answers.empty(); ++times) {
    const unsigned how = world.choice();
    Pieces pieces{world};
    ClientRequest request{.method = methods[how % methods.size()],
                          .authority = "one.example",
                          .target = "/a/b?c",
                          .fields = fields};
    if (request.method == "POST") request.content = "name=value";
    if (request.method == "PUT") request.body = &pieces;
    auto response = co_await client.send(request);
    if (!response) continue;
    const auto number = static_cast<unsigned>(response->status());
    CHECK(number >= 200 && number <= 999);
    const bool has_body =
        request.method != "HEAD" && response->status() != Status::no_content && number != 304;
    (co_await take_body(world, *response, has_body, options.max_body)).ignore();
    CHECK(client.idle() <= options.max_idle);
  }
  co_return Result<void>{};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coro::test::virtual_now_ns = 1'000'000;
  const Exact exact{{reinterpret_cast<const char*>(data), size}};
  World world{exact.view()};
  {
    coro::test::TestLoop loop;
    Servers servers{world};
    const unsigned form = world.choice();
    const ClientOptions options{.head = {.size = form % 2 == 0 ? 16'384U : 512U},
                                .max_body = form % 4 == 0 ? 20U : 10'000U,
                                .max_idle = form / 8 % 3,
                                .max_redirects = form / 32};
    Client client{servers, options};
    CHECK(loop.run(ask(world, client, options)));
    CHECK(client.idle() == world.open);
  }
  CHECK(world.open == 0 && world.lent == 0);
  CHECK(coro::test::frames_alive == 0);
  return 0;
}

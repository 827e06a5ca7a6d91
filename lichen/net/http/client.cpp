#include "lichen/net/http/client.hpp"

#include <array>
#include <new>

#include "lichen/base/span.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/net/http/block.hpp"
#include "lichen/net/http/chunked.hpp"
#include "lichen/net/http/head_writer.hpp"
#include "lichen/net/http/input.hpp"
#include "lichen/net/http/redirect.hpp"

namespace lichen::net::http {

namespace {

// A server may send so many before the answer, 100 and 103 for instance.
constexpr unsigned max_informational = 16;

// Limits the time of each wait for bytes.
class PatientReader final : public io::Reader {
 public:
  PatientReader(io::Reader& reader, const ClientOptions& options) noexcept
      : reader_{reader}, options_{options} {}

  Task<Result<std::size_t>> read(std::span<std::byte> into) override {
    co_return co_await with_timeout(options_.response_timeout, reader_.read(into));
  }
  Task<Result<io::Buffer>> receive() override {
    const Duration timeout = in_body ? options_.body_timeout : options_.response_timeout;
    co_return co_await with_timeout(timeout, reader_.receive());
  }

  bool in_body = false;

 private:
  io::Reader& reader_;
  const ClientOptions& options_;
};

// RFC 9110 section 9.2.2: sending it twice does what sending it once does.
bool is_idempotent(std::string_view method) noexcept {
  for (const Method known :
       {Method::get, Method::head, Method::put, Method::delete_, Method::options, Method::trace})
    if (method == name(known)) return true;
  return false;
}

}  // namespace

class ClientConnection {
 public:
  ClientConnection(Client& client, std::unique_ptr<io::Stream> connected, std::string_view to,
                   const ClientOptions& options) noexcept
      : owner{client},
        stream{std::move(connected)},
        authority{to},
        reader{*stream, options},
        input{reader, options.head.size},
        body{input, nullptr} {}

  // The next request on it would be understood.
  [[nodiscard]] bool reusable() const noexcept { return reuse && body.at_end() && !body.failed(); }

  Client& owner;
  std::unique_ptr<io::Stream> stream;
  std::string authority;
  PatientReader reader;
  Input input;
  ResponseHead head;
  BodyReader body;
  bool reuse = false;
  bool answered = false;             // a byte of the response has come
  Deadline use_until;                // while idle
  ClientConnection* next = nullptr;  // among the idle ones
};

ClientResponse::ClientResponse(std::unique_ptr<ClientConnection> connection) noexcept
    : connection_{std::move(connection)} {}
ClientResponse::ClientResponse(ClientResponse&&) noexcept = default;
ClientResponse& ClientResponse::operator=(ClientResponse&& other) noexcept {
  connection_.swap(other.connection_);
  return *this;
}
ClientResponse::~ClientResponse() {
  if (!connection_ || !connection_->reusable()) return;
  Client& client = connection_->owner;
  client.give_back(std::move(connection_));
}
const ResponseHead& ClientResponse::head() const noexcept { return connection_->head; }
BodyReader& ClientResponse::body() noexcept { return connection_->body; }

Client::~Client() {
  while (idle_) delete std::exchange(idle_, idle_->next);
}

Task<Result<ClientResponse>> Client::send(ClientRequest request) {
  Redirect redirect;
  for (unsigned redirects = 0;; ++redirects) {
    ClientResponse response = CO_TRY(co_await send_once(request));
    if (options_.max_redirects == 0 || !is_redirect(response.status())) co_return response;
    const auto location = response.field("Location");
    if (!location) co_return response;
    if (redirects == options_.max_redirects) co_return Error::limit_reached;
    CO_TRY(redirect.follow(request, response.status(), *location));
    // What it says beside that is of no interest, but the connection may be.
    constexpr std::uint64_t worth_reading = 16'384;
    (co_await response.body().skip(worth_reading)).ignore();
  }
}

Task<Result<ClientResponse>> Client::send_once(const ClientRequest& request) {
  std::unique_ptr<ClientConnection> connection = take(request.authority);
  if (connection) {
    const Result<void> outcome = co_await exchange(*connection, request);
    if (outcome) co_return ClientResponse{std::move(connection)};
    const bool repeatable =
        !connection->answered && is_idempotent(request.method) && request.body == nullptr;
    const bool was_closed = outcome.failed_with(Error::end_of_stream) ||
                            outcome.failed_with(Error::connection_reset) ||
                            outcome.failed_with(Error::closed);
    if (!repeatable || !was_closed) co_return outcome.error();
  }
  connection = CO_TRY(co_await open(request.authority));
  CO_TRY(co_await exchange(*connection, request));
  co_return ClientResponse{std::move(connection)};
}

Task<Result<std::unique_ptr<ClientConnection>>> Client::open(std::string_view authority) {
  auto stream =
      CO_TRY(co_await with_timeout(options_.connect_timeout, connector_.connect(authority)));
  std::unique_ptr<ClientConnection> connection{
      new (std::nothrow) ClientConnection{*this, std::move(stream), authority, options_}};
  if (!connection) co_return Error::no_memory;
  co_return connection;
}

namespace {

Task<Result<void>> send_request(io::Stream& stream, const ClientRequest& request,
                                const ClientOptions& options) {
  Block block;
  if (!block.allocate(options.head.size)) co_return Error::no_memory;
  HeadWriter writer{{block.data(), block.size()}};
  writer.request(request.method, request.target);
  writer.field("Host", request.authority);
  for (const Field field : request.fields) writer.field(field.name, field.value);
  if (request.body) {
    writer.lines("Transfer-Encoding: chunked\r\n");
  } else if (!request.content.empty() || request.method == "POST" || request.method == "PUT") {
    writer.field("Content-Length", request.content.size());
  }
  writer.finish();
  if (!writer.ok()) co_return writer.broken() ? Error::invalid_argument : Error::too_large;

  const std::array pieces{base::as_bytes(writer.text()), base::as_bytes(request.content)};
  const std::span used{pieces.data(), request.content.empty() || request.body ? 1U : 2U};
  CO_TRY(co_await with_timeout(options.send_timeout, stream.write_pieces(used)));
  block.release();
  while (request.body) {
    const io::Buffer content = CO_TRY(co_await request.body->receive());
    if (content.empty()) {
      co_return co_await with_timeout(options.send_timeout,
                                      stream.write_all(base::as_bytes(last_chunk)));
    }
    const ChunkHead head{content.size()};
    const std::array<std::span<const std::byte>, 3> chunk{
        base::as_bytes(head.text()), content.bytes(), base::as_bytes(chunk_end)};
    CO_TRY(co_await with_timeout(options.send_timeout, stream.write_pieces(chunk)));
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> Client::exchange(ClientConnection& connection, const ClientRequest& request) {
  connection.answered = false;
  connection.reuse = false;
  connection.reader.in_body = false;
  const Result<void> sent = co_await send_request(*connection.stream, request, options_);
  // A server that does not want all of a request may answer and close before it was sent.
  const bool may_have_answered =
      sent || sent.failed_with(Error::connection_reset) || sent.failed_with(Error::closed);
  if (!may_have_answered) co_return sent;

  ResponseHead& head = connection.head;
  std::string_view& pending = connection.input.pending();
  for (unsigned informational = 0;;) {
    const Parsed parsed = parse_response(pending, head, options_.head);
    if (parsed.failed()) co_return Error::protocol_error;
    if (parsed.incomplete()) {
      const auto more = co_await connection.input.more_of_head();
      if (!more || !*more) {
        if (!sent) co_return sent;
        co_return more ? Error::end_of_stream : more.error();
      }
      connection.answered = true;
      continue;
    }
    pending.remove_prefix(parsed.size);
    if (!is_informational(head.status)) break;
    if (head.status == Status::switching_protocols || ++informational > max_informational)
      co_return Error::protocol_error;
    connection.input.next_message();
  }

  // RFC 9112 section 6.3.
  BodyEnd end = BodyEnd::stream;
  if (request.method == "HEAD" || never_has_body(head.status))
    end = BodyEnd::empty;
  else if (head.framing == Framing::chunked)
    end = BodyEnd::chunked;
  else if (head.framing == Framing::length)
    end = BodyEnd::length;
  connection.body.start(end, head.content_length, options_.max_body);
  connection.reuse = sent.has_value() && head.keep_alive && end != BodyEnd::stream;
  connection.reader.in_body = true;
  co_return Result<void>{};
}

std::unique_ptr<ClientConnection> Client::take(std::string_view authority) noexcept {
  const Deadline now = Deadline::after(Duration::zero());
  ClientConnection* expired = nullptr;
  std::unique_ptr<ClientConnection> found;
  {
    coro::SpinGuard guard{lock_};
    for (ClientConnection** place = &idle_; *place != nullptr;) {
      ClientConnection* connection = *place;
      const bool old = connection->use_until < now;
      if (!old && (found || connection->authority != authority)) {
        place = &connection->next;
        continue;
      }
      *place = connection->next;
      --idle_count_;
      if (old)
        connection->next = std::exchange(expired, connection);
      else
        found.reset(connection);
    }
  }
  while (expired) delete std::exchange(expired, expired->next);
  return found;
}

void Client::give_back(std::unique_ptr<ClientConnection> connection) noexcept {
  // Bytes that nobody asked for would be taken for the next answer.
  if (!connection->input.pending().empty()) return;
  connection->input.next_message();
  connection->use_until = Deadline::after(options_.idle_timeout);
  coro::SpinGuard guard{lock_};
  if (idle_count_ >= options_.max_idle) return;
  connection->next = idle_;
  idle_ = connection.release();
  ++idle_count_;
}

}  // namespace lichen::net::http

#include "lichen/net/http/connection.hpp"

#include <utility>

#include "lichen/base/member.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/stop.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/net/http/input.hpp"
#include "lichen/net/http/parser.hpp"
#include "lichen/net/http/response.hpp"
#include "lichen/net/http/server.hpp"

namespace lichen::net::http {
namespace {

// So much of a body that nobody wanted is skipped, to keep the connection.
constexpr std::uint64_t max_skipped = 65'536;
constexpr Duration goodbye_timeout = std::chrono::seconds{2};

BodyEnd body_end(Framing framing) noexcept {
  switch (framing) {
    case Framing::none: return BodyEnd::empty;
    case Framing::length: return BodyEnd::length;
    case Framing::chunked: return BodyEnd::chunked;
  }
  std::unreachable();
}

// What the client is told when its body could not be read; none when there is nobody to tell.
Status status_of_body(Error error) noexcept {
  switch (error) {
    case Error::protocol_error: return Status::bad_request;
    case Error::too_large: return Status::content_too_large;
    default: return Status::none;
  }
}

}  // namespace

// Limits the time of each wait for bytes.
class Connection::TimedReader final : public io::Reader {
 public:
  TimedReader(Connection& connection) noexcept : connection_{connection} {}

  // A head has one deadline for all of it; a body has a new one for each wait.
  Task<Result<std::size_t>> read(std::span<std::byte> into) override {
    if (connection_.watch_.phase() != Watch::Phase::head)
      connection_.watch_.limit(Watch::Phase::head, connection_.server_.options_.head_timeout);
    co_return co_await connection_.stream_.read(into);
  }
  Task<Result<io::Buffer>> receive() override {
    connection_.watch_.limit(Watch::Phase::body, connection_.server_.options_.body_timeout);
    auto received = co_await connection_.stream_.receive();
    connection_.watch_.off();
    co_return received;
  }

 private:
  Connection& connection_;
};

Connection::Connection(Server& server, io::Stream& stream) noexcept
    : server_{server}, stream_{stream}, output_{stream, watch_, server.options_.write_timeout} {}

Task<> Connection::run() {
  {
    Scope scope{OnError::keep_going};
    scope_ = &scope;
    auto session = this->session();
    if (server_.draining_) scope.request_stop();
    scope.start(session, coro::this_core());
    (co_await scope.join()).ignore();
    scope_ = nullptr;
    if (!session.take_result()) end_ = End::abort;
  }
  watch_.stop();
  if (timed_out_ == Watch::Phase::idle) end_ = End::close;
  const bool owes_answer = timed_out_ == Watch::Phase::head || timed_out_ == Watch::Phase::body;
  if (owes_answer && !mute_) (co_await with_timeout(goodbye_timeout, say_goodbye())).ignore();
  switch (end_) {
    case End::close: (co_await stream_.shutdown(io::Direction::both)).ignore(); break;
    case End::linger: (co_await with_timeout(goodbye_timeout, linger())).ignore(); break;
    case End::abort: stream_.abort(); break;
  }
}

Task<Result<void>> Connection::session() {
  for (bool keep = true; keep;) {
    waits_for_request_ = true;
    watch_.limit(Watch::Phase::idle, server_.options_.idle_timeout);
    auto received = co_await stream_.receive();
    watch_.off();
    waits_for_request_ = false;
    if (!received) {
      // A stop while idle is how a drain ends it; nothing was lost.
      if (received.failed_with(Error::stopped) && timed_out_ == Watch::Phase::none)
        co_return Result<void>{};
      co_return received.error();
    }
    if (received->empty()) co_return Result<void>{};
    ++server_.counters_.busy;
    const Result<bool> served = co_await serve_requests(std::move(*received));
    --server_.counters_.busy;
    keep = CO_TRY(served) && !server_.draining_;
  }
  co_return Result<void>{};
}

Task<Result<bool>> Connection::serve_requests(io::Buffer first) {
  const ServerOptions& options = server_.options_;
  if (!output_.open()) {
    // Nothing can be said without memory, but the client need not wait for it.
    end_ = End::abort;
    co_return false;
  }
  TimedReader reader{*this};
  Input input{reader, options.head.size};
  input.lend(std::move(first));
  RequestHead head;
  BodyReader body{input, this};
  Request request{head, body, stream_};
  Response response{output_};

  for (bool keep = true; keep;) {
    const Parsed parsed = parse_request(input.pending(), head, options.head);
    if (parsed.incomplete()) {
      if (!output_.empty()) CO_TRY(co_await output_.flush());
      if (input.pending().empty()) break;
      if (server_.draining_) co_return false;
      if (!CO_TRY(co_await input.more_of_head())) {
        end_ = End::abort;  // half a request
        co_return false;
      }
      continue;
    }
    watch_.off();
    if (output_.room().size() < Response::max_head) CO_TRY(co_await output_.flush());

    const bool first_version = head.minor_version == 0;
    Response::Context context{
        .is_head = head.method == Method::head,
        .may_chunk = !first_version,
        .keep_alive = head.keep_alive && !server_.draining_,
        .tell_keep_alive = first_version,
        .common = server_.common_lines(),
        .now = server_.now_,
    };
    Status refusal = parsed.error;
    if (!parsed.failed()) {
      input.pending().remove_prefix(parsed.size);
      context.more_wait = !input.pending().empty();
      ++server_.counters_.requests;
      if (head.framing == Framing::length && head.content_length > options.max_body)
        refusal = Status::content_too_large;
      else if (head.method == Method::connect)
        refusal = Status::not_implemented;
    }
    if (refusal != Status::none) [[unlikely]] {
      // Where the next request would begin is not known, or not worth finding out.
      ++server_.counters_.refused;
      context.keep_alive = false;
      context.is_head &= !parsed.failed();
      response.start(context);
      CO_TRY(co_await response.send_error(refusal));
      CO_TRY(co_await output_.flush());
      end_ = End::linger;
      co_return false;
    }

    response.start(context);
    body.start(body_end(head.framing), head.content_length, options.max_body);
    expects_continue_ = head.expects_continue && !body.at_end();
    if (!output_.empty()) send_late();
    Result<void> handled = co_await server_.handler_.handle(request, response);
    if (handled && !response.is_done()) handled = co_await response.finish();

    if (!handled) [[unlikely]] {
      if (coro::stop_requested()) {
        mute_ = !response.take_back();
        co_return handled.error();
      }
      const Status fault =
          body.failed() ? status_of_body(body.error()) : status_of_fault(handled.error());
      if (body.failed())
        ++server_.counters_.refused;
      else
        ++server_.counters_.handler_errors;
      if (fault == Status::none || !response.take_back()) {
        end_ = End::abort;
        co_return false;
      }
      if (body.failed()) response.close_afterwards();
      CO_TRY(co_await response.send_error(fault));
    }
    keep = response.keep_alive();
    if (!body.at_end()) [[unlikely]] {
      // A client that waits for 100 Continue may send its body or not: what comes next is not
      // known.
      const bool skipped = keep && !body.failed() && !expects_continue_ &&
                           (co_await body.skip(max_skipped)).has_value();
      if (!skipped) {
        if (coro::stop_requested()) {
          mute_ = true;
          co_return Error::stopped;
        }
        keep = false;
        end_ = End::linger;
      }
    }
    if (!keep) {
      CO_TRY(co_await output_.flush());
      if (!input.pending().empty()) end_ = End::linger;
      co_return false;
    }
    input.next_message();
  }
  output_.close();
  co_return true;
}

// While a handler waits for something else, responses to the requests before it must not wait with
// it.
void Connection::send_late() noexcept {
  if (late_) return;
  auto send = [](Connection& self) -> Task<> {
    (co_await self.output_.flush_late()).ignore();
    self.late_ = false;
  };
  late_ = scope_->spawn(send(*this), coro::this_core());
}

Task<Result<void>> Connection::before_wait() {
  if (std::exchange(expects_continue_, false)) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_return co_await output_.flush(go_on);
  }
  if (!output_.empty()) co_return co_await output_.flush();
  co_return Result<void>{};
}

// The time for a request is up, and the session has ended for it.
Task<Result<void>> Connection::say_goodbye() {
  end_ = End::abort;
  if (!output_.open()) co_return Error::no_memory;
  Response response{output_};
  response.start({.keep_alive = false, .common = server_.common_lines(), .now = server_.now_});
  CO_TRY(co_await response.send_error(Status::request_timeout));
  CO_TRY(co_await output_.flush());
  end_ = End::linger;
  co_return Result<void>{};
}

// A stream that is closed while input is left to read is reset, and the reset may overtake our
// answer (RFC 9112 section 9.6).
Task<Result<void>> Connection::linger() {
  CO_TRY(co_await stream_.shutdown(io::Direction::send));
  for (std::size_t skipped = 0; skipped < max_skipped;) {
    const io::Buffer buffer = CO_TRY(co_await stream_.receive());
    if (buffer.empty()) break;
    skipped += buffer.size();
  }
  co_return Result<void>{};
}

void Connection::expired(Watch& watch) noexcept {
  Connection& self = *base::holder_of<Connection, &Connection::watch_>(&watch);
  if (!self.scope_) return;
  self.timed_out_ = watch.phase();
  if (self.timed_out_ != Watch::Phase::idle) ++self.server_.counters_.timed_out;
  self.scope_->request_stop();
}

void Connection::drain() noexcept {
  if (waits_for_request_ && scope_) scope_->request_stop();
}

void Connection::cut() noexcept {
  end_ = End::abort;
  stream_.abort();
  if (scope_) scope_->request_stop();
}

}  // namespace lichen::net::http

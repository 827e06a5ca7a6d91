// Request and Response: what a handler is given.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/address.hpp"
#include "lichen/net/http/body.hpp"
#include "lichen/net/http/head_writer.hpp"
#include "lichen/net/http/output.hpp"
#include "lichen/net/http/parser.hpp"

namespace lichen::net::http {

// A request whose head is there and whose body may still be on its way. Views are good until the
// handler returns.
class Request {
 public:
  Request(const RequestHead& head, BodyReader& body, const io::Stream& stream) noexcept
      : head_{head}, body_{body}, stream_{stream} {}

  [[nodiscard]] const RequestHead& head() const noexcept { return head_; }
  [[nodiscard]] Method method() const noexcept { return head_.method; }
  [[nodiscard]] std::string_view path() const noexcept { return head_.path; }
  [[nodiscard]] std::string_view query() const noexcept { return head_.query; }
  [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const noexcept {
    return head_.fields.find(name);
  }
  // Read from it what is wanted; the server deals with the rest.
  [[nodiscard]] BodyReader& body() noexcept { return body_; }
  [[nodiscard]] io::Address peer() const { return stream_.peer(); }

 private:
  const RequestHead& head_;
  BodyReader& body_;
  const io::Stream& stream_;
};

// What goes back. Either one send(), or any number of write(), which sends at once, and the end
// comes when the handler returns. A handler that does neither has answered with an empty body.
//
//   response.status(Status::ok).field("Content-Type", "text/plain");
//   co_return co_await response.send("Hello");
//
// Without status() it is 200. Content of a response to HEAD, or with a status that has none, is
// counted for the head and dropped. Content-Length, Transfer-Encoding, Connection and Date are not
// a handler's to write.
class Response {
 public:
  // A head is at most so many bytes long; send() and write() fail with Error::too_large when it is
  // longer, and with Error::invalid_argument when a field would break the format.
  static constexpr std::size_t max_head = 8'192;
  // Content from this size on is worth a write of its own to spare a copy, unless answers can be
  // gathered.
  static constexpr std::size_t borrowed_size = 2'048;

  // What the response depends on and the handler does not decide.
  struct Context {
    bool is_head = false;          // the request was HEAD
    bool may_chunk = true;         // the client speaks HTTP/1.1
    bool keep_alive = true;        // the connection stays
    bool tell_keep_alive = false;  // and a client of HTTP/1.0 must be told so
    bool more_wait = false;        // further requests are here, whose answers may go with this one
    std::string_view common;       // lines that every head gets
    std::int64_t now = 0;          // the date in them: seconds since 1970-01-01 00:00 UTC
  };

  explicit Response(Output& output) noexcept : output_{output}, writer_{{}} {}
  // Starts the response to the next request. The output MUST have room for a head.
  void start(const Context& context) noexcept;

  // Begins the head, anew if it was begun. MUST come before the fields.
  Response& status(Status status) noexcept;
  Response& field(std::string_view name, std::string_view value) noexcept;
  Response& field(std::string_view name, std::uint64_t value) noexcept;
  // Fields that are known to be right, as whole lines with their CRLF: nothing checks them.
  Response& trusted_lines(std::string_view lines) noexcept;
  // Announces how much write() will send; MUST come after status().
  Response& length(std::uint64_t length) noexcept;

  // The whole content. What is small is copied and leaves together with what else there is to send;
  // the rest is borrowed until the connection has taken it.
  Task<Result<void>> send(std::string_view content = {});
  // A complete answer for people: the status in words. Drops what was begun.
  Task<Result<void>> send_error(Status status);
  // Sends the head, if it was not sent, and a piece of the content, after what was written before.
  // Returns when the connection has taken it: a slow client slows the handler down.
  Task<Result<void>> write(std::string_view content);
  Task<Result<void>> write(std::span<const std::byte> content);
  // Sends the head now, before there is content.
  [[clang::coro_wrapper]] Task<Result<void>> write_head() { return write(std::string_view{}); }

  // Nobody will see the content; a handler may spare itself the work of making it.
  [[nodiscard]] bool drops_content() const noexcept {
    return context_.is_head || never_has_body(status_);
  }
  // The head is fixed: status() and field() come too late.
  [[nodiscard]] bool head_sent() const noexcept { return state_ > State::head; }
  // Nothing is left to finish().
  [[nodiscard]] bool is_done() const noexcept { return state_ == State::done; }
  // When the response was begun, as its Date says: seconds since 1970-01-01 00:00 UTC.
  [[nodiscard]] std::int64_t now() const noexcept { return context_.now; }

  // For the server. Completes what the handler left open; Error::end_of_stream when it announced
  // more than it wrote.
  Task<Result<void>> finish();
  // Takes back everything, if nothing has left; else false.
  [[nodiscard]] bool take_back() noexcept;
  [[nodiscard]] bool keep_alive() const noexcept { return context_.keep_alive; }
  void close_afterwards() noexcept { context_.keep_alive = false; }

 private:
  enum class State : std::uint8_t {
    fresh,    // nothing was written
    head,     // status and fields are being written
    length,   // the head is done; left_ bytes of content come
    chunked,  // the head is done; chunks come
    stream,   // the head is done; content comes until the connection ends
    done,
    failed,
  };
  // Begins the head if nothing did. False: it is ended.
  bool begin_head() noexcept;
  // Ends the head. Leaves the state that says what follows.
  Result<void> end_head(std::optional<std::uint64_t> length) noexcept;

  Output& output_;
  HeadWriter writer_;
  Context context_;
  State state_ = State::done;
  Status status_ = Status::ok;
  bool has_length_ = false;  // length() was called
  std::uint64_t left_ = 0;
  std::uint64_t position_ = 0;  // of the output, where this response begins
};

}  // namespace lichen::net::http

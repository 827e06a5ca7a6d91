// Server: HTTP/1.0 and 1.1 on whatever a Listener accepts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/base/text_buffer.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/io/system.hpp"
#include "lichen/net/http/connection.hpp"
#include "lichen/net/http/parser.hpp"
#include "lichen/net/http/response.hpp"

namespace lichen::net::http {

// Answers requests. Called for several connections at a time, but for the requests of one
// connection in turn. An error it returns becomes a 500 while nothing of the response has left (a
// 503 if something has run out: no_memory, limit_reached, busy), else the connection is cut, so
// that half a response is never taken for a whole one.
class Handler {
 public:
  virtual Task<Result<void>> handle(Request& request, Response& response) = 0;

 protected:
  ~Handler() = default;
};

struct ServerOptions {
  HeadLimits head{};
  std::uint64_t max_body = 16 << 20;                 // bytes of content of a request; more is a 413
  std::size_t max_connections = 100'000;             // more wait in the listener's backlog
  Duration head_timeout = std::chrono::seconds{10};  // from the first byte of a head to its last
  Duration idle_timeout = std::chrono::seconds{75};  // until the next request begins
  Duration body_timeout = std::chrono::seconds{30};  // without a byte of the body
  Duration write_timeout = std::chrono::seconds{30};  // for 128 KiB at most
  std::string_view name{};  // of the software, in a Server field; none if empty
};

struct ServerCounters {
  std::uint64_t accepted = 0;
  std::uint64_t requests = 0;   // whose head was complete
  std::uint64_t refused = 0;    // malformed or over a limit
  std::uint64_t timed_out = 0;  // connections that ended for it, idle ones aside
  std::uint64_t handler_errors = 0;
  std::size_t open = 0;  // connections now
  std::size_t busy = 0;  // of these, with a request
};

// A server belongs to the core that runs it, and so do its connections: for more cores, run more
// servers whose listeners share the port. `listener`, `handler` and `system` MUST outlive it. All
// calls are for its core.
class Server {
 public:
  Server(io::Listener& listener, Handler& handler, const io::System& system,
         ServerOptions options = {}) noexcept;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Accepts and serves until drain() or until the listener is closed, and then until the last
  // connection has ended. When the task is stopped, all connections are cut at once.
  Task<Result<void>> run();

  // Stops accepting, closes idle connections now and the others after their request. What is left
  // after `grace` is cut.
  void drain(Duration grace) noexcept;

  [[nodiscard]] const ServerCounters& counters() const noexcept { return counters_; }

 private:
  friend class Connection;

  Task<> serve(std::unique_ptr<io::Stream> stream);
  static void drain_over(coro::Timer& timer) noexcept;
  // Lines for every head: the date, and who we are.
  std::string_view common_lines() noexcept;

  io::Listener& listener_;
  Handler& handler_;
  const io::System& system_;
  const ServerOptions options_;
  ServerCounters counters_;
  base::List<Connection, &Connection::place> connections_;
  coro::Event room_{true};
  bool draining_ = false;
  coro::Timer drain_timer_;
  std::uint64_t common_until_ns_ = 0;  // monotonic time at which the next second begins
  std::int64_t now_ = 0;               // the second that common_ tells
  FixedString<128> common_;
};

}  // namespace lichen::net::http

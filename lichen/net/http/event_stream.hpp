// EventStream: server-sent events, as a response (WHATWG HTML, section 9.2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/net/http/response.hpp"

namespace lichen::net::http {

// One event. Everything but the data may be empty and is then not sent.
struct ServerEvent {
  std::string_view data{};  // any text; its lines are sent as such
  std::string_view name{};  // one line
  std::string_view id{};    // one line; what the client sends as Last-Event-ID when it comes again
};

//   EventStream events{response};
//   CO_TRY(co_await events.begin());
//   for (;;) CO_TRY(co_await events.send({.data = CO_TRY(co_await news.receive())}));
//
// Each call returns when the connection has taken what it sends; a client that does not read holds
// the handler back, until the server's write timeout ends it.
class EventStream {
 public:
  explicit EventStream(Response& response) noexcept : response_{response} {}

  Task<Result<void>> begin();
  // Error::invalid_argument when a name or id has more than one line.
  Task<Result<void>> send(ServerEvent event);
  // Keeps proxies and timeouts from ending a stream on which nothing happens.
  Task<Result<void>> keep_alive();

 private:
  void add_lines(std::string_view field, std::string_view text);

  Response& response_;
  std::string text_;  // keeps its memory from event to event
};

}  // namespace lichen::net::http

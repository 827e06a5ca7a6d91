#include "lichen/net/http/event_stream.hpp"

#include <algorithm>

namespace lichen::net::http {

Task<Result<void>> EventStream::begin() {
  response_.status(Status::ok)
      .field("Content-Type", "text/event-stream")
      .field("Cache-Control", "no-store");
  co_return co_await response_.write_head();
}

Task<Result<void>> EventStream::send(ServerEvent event) {
  for (const std::string_view line : {event.name, event.id})
    if (line.find_first_of(std::string_view{"\r\n\0", 3}) != line.npos)
      co_return Error::invalid_argument;
  text_.clear();
  if (!event.name.empty()) add_lines("event: ", event.name);
  if (!event.id.empty()) add_lines("id: ", event.id);
  add_lines("data: ", event.data);
  text_ += '\n';
  co_return co_await response_.write(text_);
}

Task<Result<void>> EventStream::keep_alive() { co_return co_await response_.write(":\n\n"); }

// A carriage return ends a line there too, with or without a line feed.
void EventStream::add_lines(std::string_view field, std::string_view text) {
  for (;;) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    text_.append(field).append(text.substr(0, end)).append("\n");
    if (end == text.size()) return;
    text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
  }
}

}  // namespace lichen::net::http

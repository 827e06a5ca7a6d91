#include "lichen/net/http/response.hpp"

#include <algorithm>
#include <array>

#include "lichen/base/span.hpp"
#include "lichen/net/http/chunked.hpp"

namespace lichen::net::http {

void Response::start(const Context& context) noexcept {
  context_ = context;
  state_ = State::fresh;
  status_ = Status::ok;
  has_length_ = false;
  left_ = 0;
  position_ = output_.position();
}

Response& Response::status(Status status) noexcept {
  if (head_sent()) return *this;
  const std::span room = output_.room();
  writer_ = HeadWriter{room.first(std::min(room.size(), max_head))};
  writer_.status(status);
  writer_.lines(context_.common);
  status_ = status;
  has_length_ = false;
  left_ = 0;
  state_ = State::head;
  return *this;
}

bool Response::begin_head() noexcept {
  if (state_ == State::fresh) status(Status::ok);
  return state_ == State::head;
}

Response& Response::field(std::string_view name, std::string_view value) noexcept {
  if (begin_head()) writer_.field(name, value);
  return *this;
}

Response& Response::field(std::string_view name, std::uint64_t value) noexcept {
  if (begin_head()) writer_.field(name, value);
  return *this;
}

Response& Response::trusted_lines(std::string_view lines) noexcept {
  if (begin_head()) writer_.lines(lines);
  return *this;
}

Response& Response::length(std::uint64_t length) noexcept {
  begin_head();
  has_length_ = true;
  left_ = length;
  return *this;
}

// RFC 9112 section 6 and RFC 9110 section 8.6: no length and no coding with a status that has no
// content; with HEAD, what GET would have got.
Result<void> Response::end_head(std::optional<std::uint64_t> length) noexcept {
  if (!begin_head()) return Error::invalid_state;
  State next = State::length;
  if (never_has_body(status_)) {
    length = 0;
  } else if (length) {
    writer_.trusted_field("Content-Length", *length);
  } else if (context_.may_chunk) {
    writer_.lines("Transfer-Encoding: chunked\r\n");
    next = State::chunked;
  } else {
    context_.keep_alive = context_.is_head && context_.keep_alive;
    next = State::stream;
  }
  if (!context_.keep_alive)
    writer_.lines("Connection: close\r\n");
  else if (context_.tell_keep_alive)
    writer_.lines("Connection: keep-alive\r\n");
  writer_.finish();
  if (!writer_.ok()) {
    state_ = State::failed;
    return writer_.broken() ? Error::invalid_argument : Error::too_large;
  }
  output_.commit(writer_.text().size());
  left_ = length.value_or(0);
  state_ = next;
  return {};
}

Task<Result<void>> Response::send(std::string_view content) {
  CO_TRY(end_head(content.size()));
  state_ = State::done;
  if (drops_content() || content.empty()) co_return Result<void>{};
  const bool gathers = context_.more_wait || content.size() < borrowed_size;
  if (gathers && content.size() <= output_.room().size()) {
    output_.append(content);
    co_return Result<void>{};
  }
  co_return co_await output_.flush(content);
}

Task<Result<void>> Response::send_error(Status error) {
  if (head_sent() && !take_back()) co_return Error::invalid_state;
  std::array<char, 64> storage;
  HeadWriter text{storage};
  text.status(error);
  // "HTTP/1.1 404 Not Found\r\n" without what is not for people.
  std::string_view words = text.text();
  words.remove_prefix(std::min(words.size(), std::string_view{"HTTP/1.1 "}.size()));
  status(error).field("Content-Type", "text/plain; charset=utf-8");
  co_return co_await send(words);
}

Task<Result<void>> Response::write(std::span<const std::byte> content) {
  co_return co_await write(base::as_string_view(content));
}

Task<Result<void>> Response::write(std::string_view content) {
  if (!head_sent()) CO_TRY(end_head(has_length_ ? std::optional{left_} : std::nullopt));
  if (state_ == State::length && content.size() > left_ && !never_has_body(status_))
    co_return Error::out_of_range;
  if (state_ == State::length) left_ -= std::min<std::uint64_t>(left_, content.size());
  if (drops_content() || content.empty()) co_return co_await output_.flush();
  switch (state_) {
    case State::chunked: {
      const ChunkHead head{content.size()};
      co_return co_await output_.flush(head.text(), content, chunk_end);
    }
    case State::length:
    case State::stream: co_return co_await output_.flush(content);
    default: co_return Error::invalid_state;
  }
}

Task<Result<void>> Response::finish() {
  if (!head_sent()) CO_TRY(end_head(left_));
  switch (state_) {
    case State::chunked:
      if (!drops_content()) {
        if (output_.room().size() < last_chunk.size()) CO_TRY(co_await output_.flush());
        output_.append(last_chunk);
      }
      break;
    case State::length:
      if (left_ != 0 && !drops_content()) co_return Error::end_of_stream;
      break;
    case State::failed: co_return Error::invalid_state;
    default: break;
  }
  state_ = State::done;
  co_return Result<void>{};
}

bool Response::take_back() noexcept {
  if (!output_.rewind(position_)) return false;
  state_ = State::fresh;
  return true;
}

}  // namespace lichen::net::http

#include "lichen/net/http/chunked.hpp"

#include <algorithm>

#include "lichen/net/http/text.hpp"

namespace lichen::net::http {
namespace {

// Fifteen digits are an exabyte; so the size never overflows, and zeros in front are bounded too.
constexpr unsigned max_digits = 15;

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::decode(std::string_view& input) noexcept {
  while (state_ != State::end && state_ != State::failed) {
    if (input.empty()) return {Outcome::incomplete, {}};
    if (state_ == State::content) {
      const std::string_view content =
          input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size())));
      input.remove_prefix(content.size());
      left_ -= content.size();
      if (left_ == 0) state_ = State::content_cr;
      return {Outcome::content, content};
    }
    state_ = next(input.front());
    input.remove_prefix(1);
  }
  return {state_ == State::end ? Outcome::end : Outcome::failed, {}};
}

ChunkedDecoder::State ChunkedDecoder::next(char c) noexcept {
  switch (state_) {
    case State::size:
      if (is(hex_char, c)) {
        left_ = left_ * 16 + hex_value(c);
        return ++digits_ <= max_digits ? State::size : State::failed;
      }
      if (digits_ == 0) return State::failed;
      if (c == '\r') return State::size_lf;
      if (c == ';') return State::extension;
      return is_space(c) ? State::before_extension : State::failed;

    case State::before_extension:
      if (++extensions_ > max_extensions) return State::failed;
      if (c == ';') return State::extension;
      return is_space(c) ? State::before_extension : State::failed;

    case State::extension:
      if (c == '\r') return State::size_lf;
      return is(value_char, c) && ++extensions_ <= max_extensions ? State::extension
                                                                  : State::failed;

    case State::size_lf:
      digits_ = 0;
      if (c != '\n') return State::failed;
      return left_ != 0 ? State::content : State::line_start;

    case State::content_cr: return c == '\r' ? State::content_lf : State::failed;

    case State::content_lf: return c == '\n' ? State::size : State::failed;

    case State::line_start:
      if (c == '\r') return State::end_lf;
      return is(token_char, c) && ++trailers_ <= max_trailers ? State::trailer_name : State::failed;

    case State::trailer_name:
      if (++trailers_ > max_trailers) return State::failed;
      if (c == ':') return State::trailer_value;
      return is(token_char, c) ? State::trailer_name : State::failed;

    case State::trailer_value:
      if (c == '\r') return State::trailer_lf;
      return is(value_char, c) && ++trailers_ <= max_trailers ? State::trailer_value
                                                              : State::failed;

    case State::trailer_lf: return c == '\n' ? State::line_start : State::failed;

    case State::end_lf: return c == '\n' ? State::end : State::failed;

    case State::content:
    case State::end:
    case State::failed: break;
  }
  return State::failed;
}

ChunkHead::ChunkHead(std::uint64_t size) noexcept {
  text_[--begin_] = '\n';
  text_[--begin_] = '\r';
  do {
    text_[--begin_] = "0123456789abcdef"[size % 16];
    size /= 16;
  } while (size != 0);
}

}  // namespace lichen::net::http

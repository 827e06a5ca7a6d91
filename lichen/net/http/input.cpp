#include "lichen/net/http/input.hpp"

#include <cassert>
#include <cstring>
#include <span>

#include "lichen/base/span.hpp"

namespace lichen::net::http {

void Input::lend(io::Buffer buffer) noexcept {
  assert(pending_.empty());
  buffer_ = std::move(buffer);
  pending_ = base::as_string_view(buffer_.bytes());
}

Task<Result<bool>> Input::more_of_head() {
  if (pending_.empty() && !assembled_) {
    lend(CO_TRY(co_await reader_.receive()));
    co_return !pending_.empty();
  }
  assert(pending_.size() < head_size_);
  if (!assembled_) {
    if (!assembled_.allocate(head_size_)) co_return Error::no_memory;
    std::memcpy(assembled_.data(), pending_.data(), pending_.size());
  } else {
    std::memmove(assembled_.data(), pending_.data(), pending_.size());
  }
  pending_ = {assembled_.data(), pending_.size()};
  buffer_.release();
  const std::span room{assembled_.data() + pending_.size(), head_size_ - pending_.size()};
  const std::size_t size = CO_TRY(co_await reader_.read(std::as_writable_bytes(room)));
  pending_ = {assembled_.data(), pending_.size() + size};
  co_return size != 0;
}

Task<Result<bool>> Input::more_of_body() {
  assert(pending_.empty());
  later_.release();
  later_ = CO_TRY(co_await reader_.receive());
  pending_ = base::as_string_view(later_.bytes());
  co_return !pending_.empty();
}

void Input::next_message() noexcept {
  const bool in_later = !later_.empty();
  if (pending_.empty() || in_later) {
    assembled_.release();
    buffer_ = std::move(later_);
  }
  if (pending_.empty()) {
    buffer_.release();
    pending_ = {};
  }
}

}  // namespace lichen::net::http

#include "lichen/net/http/output.hpp"

#include <array>
#include <cstring>

#include "lichen/base/span.hpp"

namespace lichen::net::http {

void Output::append(std::string_view text) noexcept {
  assert(text.size() <= room().size());
  if (!text.empty()) std::memcpy(block_.data() + end_, text.data(), text.size());
  end_ += text.size();
}

bool Output::rewind(std::uint64_t position) noexcept {
  if (sent_ > position) return false;
  end_ -= static_cast<std::size_t>(this->position() - position);
  return true;
}

Task<Result<void>> Output::flush(std::string_view first, std::string_view second,
                                 std::string_view third) {
  while (sending_) CO_TRY(co_await sent_event_.wait());
  if (error_ != Error{}) co_return error_;
  const std::string_view gathered{block_.data() + begin_, end_ - begin_};
  std::array<std::span<const std::byte>, 4> pieces;
  std::size_t count = 0;
  std::size_t size = 0;
  for (const std::string_view piece : {gathered, first, second, third}) {
    if (piece.empty()) continue;
    pieces[count++] = base::as_bytes(piece);
    size += piece.size();
  }
  sent_ += size;
  begin_ = end_;
  while (count != 0) {
    // As much of the pieces as one slice holds.
    std::array<std::span<const std::byte>, 4> now;
    std::size_t taken = 0;
    std::size_t room = slice;
    std::size_t used = 0;
    for (; taken < count && room != 0; ++taken) {
      now[taken] = pieces[taken].first(std::min(room, pieces[taken].size()));
      pieces[taken] = pieces[taken].subspan(now[taken].size());
      room -= now[taken].size();
      used = pieces[taken].empty() ? taken + 1 : taken;
    }
    watch_.limit(Watch::Phase::write, timeout_);
    const Result<void> written = taken == 1
                                     ? co_await writer_.write_all(now[0])
                                     : co_await writer_.write_pieces(std::span{now}.first(taken));
    watch_.off();
    if (!written) {
      error_ = written.error();
      co_return error_;
    }
    std::copy(pieces.begin() + used, pieces.begin() + count, pieces.begin());
    count -= used;
  }
  begin_ = end_ = 0;
  co_return Result<void>{};
}

Task<> Output::flush_late() {
  if (sending_ || empty() || error_ != Error{}) co_return;
  sending_ = true;
  sent_event_.reset();
  const std::string_view gathered{block_.data() + begin_, end_ - begin_};
  begin_ = end_;
  sent_ += gathered.size();
  watch_.limit(Watch::Phase::write, timeout_);
  const Result<void> written = co_await writer_.write_all(base::as_bytes(gathered));
  watch_.off();
  if (!written) error_ = written.error();
  sending_ = false;
  sent_event_.set();
}

}  // namespace lichen::net::http

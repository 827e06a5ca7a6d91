#include "lichen/net/http/body.hpp"

#include <algorithm>
#include <cstring>

namespace lichen::net::http {
namespace {

// Lends what lies in a buffer that the Input holds.
class NoOwner final : public io::BufferOwner {
 public:
  void give_back(std::span<std::byte>) noexcept override {}
};
constinit NoOwner no_owner;

}  // namespace

void BodyReader::start(BodyEnd end, std::uint64_t length, std::uint64_t limit) noexcept {
  end_ = end;
  left_ = length;
  limit_ = limit;
  at_end_ = end == BodyEnd::empty || (end == BodyEnd::length && length == 0);
  untouched_ = true;
  error_ = Error{};
  piece_ = {};
  decoder_ = {};
}

Task<Result<void>> BodyReader::next_piece() {
  untouched_ = false;
  if (failed()) co_return error_;
  while (piece_.empty() && !at_end_) {
    std::string_view& pending = input_.pending();
    if (pending.empty()) {
      if (owner_) CO_TRY(co_await owner_->before_wait());
      const Result<bool> more = co_await input_.more_of_body();
      if (!more) co_return fail(more.error());
      if (!*more) {
        if (end_ != BodyEnd::stream) co_return fail(Error::end_of_stream);
        at_end_ = true;
        break;
      }
    }
    if (end_ == BodyEnd::chunked) {
      const ChunkedDecoder::Step step = decoder_.decode(pending);
      piece_ = step.content;
      at_end_ = step.outcome == ChunkedDecoder::Outcome::end;
      if (step.outcome == ChunkedDecoder::Outcome::failed) co_return fail(Error::protocol_error);
    } else {
      piece_ = pending;
      if (end_ == BodyEnd::length) {
        piece_ = pending.substr(
            0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, pending.size())));
        left_ -= piece_.size();
        at_end_ = left_ == 0;
      }
      pending.remove_prefix(piece_.size());
    }
    if (piece_.size() > limit_) {
      piece_ = {};
      co_return fail(Error::too_large);
    }
    limit_ -= piece_.size();
  }
  co_return Result<void>{};
}

Task<Result<std::size_t>> BodyReader::read(std::span<std::byte> into) {
  if (piece_.empty()) CO_TRY(co_await next_piece());
  if (piece_.empty()) co_return 0;
  const std::size_t size = std::min(into.size(), piece_.size());
  std::memcpy(into.data(), piece_.data(), size);
  piece_.remove_prefix(size);
  co_return size;
}

Task<Result<io::Buffer>> BodyReader::receive() {
  if (piece_.empty()) CO_TRY(co_await next_piece());
  const std::string_view piece = std::exchange(piece_, {});
  if (piece.empty()) co_return io::Buffer{};
  // The bytes lie in a buffer that was borrowed for writing; the type only lost that on the way.
  auto* bytes = reinterpret_cast<std::byte*>(const_cast<char*>(piece.data()));
  co_return io::Buffer{no_owner, {bytes, piece.size()}, piece.size()};
}

Task<Result<std::string_view>> BodyReader::read_all(std::span<char> into) {
  std::size_t size = 0;
  for (;;) {
    if (piece_.empty()) CO_TRY(co_await next_piece());
    if (piece_.empty()) co_return std::string_view{into.data(), size};
    if (piece_.size() > into.size() - size) co_return Error::too_large;
    std::memcpy(into.data() + size, piece_.data(), piece_.size());
    size += piece_.size();
    piece_ = {};
  }
}

Task<Result<void>> BodyReader::skip(std::uint64_t limit) {
  if (end_ == BodyEnd::length && left_ > limit) co_return Error::too_large;
  for (std::uint64_t skipped = 0;;) {
    if (piece_.empty()) CO_TRY(co_await next_piece());
    if (piece_.empty()) co_return Result<void>{};
    skipped += std::exchange(piece_, {}).size();
    if (skipped > limit) co_return Error::too_large;
  }
}

}  // namespace lichen::net::http

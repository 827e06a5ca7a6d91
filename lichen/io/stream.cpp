#include "lichen/io/stream.hpp"

namespace lichen::io {

Task<Result<void>> Reader::read_exact(std::span<std::byte> into) {
  while (!into.empty()) {
    const std::size_t size = CO_TRY(co_await read(into));
    if (size == 0) co_return Error::end_of_stream;
    into = into.subspan(size);
  }
  co_return Result<void>{};
}

Task<Result<void>> Writer::write_all(std::span<const std::byte> from) {
  while (!from.empty()) from = from.subspan(CO_TRY(co_await write(from)));
  co_return Result<void>{};
}

Task<Result<void>> Writer::write_pieces(std::span<const std::span<const std::byte>> pieces) {
  for (const auto& piece : pieces) CO_TRY(co_await write_all(piece));
  co_return Result<void>{};
}

}  // namespace lichen::io

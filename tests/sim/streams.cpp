// Byte streams in memory, from core to core: every byte arrives in its place.
#include <array>
#include <vector>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/io/stream.hpp"
#include "tests/sim/scenario.hpp"

namespace lichen::tests {

namespace {

std::byte byte_at(std::uint64_t position) noexcept {
  return static_cast<std::byte>(position * 131 >> 3);
}

Task<Result<void>> write(io::Stream& stream, std::uint64_t size, std::uint64_t seed) {
  Random random{seed};
  std::array<std::byte, 100> piece;
  for (std::uint64_t at = 0; at < size;) {
    const std::uint64_t n = std::min<std::uint64_t>(size - at, 1 + random.below(piece.size()));
    for (std::uint64_t i = 0; i < n; ++i) piece[i] = byte_at(at + i);
    CO_TRY(co_await stream.write_all(std::span{piece}.first(n)));
    at += n;
    if (random.below(4) == 0) hal::sim::compute(random.below(2'000));
  }
  co_return co_await stream.shutdown(io::Direction::send);
}

Task<Result<void>> read(io::Stream& stream, std::uint64_t size, std::uint64_t seed) {
  Random random{seed};
  std::array<std::byte, 70> piece;
  std::uint64_t at = 0;
  for (;;) {
    const std::size_t room = 1 + random.below(piece.size());
    const std::size_t n = CO_TRY(co_await stream.read(std::span{piece}.first(room)));
    if (n == 0) break;
    for (std::size_t i = 0; i < n; ++i)
      check(piece[i] == byte_at(at + i), "each byte arrives in its place");
    at += n;
  }
  check(at == size, "a stream ends where its writer ended it");
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> streams(World& world) {
  auto pair = CO_TRY(io::make_stream_pair(1 + world.random.below(300)));
  const std::uint64_t size = world.random.below(3'000);
  Scope scope;
  scope.spawn(write(*pair.first, size, world.random()));
  scope.spawn(read(*pair.second, size, world.random()));
  scope.spawn(write(*pair.second, size / 2, world.random()));
  scope.spawn(read(*pair.first, size / 2, world.random()));
  co_return co_await scope.join();
}

}  // namespace lichen::tests

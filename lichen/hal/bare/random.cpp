// Random bytes of a machine whose processor makes none: a stream of ChaCha20 blocks, of which each
// replaces the key, so that what was handed out cannot be found again in memory.
#include <algorithm>
#include <cstring>

#include "lichen/hal/bare/chacha20.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/spin_lock.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::hal {

namespace {

using detail::chacha20;
using detail::ChachaBlock;
using detail::ChachaKey;

constexpr std::size_t enough = 32;  // bytes, after which nobody can guess the key

struct Pool {
  detail::SpinLock lock;
  ChachaKey key{};
  std::size_t received = 0;
};
constinit Pool pool;

// The pool's next key is the first half of the block.
ChachaBlock turn_key() noexcept {
  const ChachaBlock block = chacha20(pool.key, 0, {});
  std::copy_n(block.begin(), pool.key.size(), pool.key.begin());
  return block;
}

std::size_t give(std::span<std::byte> into, const std::uint32_t* words, std::size_t size) noexcept {
  const std::size_t n = std::min(into.size(), size);
  if (n > 0) std::memcpy(into.data(), words, n);
  return n;
}

Result<void> from_pool(std::span<std::byte> bytes) noexcept {
  ChachaKey key;
  ChachaBlock block;
  {
    const detail::SpinGuard guard{pool.lock};
    if (pool.received < enough) return Error::not_supported;
    key = pool.key;
    block = turn_key();
  }
  bytes = bytes.subspan(give(bytes, block.data() + key.size(), sizeof(key)));
  for (std::uint32_t counter = 1; !bytes.empty(); ++counter) {
    block = chacha20(key, counter, {});
    bytes = bytes.subspan(give(bytes, block.data(), sizeof(block)));
  }
  key = {};
  asm volatile("" : : "r"(key.data()) : "memory");  // it is forgotten although nobody reads it
  return {};
}

}  // namespace

void add_entropy(std::span<const std::byte> bytes) noexcept {
  const detail::SpinGuard guard{pool.lock};
  pool.received = std::min(pool.received + bytes.size(), enough);
  while (!bytes.empty()) {
    ChachaKey mixed{};
    const std::size_t n = std::min(bytes.size(), sizeof(mixed));
    std::memcpy(mixed.data(), bytes.data(), n);
    for (std::size_t i = 0; i < mixed.size(); ++i) pool.key[i] ^= mixed[i];
    turn_key();
    bytes = bytes.subspan(n);
  }
}

Result<void> random_bytes(std::span<std::byte> bytes) noexcept {
  const Result<void> done = detail::fill_with_entropy(bytes);
  return done.failed_with(Error::not_supported) ? from_pool(bytes) : done;
}

}  // namespace lichen::hal

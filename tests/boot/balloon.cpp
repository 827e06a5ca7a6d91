// A machine whose memory the host asks for, and gives back.
#include <span>

#include "lichen/base/log.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"

namespace {

using namespace lichen;
using namespace std::chrono_literals;

constexpr std::size_t mib = std::size_t{1} << 20;

// How much an app can have at once, in MiB, up to that.
std::size_t largest(std::size_t most) {
  for (std::size_t size = most; size != 0; --size) {
    const auto pages = hal::allocate_aligned(size * mib, hal::granule_size);
    if (!pages.failed_with(Error::no_memory)) {
      (*pages)[0] = (*pages)[size * mib - 1] = std::byte{1};
      hal::free_pages(*pages);
      return size;
    }
  }
  return 0;
}

std::size_t free_mib() { return (hal::memory_size() - hal::page_statistics().allocated) / mib; }

// The host is told by the first line, and by the second one.
Task<Result<void>> app(io::System&) {
  const std::size_t before = free_mib();
  log::info("ready");
  while (free_mib() > before - 70) CO_TRY(co_await sleep_for(10ms));
  // Nobody else has ended, and small pieces can be had.
  const std::size_t left = largest(before);
  log::info("64 MiB can{} be had", left >= 64 ? "" : "not");
  log::info("some can be had: {}", left > 0);
  log::info("ready");
  while (free_mib() + 2 < before) CO_TRY(co_await sleep_for(10ms));
  log::info("64 MiB can{} be had", largest(before) >= 64 ? "" : "not");
  co_return Result<void>{};
}

}  // namespace

int main() {
  const Result<void> outcome = run(&app, {.cores = hal::core_count_available()});
  if (!outcome) log::error("ended: {}", outcome.error());
  return outcome ? 48 : 1;
}

#include "lichen/hal/bare/calendar.hpp"

#include <atomic>
#include <limits>

#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/spin_lock.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::hal {

namespace {

constexpr std::int64_t not_asked = std::numeric_limits<std::int64_t>::min();
constinit std::atomic<std::int64_t> started_at{not_asked};  // what the machine's clock calls 0
constinit detail::SpinLock lock;

// The calendar is slow, and counts whole seconds on some boards: it is asked once.
std::int64_t ask() noexcept {
  const detail::SpinGuard guard{lock};
  std::int64_t value = started_at.load(std::memory_order_relaxed);
  if (value != not_asked) return value;
  const Result<std::int64_t> now = detail::read_calendar_ns();
  value = now ? *now - static_cast<std::int64_t>(now_ns()) : 0;
  started_at.store(value, std::memory_order_relaxed);
  return value;
}

}  // namespace

std::int64_t wall_clock_ns() noexcept {
  std::int64_t start = started_at.load(std::memory_order_relaxed);
  if (start == not_asked) start = ask();
  return start + static_cast<std::int64_t>(now_ns());
}

}  // namespace lichen::hal

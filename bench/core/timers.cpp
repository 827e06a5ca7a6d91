// timers: set and cancel while many are pending.
#include <memory>

#include "lichen/coro/sleep.hpp"
#include "measure.hpp"

namespace bench {

namespace {

void never(coro::Timer& timer) noexcept { timer.fired(); }

struct Entry {
  coro::Timer timer{&never};
};

Task<Result<void>> set_and_cancel(std::uint64_t pending, std::uint64_t count) {
  // Between a minute and some 70 minutes ahead, spread by a multiplicative hash, as for the peers.
  const std::uint64_t base = hal::now_ns() + 60'000'000'000;
  auto deadline = [base](std::uint64_t i) {
    return base + ((i * 0x9E37'79B9'7F4A'7C15) >> 42) * 1'000'000;
  };
  auto& wheel = coro::this_core()->timers();
  const auto entries = std::make_unique<Entry[]>(pending + 1);
  auto timed = [](auto&& work) {
    const std::uint64_t start = hal::now_ns();
    work();
    return static_cast<double>(hal::now_ns() - start);
  };
  const double fill = timed([&] {
    for (std::uint64_t i = 0; i < pending; ++i) wheel.set(entries[i].timer, deadline(i));
  });
  const double churn = timed([&] {
    for (std::uint64_t i = 0; i < count; ++i) {
      wheel.set(entries[pending].timer, deadline(pending + i));
      entries[pending].timer.cancel();
    }
  });
  // Each pending timer is set anew, as a connection does with its idle timeout.
  const double renew = timed([&] {
    for (std::uint64_t i = 0; i < pending; ++i) {
      entries[i].timer.cancel();
      wheel.set(entries[i].timer, deadline(pending + i));
    }
  });
  const double drain = timed([&] {
    for (std::uint64_t i = 0; i < pending; ++i) entries[i].timer.cancel();
  });
  std::printf(
      "{\"name\":\"timers\",\"variant\":\"%llu pending\",\"ns_per_op\":%.3f,\"set_ns\":%.3f,"
      "\"cancel_ns\":%.3f,\"renew_ns\":%.3f}\n",
      static_cast<unsigned long long>(pending), churn / static_cast<double>(2 * count),
      fill / static_cast<double>(pending), drain / static_cast<double>(pending),
      renew / static_cast<double>(2 * pending));
  co_return Result<void>{};
}

}  // namespace

void timers(const Args& args) {
  const std::uint64_t pending = args.number("pending", 1'000'000);
  const std::uint64_t count = args.number("count", 1'000'000);
  on_machine(1, [&] [[clang::coro_wrapper]] () { return set_and_cancel(pending, count); });
}

}  // namespace bench

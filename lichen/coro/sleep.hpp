// sleep_until, sleep_for: waits for a moment of the monotonic clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

using Duration = std::chrono::nanoseconds;

// A moment of the monotonic clock; max() never comes.
struct Deadline {
  std::uint64_t ns = no_deadline;

  static Deadline never() noexcept { return {}; }
  static Deadline after(Duration duration) noexcept { return from(hooks::now_ns(), duration); }
  // Counts from the start of the core's current batch of tasks: free, for coarse timeouts.
  static Deadline about(Duration duration) noexcept {
    Core* core = this_core();
    return from(core ? core->batch_now_ns() : hooks::now_ns(), duration);
  }
  friend auto operator<=>(const Deadline&, const Deadline&) noexcept = default;

 private:
  static Deadline from(std::uint64_t now, Duration duration) noexcept {
    if (duration.count() <= 0) return {now};
    const auto ns = static_cast<std::uint64_t>(duration.count());
    return {ns > no_deadline - now ? no_deadline : now + ns};
  }
};

struct SleepOperation {
  using Value = void;

  explicit SleepOperation(Deadline deadline) noexcept : deadline_{deadline} {}
  // Only before it waits.
  SleepOperation(SleepOperation&& other) noexcept : deadline_{other.deadline_} {}

  bool try_now() noexcept {
    this_core()->timers().prepare(entry_.timer);
    return false;
  }
  Enqueued enqueue(Waiter& waiter) noexcept;
  bool dequeue(Waiter&) noexcept { return entry_.timer.cancel(); }
  static Result<void> result() noexcept { return {}; }

 private:
  struct Entry {
    Timer timer{&fire};
    Waiter* waiter = nullptr;
  };
  static void fire(Timer& timer) noexcept;

  Deadline deadline_;
  Entry entry_;
};

// Never early. Error::stopped when the task was stopped first.
inline Await<SleepOperation> sleep_until(Deadline deadline) noexcept {
  return Await<SleepOperation>{deadline};
}
inline Await<SleepOperation> sleep_for(Duration duration) noexcept {
  return Await<SleepOperation>{Deadline::after(duration)};
}

}  // namespace lichen::coro

namespace lichen {
using coro::Deadline;
using coro::Duration;
using coro::sleep_for;
using coro::sleep_until;
}  // namespace lichen

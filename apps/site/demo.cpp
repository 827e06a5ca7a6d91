#include "apps/site/demo.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/sched/frames.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"
#include "lichen/sched/task_watch.hpp"

namespace lichen::site {

namespace {

using namespace std::chrono_literals;

// Plain computing, without a call that would let anything else run.
[[gnu::noinline]] void compute(std::uint64_t rounds) noexcept {
  std::uint64_t x = 88'172'645'463'325'252;
  for (; rounds > 0; --rounds) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    asm volatile("" : "+r"(x));
  }
}

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

// The best of several tries: others may be running, too.
std::uint64_t measure_rounds_per_us() noexcept {
  constexpr std::uint64_t rounds = 50'000;
  std::uint64_t best_ns = UINT64_MAX;
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t began = coro::hooks::now_ns();
    compute(rounds);
    best_ns = std::min(best_ns, coro::hooks::now_ns() - began);
  }
  return std::max<std::uint64_t>(rounds * 1'000 / std::max<std::uint64_t>(best_ns, 1), 1);
}

std::uint32_t micros_since(std::uint64_t since, std::uint64_t now) noexcept {
  const std::uint64_t us = now > since ? (now - since) / 1'000 : 0;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(us, FrameSample::left_out - 1));
}

}  // namespace

FrameDemo::FrameDemo(unsigned cores) : hogs_(cores) {}

Task<Result<void>> FrameDemo::run() {
  rounds_per_us_ = measure_rounds_per_us();
  auto front = CO_TRY(sched::make_group({.name = "frames", .foreground = true}));
  auto back = CO_TRY(sched::make_group({.name = "hogs"}));
  auto& machine = sched::Machine::current();
  const std::uint64_t first_due_ns = coro::hooks::now_ns() + 10 * period_ns;
  Scope scope;
  for (unsigned i = 0; i < track_count; ++i)  // one after the other, not all at once
    scope.spawn(track(*front, i, first_due_ns + i * period_ns / track_count));
  for (unsigned i = 0; i < hogs_.size(); ++i)
    scope.spawn(hog(i), {.core = &machine.core(i), .lane = back->lane(sched::Qos::background)});
  co_return co_await scope.join();
}

Task<Result<void>> FrameDemo::track(sched::Group& group, unsigned number,
                                    std::uint64_t first_due_ns) {
  FrameHistory& history = tracks_[number];
  const auto watched = CO_TRY(co_await sched::watch_task(base::format<16>("track {}", number)));
  auto frames = CO_TRY(co_await sched::Frames::reserve(
      group, {.period = std::chrono::nanoseconds{period_ns},
              .budget = std::chrono::microseconds{work_us + work_us * 2 / 5},
              .first_due_ns = first_due_ns}));
  std::uint64_t expected = 0;
  for (;;) {
    const sched::Frame frame = CO_TRY(co_await frames.next());
    for (; expected < frame.number; ++expected)
      history.add({.began_us = 0, .done_us = FrameSample::left_out}, true);
    const std::uint32_t began_us = micros_since(frame.due_ns, coro::hooks::now_ns());
    compute(work_us * rounds_per_us_);
    const std::uint64_t done_ns = coro::hooks::now_ns();
    history.add({.began_us = began_us, .done_us = micros_since(frame.due_ns, done_ns)},
                done_ns > frame.deadline_ns);
    ++expected;
  }
}

Task<Result<void>> FrameDemo::hog(unsigned number) {
  constexpr std::uint64_t step_us = 100;
  std::atomic<std::uint64_t>& done_us = hogs_[number];
  std::optional<sched::WatchedTask> watched;
  if (number < 4)
    watched.emplace(CO_TRY(co_await sched::watch_task(base::format<16>("hog {}", number))));
  for (;;) {
    for (unsigned step = 0; step < 100; ++step) {
      compute(step_us * rounds_per_us_);
      done_us.store(done_us.load(std::memory_order_relaxed) + step_us, std::memory_order_relaxed);
    }
    // Only so that the page is served with preemption off, too.
    CO_TRY(co_await sleep_for(50us));
  }
}

void FrameDemo::write(Json& json, Seen& seen) const {
  json.open('{').field("period_us", period_ns / 1'000).key("tracks").open('[');
  for (unsigned i = 0; i < track_count; ++i) {
    const FrameHistory& track = tracks_[i];
    const std::uint64_t count = track.count();
    // A reader who was away for long gets the newest half of what is kept: the other half may be
    // overwritten while it is read.
    constexpr std::uint64_t most = FrameHistory::kept / 2;
    std::uint64_t& next = seen.frames[i];
    next = std::max(next, count - std::min(count, most));
    json.open('{').field("frames", count).field("missed", track.missed()).key("samples").open('[');
    for (; next < count; ++next) {
      const FrameSample sample = track.at(next);
      json.open('[').value(sample.began_us).value(sample.done_us).close(']');
    }
    json.close(']').close('}');
  }
  json.close(']').key("hogs_us").open('[');
  for (const auto& done : hogs_) json.value(done.load(std::memory_order_relaxed));
  json.close(']').close('}');
}

}  // namespace lichen::site

#pragma clang attribute pop

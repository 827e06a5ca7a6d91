// The demonstration of the page: frames at 120 Hz beside code that never gives way.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "apps/site/json.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/sched/group.hpp"

namespace lichen::site {

// How one frame went, counted from when it was due.
struct FrameSample {
  static constexpr std::uint32_t left_out = UINT32_MAX;
  std::uint32_t began_us = 0;
  std::uint32_t done_us = 0;  // left_out: it was not drawn at all
};

// The latest frames of a track: written by its task, read on any core.
class FrameHistory {
 public:
  static constexpr std::uint64_t kept = 1'024;

  void add(FrameSample sample, bool missed) noexcept {
    const std::uint64_t number = count_.load(std::memory_order_relaxed);
    samples_[number % kept].store(std::uint64_t{sample.began_us} << 32 | sample.done_us,
                                  std::memory_order_relaxed);
    if (missed)
      missed_.store(missed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    count_.store(number + 1, std::memory_order_release);
  }
  [[nodiscard]] std::uint64_t count() const noexcept {
    return count_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t missed() const noexcept {
    return missed_.load(std::memory_order_relaxed);
  }
  // MUST be among the latest: one that is overwritten meanwhile is another frame's.
  [[nodiscard]] FrameSample at(std::uint64_t number) const noexcept {
    const std::uint64_t both = samples_[number % kept].load(std::memory_order_relaxed);
    return {static_cast<std::uint32_t>(both >> 32), static_cast<std::uint32_t>(both)};
  }

 private:
  std::array<std::atomic<std::uint64_t>, kept> samples_{};
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> missed_{0};
};

// Four tracks that draw for a millisecond 120 times a second, in a group of the foreground, and in
// one of the background a hog for each core, which computes for 10 ms at a time. They are watched
// as "track 0", "hog 0" and so on, of the hogs the first four.
class FrameDemo {
 public:
  static constexpr unsigned track_count = 4;
  static constexpr std::uint64_t period_ns = 8'333'333;
  static constexpr std::uint64_t work_us = 1'000;

  // Frames up to which a reader has seen each track.
  struct Seen {
    std::array<std::uint64_t, track_count> frames{};
  };

  explicit FrameDemo(unsigned cores);

  // Until it is asked to stop.
  Task<Result<void>> run();
  // What has happened since `seen`: {"period_us":..., "tracks":[{"frames":..., "missed":...,
  // "samples":[[began_us, done_us],...]},...], "hogs_us":[...]}.
  void write(Json& json, Seen& seen) const;

 private:
  Task<Result<void>> track(sched::Group& group, unsigned number, std::uint64_t first_due_ns);
  Task<Result<void>> hog(unsigned number);

  std::uint64_t rounds_per_us_ = 1;
  std::array<FrameHistory, track_count> tracks_;
  std::vector<std::atomic<std::uint64_t>> hogs_;  // microseconds of work that each has done
};

}  // namespace lichen::site

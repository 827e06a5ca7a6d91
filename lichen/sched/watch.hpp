// Watch: how long work waits for its turn on a core, how long it runs, how often it is interrupted
// or late. By band, by lane, and for preempted tasks by where they were spawned.
//
// No clock is read for it. A batch's beginning and end are known anyway; how long tasks wait is
// found by following one of them at a time through the queue.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <source_location>
#include <vector>

#include "lichen/sched/histogram.hpp"
#include "lichen/sched/lane.hpp"

namespace lichen::sched {

// Plain numbers: a copy, or the sum of several cores.
struct WorkFigures {
  Distribution
      wait;  // from ready to running. A sample; of frames all, counted from when they were due
  Distribution run;         // how long a lane had the core without a break
  std::uint64_t tasks = 0;  // resumptions
  std::uint64_t preemptions = 0;
  std::uint64_t frames = 0;
  std::uint64_t missed = 0;  // frames that were not done by their deadline, those left out too

  void merge(const WorkFigures& other) noexcept;
};

// Written by its core, read by anyone.
struct WorkWatch {
  Histogram wait;
  Histogram run;
  LaneCounter tasks;
  LaneCounter preemptions;
  LaneCounter frames;
  LaneCounter missed;

  void read_into(WorkFigures& sum) const noexcept;
  void reset() noexcept;
};

// Tasks spawned in one place, as far as they were preempted.
struct PreemptedTasks {
  std::source_location spawned_at;
  std::uint64_t preemptions = 0;
  std::uint64_t longest_run_ns = 0;    // before one of them
  std::uint64_t longest_aside_ns = 0;  // until it went on
  std::uint64_t aside_ns = 0;          // in all
};

class Watch {
 public:
  static constexpr unsigned places = 32;  // of preempted tasks that are told apart

  Watch() noexcept = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  // --- for the core; times as in batch_now_ns(), never less than before
  // ----------------------------

  // The lane has work and waits for its turn.
  void ready(const Lane& lane, std::uint64_t now) noexcept;
  // Its turn begins, in `band`; `waiting` tasks of it are ready.
  void begin(const Lane& lane, unsigned band, std::size_t waiting, std::uint64_t now) noexcept;
  // It goes on, having run `tasks` more since begin() or the last time; before each batch.
  void batch(std::uint64_t tasks, std::size_t waiting, std::uint64_t now) noexcept {
    if (tasks_ + tasks >= followed_at_) [[unlikely]]
      follow(tasks, waiting, now);
    count(tasks);
    batch_ns_ = now;
  }
  // Its turn ends, having run `tasks` more.
  void end(std::uint64_t tasks, std::uint64_t now) noexcept;

  // A task of the lane that has its turn is set aside; it ran for that long since the core last
  // looked.
  void preempted(const std::source_location& spawned_at, std::uint64_t ran_ns) noexcept;
  // It goes on.
  void resumed(const std::source_location& spawned_at, std::uint64_t aside_ns) noexcept;
  // A frame begins that long after it was due; before it, so many were left out.
  void frame_began(const Lane& lane, std::uint64_t late_ns, std::uint64_t left_out) noexcept;
  void frame_missed(const Lane& lane) noexcept;
  // The id goes to other work than before.
  void forget(LaneId lane) noexcept;

  // --- for anyone
  // ----------------------------------------------------------------------------------

  void read_band(unsigned band, WorkFigures& sum) const noexcept { bands_[band].read_into(sum); }
  // Adds nothing for a lane that never had its turn here.
  void read_lane(LaneId lane, WorkFigures& sum) const noexcept;
  // Those with the most preemptions first; what found no room comes last, without a place.
  [[nodiscard]] std::vector<PreemptedTasks> preempted_tasks() const;

 private:
  struct LaneWatch : WorkWatch {
    std::uint32_t generation = 0;   // of the group
    std::uint64_t ready_since = 0;  // 0: not ready
  };
  struct Place {
    std::atomic<std::uint64_t> where{0};
    LaneCounter preemptions, longest_run_ns, longest_aside_ns, aside_ns;
  };
  static constexpr std::uint32_t chunk_size = 256;
  using Chunk = std::array<std::atomic<LaneWatch*>, chunk_size>;
  // Between two tasks that are followed, so that a core with short batches does not do it in each.
  static constexpr std::uint64_t follow_pause_ns = 20'000;

  void count(std::uint64_t tasks) noexcept {
    tasks_ += tasks;
    bands_[band_].tasks.add(tasks);
    if (lane_) lane_->tasks.add(tasks);
  }
  LaneWatch* of(const Lane& lane) noexcept;
  [[nodiscard]] LaneWatch* find(LaneId lane) const noexcept;
  Place& place_of(const std::source_location& where) noexcept;
  void follow(std::uint64_t tasks, std::size_t waiting, std::uint64_t now) noexcept;
  void begin_to_follow(std::size_t waiting, std::uint64_t now) noexcept;
  void record_wait(std::uint64_t ns) noexcept;

  // The turn.
  LaneWatch* lane_ = nullptr;  // null: no memory
  unsigned band_ = 0;
  std::uint64_t began_ns_ = 0;
  std::uint64_t batch_ns_ = 0;  // when the latest batch began
  std::uint64_t tasks_ = 0;     // run before it
  // The task that is followed was the last of the queue at followed_since_ and is the one with this
  // number, counted from 1.
  std::uint64_t followed_at_ = 0;
  std::uint64_t followed_since_ = 0;
  bool follows_ = false;
  bool samples_ = false;  // not of frames, whose waits are known

  std::array<WorkWatch, band_count> bands_;
  std::array<std::atomic<Chunk*>, 65'536 / chunk_size> chunks_{};
  std::array<Place, places + 1> places_;
};

}  // namespace lichen::sched

// TraceRing: what happened on a core in the last moments, in fixed memory.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/lane.hpp"

namespace lichen::sched {

using coro::LaneId;

//                                   lane          strand     argument
enum class TraceKind : std::uint8_t {
  run_begin,         // a task goes on    its lane      it         where it was spawned
  run_end,           // it has suspended  its lane      it         0
  preempt,           // it is set aside   its lane      it         how many ns it ran
  resume_preempted,  // and goes on       its lane      it         where it was spawned
  wake,              // is made ready     its lane      it         the core it is to run on
  lane_installed,    // a lane's turn     the lane      0          lanes and tasks that wait
  steal,             // work from a core  the lane      0          that core
  park,              // the core sleeps   0             0          0
  unpark,            // no longer         0             0          0
  frame_begin,       // a frame           its lane      its number how many ns after it was due
  frame_done,        // its work is done  its lane      its number 0
  frame_missed,      // it was done late  its lane      its number by how many ns
  stall,             // held the core     its lane      it         for how many ns
};
inline constexpr unsigned trace_kind_count = 13;

std::string_view name(TraceKind kind) noexcept;

struct TraceEvent {
  std::uint64_t time_ns = 0;
  std::uint64_t argument = 0;
  std::uint64_t strand = 0;  // its address, as a name: it may be gone; or a number
  LaneId lane = 0;
  TraceKind kind = TraceKind::run_begin;
};

// Places in a program are pointers to static data, so they fit into an argument and stay valid.
std::uint64_t argument_of(const std::source_location& where) noexcept;
std::source_location location_of(std::uint64_t argument) noexcept;

// Lanes and tasks that wait, in one argument: for lane_installed.
constexpr std::uint64_t waiting_argument(std::uint32_t lanes, std::uint32_t tasks) noexcept {
  return std::uint64_t{lanes} << 32 | tasks;
}

// What a reader took out of a ring, oldest first.
struct TraceSnapshot {
  std::vector<TraceEvent> events;
  std::uint64_t lost = 0;  // older ones that were overwritten before they could be read
};

// Written by its core, with preemption and interrupts not in between: record() is no atomic step.
// Started, stopped and read by anyone. The newest overwrites the oldest.
//
// While nobody records it costs whoever writes one relaxed load and a branch: test on() once for a
// batch or a lane, not for each task.
class TraceRing {
 public:
  static constexpr std::size_t default_capacity = std::size_t{1} << 17;  // 4 MiB

  TraceRing() noexcept = default;
  TraceRing(const TraceRing&) = delete;
  TraceRing& operator=(const TraceRing&) = delete;
  ~TraceRing();

  [[nodiscard]] bool on() const noexcept { return recorders_.load(std::memory_order_relaxed) != 0; }

  // MUST be on(), or have been when the writer looked.
  void record(std::uint64_t time_ns, TraceKind kind, LaneId lane, std::uint64_t strand,
              std::uint64_t argument) noexcept;

  // From now on events are kept, until stop() was called as often. The first start takes the
  // memory, for a power of two of events; it stays. Returns the place of the next event.
  Result<std::uint64_t> start(std::size_t capacity = default_capacity) noexcept;
  void stop() noexcept { recorders_.fetch_sub(1, std::memory_order_relaxed); }

  // What was recorded from a place on and is still there, up to `most`, and how many before it are
  // not.
  [[nodiscard]] TraceSnapshot read(std::uint64_t from, std::size_t most = SIZE_MAX) const;
  [[nodiscard]] std::uint64_t recorded() const noexcept {
    return end_.load(std::memory_order_relaxed);
  }

 private:
  using Word = std::atomic<std::uint64_t>;
  static constexpr std::size_t words_per_event = 4;
  struct alignas(32) Slot {
    std::array<Word, words_per_event> words;
  };
  struct Storage;

  std::atomic<Storage*> storage_{nullptr};
  std::atomic<std::uint32_t> recorders_{0};
  // Events up to end_ are whole; the slot of the one before begun_ may be changing.
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> end_{0};
};

}  // namespace lichen::sched

// Watched tasks: how long one task waits from each wake until it runs, how long it runs, how often
// it is set aside, moves from core to core, misses a frame. By choice and by name:
//
//   Task<Result<void>> mix(...) {
//     const auto watched = CO_TRY(co_await sched::watch_task("mixer"));
//     ...
//   }
//
// A task that is watched is in no core's home (coro/strand.hpp), so each of its wakes comes to the
// scheduler. There its record is queued in its place, a Runnable that looks at the clock, resumes
// the task and looks again. So nobody else pays for it, neither time nor memory.
//
//             wake: woken()                    run(): begin()
//   waiting ----------------> ready (record) -----------------> running <---+
//      ^                                                        |     |     | went_on()
//      +--------------------------------------------------------+     +-> set aside
//                     suspends: end()                            set_aside()
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <source_location>
#include <string_view>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/coro/strand.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/sched/stall.hpp"
#include "lichen/sched/watch.hpp"

namespace lichen::sched {

class Machine;

// In a machine, at a time. A record takes 9 KB, of which those of tasks that are no longer watched
// are used again.
inline constexpr std::uint32_t max_watched_tasks = 64;
static_assert(max_watched_tasks <= coro::Strand::most_watches);

// What a task has done while it was watched: a copy.
struct TaskFigures {
  TaskName name;
  std::source_location spawned_at;
  bool watched = true;  // still
  // wait: from each wake, but in a lane of frames from when each frame was due; run: from being
  // resumed until it suspended, less what it was set aside. All of them, no sample.
  WorkFigures work;
  std::uint64_t migrations = 0;  // resumptions on another core than the one before
  std::uint64_t aside_ns = 0;    // in all
  std::uint64_t longest_aside_ns = 0;
};

// Times come as argument, and never go back. Written by whoever wakes or runs the task, one after
// the other; figures may be read by anyone meanwhile.
class TaskRecord {
 public:
  // One resumption. Lies on the stack of whoever resumes it.
  struct Turn {
    std::uint64_t began_ns = 0;
    std::uint64_t aside_since_ns = 0;
    std::uint64_t aside_ns = 0;
    bool over = false;  // the task is not watched any more
  };

  void woken(std::uint64_t now) noexcept { woken_ns_ = now; }
  // Waits until the core on which the task ran before has said end(): that is some instructions
  // behind.
  void begin(Turn& turn, unsigned core, bool in_frames, std::uint64_t now) noexcept;
  // A turn that is not over.
  void end(Turn& turn, std::uint64_t now) noexcept;

  // In a turn.
  void set_aside(std::uint64_t now) noexcept;
  void went_on(std::uint64_t now) noexcept;
  void frame_began(std::uint64_t late_ns, std::uint64_t left_out) noexcept;
  void frame_missed() noexcept { work_.missed.add(1); }
  // The turn is the last; nothing more comes.
  void finish(std::uint64_t now) noexcept;

  // All but what is known of the task; work MUST be empty.
  void read_into(TaskFigures& figures) const noexcept;
  // Of one that is not in use.
  void reset() noexcept;
  // The watch() of its strand.
  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

 private:
  friend class TaskWatches;
  // What is queued instead of the task.
  struct Door {
    coro::ResumeFrame frame;
    TaskRecord* record;
  };
  static void run(void* frame) noexcept;

  Door door_{{&run}, this};
  coro::Runnable* task_ = nullptr;  // that is woken
  std::uint64_t woken_ns_ = 0;
  std::uint32_t last_core_ = coro::max_cores;  // none
  std::atomic<Turn*> turn_{nullptr};

  WorkWatch work_;
  LaneCounter migrations_, aside_ns_, longest_aside_ns_;

  std::uint32_t number_ = 0;  // set once
  // Under the lock of TaskWatches.
  const coro::Strand* strand_ = nullptr;  // null: no longer
  std::uint64_t generation_ = 0;          // changes when it begins and when it ends
  TaskName name_;
  std::source_location spawned_at_;
};

// Of a machine.
class TaskWatches {
 public:
  TaskWatches() noexcept = default;
  TaskWatches(const TaskWatches&) = delete;
  TaskWatches& operator=(const TaskWatches&) = delete;
  ~TaskWatches();

  // For the calling task. Errors: limit_reached (max_watched_tasks are watched), no_memory.
  Result<TaskRecord*> take(std::string_view name, const coro::Strand& strand) noexcept;
  void give_back(TaskRecord& record) noexcept;

  // As those of coro::hooks, for a task that is watched.
  static void make_ready(coro::Core* here, coro::Runnable& task, coro::Order order) noexcept;
  static void post(coro::Core* core, coro::Runnable& task) noexcept;
  // Of a strand that is watched; for the strand itself, or who wakes it.
  [[nodiscard]] TaskRecord& of(const coro::Strand& strand) noexcept {
    return *records_[strand.watch() - 1].load(std::memory_order_acquire);
  }
  // Of a strand that cannot end meanwhile; empty: it is not watched.
  [[nodiscard]] TaskName name_of(const coro::Strand& strand) const noexcept;
  // False: there is no such record. From 0 on, without gaps.
  [[nodiscard]] bool read(std::uint32_t index, TaskFigures& figures) const noexcept;

 private:
  coro::Runnable& door_of(coro::Runnable& task) noexcept;

  mutable coro::SpinLock lock_;
  std::atomic<std::uint32_t> used_{0};
  std::uint64_t generations_ __attribute__((guarded_by(lock_))) = 0;
  std::array<std::atomic<TaskRecord*>, max_watched_tasks> records_{};
};

// The running task is watched as long as this lives, which MUST be destroyed by that task. Its
// figures stay until the record is used for another one.
class [[nodiscard]] WatchedTask {
 public:
  WatchedTask(WatchedTask&& other) noexcept;
  WatchedTask& operator=(WatchedTask&&) = delete;
  ~WatchedTask();

  // Up to the turn before this one.
  [[nodiscard]] TaskFigures figures() const noexcept;

 private:
  friend Task<Result<WatchedTask>> watch_task(std::string_view name);
  WatchedTask(TaskRecord& record, coro::Strand& strand) noexcept
      : record_{&record}, strand_{&strand} {}

  TaskRecord* record_;
  coro::Strand* strand_;
};

// Watches the running task, not its children, from its next turn on, which is asked for here. The
// first 32 bytes of the name are kept; names need not differ, but of a task that is no longer
// watched the record, and what it has counted, is given to the next one of that name. Errors:
// limit_reached (max_watched_tasks are watched), invalid_state (this one is), no_memory.
Task<Result<WatchedTask>> watch_task(std::string_view name);

// Those that are watched, and those that were, as far as their records have not been used again. On
// any thread.
void for_each_watched_task(Machine& machine, base::FunctionRef<void(const TaskFigures&)> visit);

}  // namespace lichen::sched

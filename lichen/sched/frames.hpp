// Frames: a task that has a part of a core reserved for it and does a bounded piece of work in each
// period, such as drawing at 120 Hz.
//
//   auto frames = CO_TRY(co_await Frames::reserve(group, {.period = 8'333us, .budget = 2ms}));
//   for (;;) {
//     const Frame frame = CO_TRY(co_await frames.next());
//     draw(frame.due_ns);
//   }
#pragma once

#include <cstdint>

#include "lichen/coro/sleep.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/reservation.hpp"

namespace lichen::sched {

struct FrameOptions {
  coro::Duration period{0};
  coro::Duration budget{0};        // of a core of full capacity; what goes beyond it is not urgent
  coro::Duration deadline{0};      // after the period's start; 0: its end
  Executor* core = nullptr;        // null: the one with most left to reserve
  std::uint64_t first_due_ns = 0;  // the grid of the periods, such as a display's; 0: from now on
};

struct Frame {
  std::uint64_t number = 0;       // of the period, from 0; some are left out by a task that is late
  std::uint64_t due_ns = 0;       // the period's start
  std::uint64_t deadline_ns = 0;  // by which next() is to be called again
  std::uint64_t missed = 0;       // deadlines missed so far: frames ended late or left out
};

// Belongs to the task that made it, which runs on the reservation's core and lane as long as it
// lives, and starts children there unless told otherwise. MUST be destroyed by that task; several
// of one task in the reverse order.
class [[nodiscard]] Frames {
 public:
  // Errors: limit_reached (no core has so much left, see ScheduleParameters::admission_permille, or
  // the group's limit does not allow it), invalid_argument (also where the first frame is due in
  // more than a year), no_memory.
  static Task<Result<Frames>> reserve(Group& group, FrameOptions options);

  Frames(Frames&& other) noexcept;
  Frames& operator=(Frames&&) = delete;
  ~Frames();

  // Ends the present frame and waits for the next period; at once when it has begun.
  // Error::stopped; the frame that was waited for is then the next call's.
  Task<Result<Frame>> next();

  [[nodiscard]] const Reservation& reservation() const noexcept { return *reservation_; }

 private:
  Frames(Reservation::Handle reservation, coro::Strand& strand, LaneId lane_before,
         coro::Core* pinned_before, const FrameOptions& options) noexcept;

  Reservation::Handle reservation_;
  coro::Strand* strand_;
  LaneId lane_before_;
  coro::Core* pinned_before_;
  std::uint64_t start_ns_;
  std::uint64_t period_ns_;
  std::uint64_t deadline_after_ns_;
  Frame frame_;
  bool waited_ = false;  // for one frame at least
  bool begun_ = false;   // the present one
};

}  // namespace lichen::sched

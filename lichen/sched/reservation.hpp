// Reservation: periodic time of one core, by a constant-bandwidth server (Abeni and Buttazzo,
// "Integrating multimedia applications in hard real-time systems", 1998), and the test that admits
// it.
//
// Within its budget the lane of a reservation is ordered by deadline, before all fair work. The
// budget comes back at the start of each period. When it is used up earlier, the lane falls to the
// fair class of its group (user_interactive) until then, and an overrun is counted.
//
// Where we differ from the paper: periods lie on a grid that the owner sets, since a display's do,
// so a late wake does not postpone the deadline. Instead the budget that is left is cut to what
// keeps the bandwidth until the deadline (Abeni, Lipari and Lelli, "Constant bandwidth server
// revisited", 2014). Lateness below release_jitter_ns is the timer's and costs nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "lichen/base/result.hpp"
#include "lichen/sched/lane.hpp"
#include "lichen/sched/parameters.hpp"

namespace lichen::sched {

class Registry;
class Schedule;

inline constexpr std::uint32_t max_reservations = 1'024;
using coro::first_reservation_lane;
// The capacity of the biggest core there is; others have a part of it.
inline constexpr std::uint32_t full_capacity = 1'024;

struct ReservationOptions {
  std::chrono::nanoseconds period{0};
  std::chrono::nanoseconds budget{0};    // of a core of full capacity, in each period
  std::chrono::nanoseconds deadline{0};  // after the period's start; 0: its end

  // Shorter ones would be all switching; longer ones need no deadline.
  static constexpr std::chrono::nanoseconds min_period = std::chrono::microseconds{100};
  static constexpr std::chrono::nanoseconds max_period = std::chrono::seconds{1};
  static constexpr std::chrono::nanoseconds min_budget = std::chrono::microseconds{10};
};

// What of one core is promised to reservations. On any thread.
class Admission {
 public:
  explicit Admission(std::uint32_t capacity, std::uint32_t permille) noexcept
      : capacity_{capacity}, limit_ppm_{permille * 1'000} {}

  // The part of this core that the reservation needs: budget over deadline, in millionths, rounded
  // up, for the core's capacity.
  [[nodiscard]] std::uint64_t demand_ppm(const ReservationOptions& options) const noexcept;
  [[nodiscard]] bool admit(std::uint64_t ppm) noexcept;
  void leave(std::uint64_t ppm) noexcept {
    admitted_ppm_.fetch_sub(ppm, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t admitted_ppm() const noexcept {
    return admitted_ppm_.load(std::memory_order_relaxed);
  }
  // The budgets of this core's reservations, all together.
  void add_budget(std::uint64_t ns) noexcept {
    budgets_ns_.fetch_add(ns, std::memory_order_relaxed);
  }
  void remove_budget(std::uint64_t ns) noexcept {
    budgets_ns_.fetch_sub(ns, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t budgets_ns() const noexcept {
    return budgets_ns_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }

 private:
  const std::uint32_t capacity_;
  const std::uint64_t limit_ppm_;
  std::atomic<std::uint64_t> admitted_ppm_{0};
  std::atomic<std::uint64_t> budgets_ns_{0};
};

// The state of one server; the core's.
class BandwidthServer {
 public:
  // `jitter_ns`: how late a wake may be for the whole budget.
  void configure(std::uint64_t period_ns, std::uint64_t budget_ns, std::uint64_t deadline_ns,
                 std::uint64_t jitter_ns) noexcept;
  // The start of period 0; the others follow from it. What is left now is good until then.
  void align(std::uint64_t start_ns) noexcept;

  // The lane has work after it had none.
  void wake(std::uint64_t now) noexcept;
  // Begins the period of `now` if that has not happened; true when it did.
  bool refresh(std::uint64_t now) noexcept;
  // Takes the time that ended now from the budgets of the periods in which it passed, and returns
  // what it could not take.
  std::uint64_t consume(std::uint64_t ran_ns, std::uint64_t now) noexcept;

  [[nodiscard]] std::uint64_t budget_left() const noexcept { return left_; }
  [[nodiscard]] bool exhausted() const noexcept { return left_ == 0; }
  // Absolute: of the current period.
  [[nodiscard]] std::uint64_t deadline() const noexcept { return start_ + deadline_; }
  [[nodiscard]] std::uint64_t period_start() const noexcept { return start_; }
  [[nodiscard]] std::uint64_t next_period() const noexcept { return start_ + period_; }
  // Which period it is; before period 0 it is the greatest number there is.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] std::uint64_t period() const noexcept { return period_; }
  [[nodiscard]] std::uint64_t budget() const noexcept { return budget_; }

 private:
  std::uint64_t take(std::uint64_t ran_ns) noexcept;

  std::uint64_t period_ = 1;
  std::uint64_t budget_ = 0;
  std::uint64_t deadline_ = 1;
  std::uint64_t jitter_ = 0;
  std::uint64_t start_ = 0;
  std::uint64_t number_ = 0;
  std::uint64_t left_ = 0;
  bool aligned_ = false;
};

class Reservation {
 public:
  Reservation() noexcept = default;  // the registry's; use create()
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  // Ends the reservation: what it took of its core is free at once, its lane id when its last use
  // is gone. On any thread, and also while its lane runs; it MUST have no tasks left, or they hold
  // uses of their own.
  struct Release {
    void operator()(Reservation* reservation) const noexcept { reservation->retire(); }
  };
  using Handle = std::unique_ptr<Reservation, Release>;

  // On any thread, for the core of `schedule`, which does not change. Holds a use of the group.
  // limit_reached: the core has not so much left (admission_permille), the group's limit does not
  // allow it, or max_reservations exist. invalid_argument: period or budget out of their bounds, or
  // not budget <= deadline <= period. no_memory.
  static Result<Handle> create(Schedule& schedule, Group& group,
                               const ReservationOptions& options) noexcept;

  void retain() noexcept { uses_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  [[nodiscard]] LaneId lane() const noexcept { return lane_.id; }
  [[nodiscard]] Group& group() const noexcept { return *lane_.group; }
  [[nodiscard]] Schedule& schedule() const noexcept { return *schedule_; }
  [[nodiscard]] std::uint64_t overruns() const noexcept { return lane_.overruns.get(); }
  [[nodiscard]] std::uint64_t run_ns() const noexcept { return lane_.run_ns.get(); }

  // The following on its core. Without align() the first wake starts the first period. The lane
  // MUST be idle or running when it is aligned.
  void align(std::uint64_t start_ns) noexcept { server_.align(start_ns); }
  [[nodiscard]] const BandwidthServer& server() const noexcept { return server_; }

 private:
  friend class Registry;
  friend class Schedule;
  friend struct Lane;

  void retire() noexcept;

  Schedule* schedule_ = nullptr;
  Registry* registry_ = nullptr;
  BandwidthServer server_;
  Lane lane_;
  std::uint64_t demand_ppm_ = 0;
  std::uint32_t index_ = 0;
  std::atomic<std::uint32_t> generation_{0};  // odd while it lives
  std::atomic<std::uint32_t> uses_{0};
  std::atomic<bool> taken_{false};  // the slot, also while its owner sets it up or clears it
};

inline std::uint64_t Lane::frame_deadline() const noexcept {
  return reservation->server_.deadline();
}
inline std::uint64_t Lane::comeback() const noexcept { return reservation->server_.next_period(); }

}  // namespace lichen::sched

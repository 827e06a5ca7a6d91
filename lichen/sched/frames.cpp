#include "lichen/sched/frames.hpp"

#include <algorithm>
#include <utility>

#include "lichen/coro/loan.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/stop.hpp"
#include "lichen/coro/waiting.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen::sched {

namespace {

// A year: sums with what is due later would end.
constexpr std::uint64_t farthest_due_ns = std::uint64_t{365} * 24 * 3'600 * 1'000'000'000;

// On the core that is asked for, or where the placement says, as long as it knows another one.
Result<Reservation::Handle> reserve_somewhere(Group& group, const FrameOptions& options) noexcept {
  const ReservationOptions wanted{
      .period = options.period, .budget = options.budget, .deadline = options.deadline};
  if (options.core) return Reservation::create(options.core->schedule(), group, wanted);
  const auto deadline = options.deadline.count() ? options.deadline : options.period;
  if (options.budget.count() < 0 || deadline.count() <= 0) return Error::invalid_argument;
  const FrameWork work{.budget_ns = static_cast<std::uint64_t>(options.budget.count()),
                       .deadline_ns = static_cast<std::uint64_t>(deadline.count())};
  Machine& machine = Machine::current();
  std::uint64_t refused = 0;
  while (Executor* core = machine.core_for_frames(work, refused)) {
    auto reservation = Reservation::create(core->schedule(), group, wanted);
    if (!reservation.failed_with(Error::limit_reached)) return reservation;
    refused |= std::uint64_t{1} << core->index();
  }
  return Error::limit_reached;
}

// Whose frames are always late would never come back where nothing is preempted: lets the core look
// whose turn it is.
struct GiveWay {
  static bool await_ready() noexcept { return false; }
  template <class Promise>
  static void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    coro::Yield::await_suspend(handle);
    Executor::current().request_preemption();
  }
  static void await_resume() noexcept {}
};

}  // namespace

Frames::Frames(Reservation::Handle reservation, coro::Strand& strand, LaneId lane_before,
               coro::Core* pinned_before, const FrameOptions& options) noexcept
    : reservation_{std::move(reservation)},
      strand_{&strand},
      lane_before_{lane_before},
      pinned_before_{pinned_before},
      start_ns_{options.first_due_ns},
      period_ns_{static_cast<std::uint64_t>(options.period.count())},
      deadline_after_ns_{static_cast<std::uint64_t>(
          (options.deadline.count() ? options.deadline : options.period).count())} {}

Frames::Frames(Frames&& other) noexcept
    : reservation_{std::move(other.reservation_)},
      strand_{std::exchange(other.strand_, nullptr)},
      lane_before_{other.lane_before_},
      pinned_before_{other.pinned_before_},
      start_ns_{other.start_ns_},
      period_ns_{other.period_ns_},
      deadline_after_ns_{other.deadline_after_ns_},
      frame_{other.frame_},
      waited_{other.waited_},
      begun_{other.begun_} {}

// The task goes on in its old lane from its next wake on.
Frames::~Frames() {
  if (!strand_) return;
  coro::change_lane(*strand_, lane_before_);
  strand_->pin(pinned_before_);
}

Task<Result<Frames>> Frames::reserve(Group& group, FrameOptions options) {
  if (options.first_due_ns > coro::hooks::now_ns() + farthest_due_ns)
    co_return Error::invalid_argument;
  Reservation::Handle reservation = CO_TRY(reserve_somewhere(group, options));
  coro::Strand& strand = *coro::this_core()->current();
  Executor& core = Machine::current().core(reservation->schedule().core());
  const LaneId lane_before = coro::own_lane(strand);
  coro::Core* const pinned_before = strand.pinned();
  coro::change_lane(strand, reservation->lane());
  strand.pin(&core);
  if (options.first_due_ns == 0)
    options.first_due_ns =
        coro::hooks::now_ns() + static_cast<std::uint64_t>(options.period.count());
  Frames frames{std::move(reservation), strand, lane_before, pinned_before, options};
  co_await coro::yield();  // goes there
  frames.reservation_->align(options.first_due_ns);
  core.watch().forget(frames.reservation_->lane());
  co_return frames;
}

Task<Result<Frame>> Frames::next() {
  const std::uint64_t now = coro::hooks::now_ns();
  const std::uint64_t in_period = now > start_ns_ ? (now - start_ns_) / period_ns_ : 0;
  // One for which the wait was ended by a stop comes yet.
  const std::uint64_t first = frame_.number + (begun_ ? 1 : 0);
  if (std::exchange(begun_, false)) {
    if (now > frame_.deadline_ns) ++frame_.missed;
    Executor::current().frame_done(reservation_->lane(), frame_.number, frame_.deadline_ns, now);
  }
  const std::uint64_t number = waited_ ? std::max(first, in_period) : in_period;
  const std::uint64_t left_out = waited_ ? number - first : 0;
  waited_ = true;
  frame_.missed += left_out;
  frame_.number = number;
  frame_.due_ns = start_ns_ + number * period_ns_;
  frame_.deadline_ns = frame_.due_ns + deadline_after_ns_;
  if (frame_.due_ns > now) {
    const FrameWait wait{Executor::current(), frame_.due_ns};
    CO_TRY(co_await coro::sleep_until({frame_.due_ns}));
  } else if (coro::stop_requested()) {
    co_return Error::stopped;
  } else {
    co_await GiveWay{};
  }
  begun_ = true;
  Executor::current().frame_began(reservation_->lane(), number, frame_.due_ns, left_out);
  co_return frame_;
}

}  // namespace lichen::sched

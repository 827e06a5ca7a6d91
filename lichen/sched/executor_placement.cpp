// What executor and machine ask the placement, and the lease: which cores take work.
#include <algorithm>
#include <utility>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::sched {

using coro::Runnable;

namespace {

constexpr std::uint64_t bit(unsigned core) noexcept { return std::uint64_t{1} << core; }
constexpr std::uint64_t first_cores(unsigned count) noexcept {
  return count >= 64 ? ~std::uint64_t{0} : bit(count) - 1;
}

}  // namespace

// The machine's numbers as of a moment.
class Machine::View final : public CoresView {
 public:
  View(Machine& machine, std::uint64_t now) noexcept : machine_{machine}, now_{now} {
    count = machine.cores();
    usable = machine.usable_.load(std::memory_order_relaxed);
  }
  // For questions about idle cores: a line that all of them write.
  View& with_idle() noexcept {
    idle = machine_.idle_.load(std::memory_order_seq_cst) & usable;
    return *this;
  }
  std::uint32_t capacity(unsigned core) const noexcept override {
    return machine_.core(core).schedule_.admission().capacity();
  }
  std::uint32_t utilisation(unsigned core) const noexcept override {
    return machine_.core(core).utilisation_.at(now_);
  }
  std::uint64_t admitted_ppm(unsigned core) const noexcept override {
    return machine_.core(core).schedule_.admission().admitted_ppm();
  }
  std::size_t offered(unsigned core) const noexcept override {
    return machine_.core(core).ring_.size();
  }
  std::size_t waiting(unsigned core) const noexcept override {
    return machine_.core(core).waiting_seen_.load(std::memory_order_relaxed);
  }
  std::size_t waiting(unsigned core, LaneId lane) const noexcept override {
    return machine_.core(core).lane_loads_.of(lane);
  }

 private:
  Machine& machine_;
  std::uint64_t now_;
};

Result<void> Machine::set_roles(std::span<const CoreRole> roles) noexcept {
  if (!roles.empty() && roles[0] != CoreRole::app) return Error::invalid_argument;
  for (unsigned i = 0; i < std::min<std::size_t>(roles.size(), max_cores); ++i) {
    roles_[i] = roles[i];
    if (roles[i] != CoreRole::app) app_cores_ &= ~bit(i);
  }
  set_usable(first_cores(cores()));
  return {};
}

Executor& Machine::core_of(CoreRole role) noexcept {
  for (unsigned i = 0; i < cores(); ++i)
    if (roles_[i] == role) return core(i);
  return core(0);
}

void Machine::set_usable(std::uint64_t lease) noexcept {
  const std::uint64_t usable = lease & app_cores_;
  restless_.store(placement_.moves_work() ? ~std::uint64_t{0} : ~usable, std::memory_order_relaxed);
  usable_.store(usable, std::memory_order_seq_cst);
}

Result<void> Machine::set_active_cores(unsigned count) noexcept {
  if (count == 0 || count > cores()) return Error::out_of_range;
  coro::SpinGuard guard{lease_lock_};
  const unsigned before = active_cores_.exchange(count, std::memory_order_relaxed);
  set_usable(first_cores(count));
  // Those that leave are told to give away what they have, those that come to look for work.
  for (unsigned i = std::min(before, count); i < std::max(before, count); ++i) {
    idle_.fetch_and(~bit(i), std::memory_order_seq_cst);
    if (!executors_[i]->notify()) executors_[i]->interrupt();
  }
  return {};
}

Executor* Machine::take_idle_core(unsigned from, const Work& work, std::uint64_t now) noexcept {
  for (;;) {
    View view{*this, now};
    if (view.with_idle().idle == 0) return nullptr;
    const unsigned chosen = placement_.core_to_wake(view, from, work);
    if (chosen == no_core) return nullptr;
    if (idle_.fetch_and(~bit(chosen), std::memory_order_seq_cst) & bit(chosen))
      return executors_[chosen].get();
  }
}

Executor* Machine::victim_of(unsigned thief, std::uint64_t now) noexcept {
  // Asked in each turn of a poll, and nearly always there is nothing to take.
  const auto offers = [](const auto& executor) { return !executor->ring_.empty(); };
  if (std::ranges::none_of(executors_, offers) || !is_usable(thief)) return nullptr;
  const unsigned victim = placement_.victim(View{*this, now}, thief);
  return victim == no_core ? nullptr : executors_[victim].get();
}

Executor* Machine::lighter_core(unsigned core, LaneId lane, std::uint64_t now) noexcept {
  const unsigned lighter = placement_.lighter_core(View{*this, now}, core, lane);
  return lighter == core ? nullptr : executors_[lighter].get();
}

Executor* Machine::lighter_core(unsigned core, std::uint64_t now) noexcept {
  const unsigned lighter = placement_.lighter_core(View{*this, now}, core);
  return lighter == core ? nullptr : executors_[lighter].get();
}

Executor* Machine::core_for_frames(const FrameWork& work, std::uint64_t refused) noexcept {
  const unsigned chosen = placement_.core_for_frames(View{*this, hal::now_ns()}, work, refused);
  return chosen == no_core ? nullptr : executors_[chosen].get();
}

Executor* Machine::better_core(unsigned core, const Work& work, std::uint64_t now) noexcept {
  View view{*this, now};
  view.with_idle();
  const unsigned better = is_usable(core) ? placement_.better_core(view, core, work)
                                          : placement_.heir(view, core, work);
  if (better == no_core || better == core) return nullptr;
  idle_.fetch_and(~bit(better), std::memory_order_seq_cst);  // it has something to do now
  return executors_[better].get();
}

Work Executor::work_of(const Lane& lane, std::uint64_t now) const noexcept {
  if (lane.kind == LaneKind::event) return {.qos = Qos::user_interactive};
  const std::uint32_t load = lane.load.at(now) * schedule_.capacity() / full_capacity;
  return {.qos = lane.qos, .foreground = lane.group->foreground(), .load = load};
}

// A task keeps this core. What waits behind it and has not begun goes to a core with less to do
// while it still can, for once it has been preempted its stack stays here. First lane by lane, so
// that each has work on every core: that is what shares by weight rest on. All cores count tasks
// alike, or two would each find that the other has fewer, and what is sent to and fro loses its
// place in the order each time.
void Executor::even_out(std::uint64_t now) noexcept {
  std::size_t mine = 0;
  lane_loads_.clear();
  lane_loads_.set(lane_->id, 1);
  const auto for_each_lane = [&](auto visit) {
    visit(*lane_);
    for (Lane& lane : waiting_) visit(lane);
  };
  for_each_lane([&](Lane& lane) {
    std::size_t count = queues_of(lane).size();
    if (&lane == lane_)
      for (const Runnable* runnable = batch_; runnable; runnable = runnable->next) ++count;
    lane_loads_.set(lane.id, lane_loads_.of(lane.id) + count);
    mine += count;
  });
  waiting_seen_.store(mine, std::memory_order_relaxed);
  if (mine == 0) return;

  for_each_lane([&](Lane& lane) {
    const std::size_t here = lane_loads_.of(lane.id);
    Executor* other = here > 1 ? machine_.lighter_core(index_, lane.id, now) : nullptr;
    if (!other) return;
    if (const std::size_t there = other->lane_loads_.of(lane.id); there + 1 < here)
      give_away(*other, lane, (here - there) / 2);
  });
  if (Executor* other = machine_.lighter_core(index_, now)) {
    for_each_lane([&](Lane& lane) {
      if (lane_loads_.of(lane.id) > other->lane_loads_.of(lane.id) &&
          waiting_seen_.load(std::memory_order_relaxed) >
              other->waiting_seen_.load(std::memory_order_relaxed) + 1)
        give_away(*other, lane, 1);
    });
  }
  take_out_empty_lanes(now);
}

// Up to `count` tasks that have not begun.
void Executor::give_away(Executor& other, Lane& lane, std::size_t count) noexcept {
  if (lane.kind != LaneKind::fair) return;  // of this core, as long as it is
  coro::LaneQueues& queues = queues_of(lane);
  std::size_t given = 0;
  for (; given < count; ++given) {
    coro::RunQueue& queue = queues.ready.empty() ? queues.forks : queues.ready;
    if (queue.empty()) break;
    other.post(queue.pop_front());
  }
  // As it will see itself soon: nobody else is to send it more for the same reason.
  add(other.waiting_seen_, given);
  add(waiting_seen_, -given);
  other.lane_loads_.set(lane.id, other.lane_loads_.of(lane.id) + given);
  lane_loads_.set(lane.id, lane_loads_.of(lane.id) - given);
}

// Lanes whose work was given away do not wait for their turn any more.
void Executor::take_out_empty_lanes(std::uint64_t now) noexcept {
  base::List<Lane, &Lane::waiting> stay;
  while (Lane* lane = waiting_.pop_front()) {
    if (lane->queues.empty())
      schedule_.remove(*lane, now);
    else
      stay.push_back(*lane);
  }
  while (Lane* lane = stay.pop_front()) waiting_.push_back(*lane);
}

// Gives away what had better be elsewhere. A lane at a time: its tasks work with each other.
void Executor::relocate(std::uint64_t now) noexcept {
  if (!usable_)
    while (Runnable* batch = ring_.pop()) push_all(batch);
  if (has_turn_work()) relocate(*lane_, here_, now);
  for (Lane& lane : waiting_) relocate(lane, lane.queues, now);
  take_out_empty_lanes(now);
}

void Executor::relocate(Lane& lane, coro::LaneQueues& queues, std::uint64_t now) noexcept {
  if (lane.kind != LaneKind::fair) return;  // of this core, as long as it is
  const bool next_moves = queues.next && queues.next->strand && !queues.next->strand->pinned();
  Runnable* batch = &lane == lane_ ? batch_ : nullptr;
  if (!next_moves && !batch && queues.ready.empty() && queues.forks.empty()) return;
  Executor* target = machine_.better_core(index_, work_of(lane, now), now);
  if (!target) return;
  if (next_moves) target->post(*std::exchange(queues.next, nullptr));
  if (batch) batch_ = nullptr;
  while (batch) target->post(*std::exchange(batch, batch->next));
  while (!queues.ready.empty()) target->post(queues.ready.pop_front());
  while (!queues.forks.empty()) target->post(queues.forks.pop_front());
}

}  // namespace lichen::sched

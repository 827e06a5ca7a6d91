#include "lichen/sched/executor.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::sched {

using coro::Runnable;

Executor::Executor(Machine& machine, std::uint32_t index, mem::Account& account) noexcept
    : Core{index}, machine_{machine}, heap_{account} {}

Runnable* Executor::pick() noexcept {
  if (next_) {
    Runnable* runnable = std::exchange(next_, nullptr);
    if (++wake_slot_picks_ <= wake_slot_limit) [[likely]]
      return runnable;
    // Tasks that keep waking each other have had their turn.
    coro::enqueue_here(*this, *runnable);
  }
  wake_slot_picks_ = 0;
  if (!forks_.empty()) {
    if (++fork_picks_ <= fork_limit) [[likely]]
      return &forks_.pop_front();
    fork_picks_ = 0;  // one pick for everybody else
  }
  if (coro::cores_share) {
    if (Runnable* runnable = pick_shared()) return runnable;
  } else if (!ready_.empty()) {
    return &ready_.pop_front();
  }
  return forks_.empty() ? nullptr : &forks_.pop_front();
}

Runnable* Executor::pick_shared() noexcept {
  // Pinned tasks and those that may move take turns.
  pinned_turn_ = !pinned_turn_;
  if (pinned_turn_ && !pinned_.empty()) return &pinned_.pop_front();
  if (!batch_) batch_ = ring_.pop();
  if (batch_) return std::exchange(batch_, batch_->next);
  if (!ready_.empty()) return &ready_.pop_front();
  return pinned_.empty() ? nullptr : &pinned_.pop_front();
}

unsigned Executor::run_batch() noexcept {
  unsigned count = 0;
  while (count < batch_limit) {
    if (!posted_.empty()) [[unlikely]]
      take_posted();
    Runnable* runnable = pick();
    if (!runnable) break;
    ++count;
    run(*runnable);
  }
  current_ = nullptr;
  add(tasks_run_, count);
  return count;
}

void Executor::run_loop(EventSource& events) noexcept {
  events_ = &events;
  while (!machine_.stopping_.load(std::memory_order_relaxed)) {
    batch_now_ns_ = hal::now_ns();
    if (!timers_.empty()) add(timers_fired_, timers_.advance(batch_now_ns_));
    events.poll();
    if (!stops_.empty()) [[unlikely]]
      take_posted();
    const unsigned count = run_batch();
    add(batches_, 1);
    ready_seen_.store(ready_.size() + pinned_.size() + forks_.size(), std::memory_order_relaxed);
    if (coro::cores_share) look_for_idle_cores();
    if (count == batch_limit) continue;
    if (!steal()) idle();
  }
  current_ = nullptr;
}

// Idle cores lower our sharing threshold when they announce themselves; here it rises again, and
// work that was queued before is offered.
void Executor::look_for_idle_cores() noexcept {
  const bool hungry = machine_.others_idle(index_);
  set_hungry(hungry);
  if (hungry) share();
}

void Executor::take_posted() noexcept {
  std::uint64_t count = 0;
  for (Runnable* runnable = posted_.take_all(); runnable; ++count)
    coro::enqueue_here(*this, *std::exchange(runnable, runnable->next));
  add(taken_, count);
  for (coro::Strand* strand = stops_.take_all(); strand;)
    coro::handle_stop(*std::exchange(strand, strand->next_stop));
}

void Executor::post(Runnable& runnable) noexcept {
  posted_.push(runnable);
  notify();
}

void Executor::post_stop(coro::Strand& strand) noexcept {
  stops_.push(strand);
  notify();
}

void Executor::notify() noexcept {
  // Pairs with park(): the parking core says that it is parked and then looks at its inboxes; we
  // put something in and then look whether it is parked. All four steps are sequentially
  // consistent.
  if (state_.load(std::memory_order_seq_cst) == State::parked &&
      state_.exchange(State::awake, std::memory_order_seq_cst) == State::parked)
    events_->wake();
}

void Executor::publish(Runnable& batch) noexcept {
  if (ring_.push(batch)) {
    add(published_, 1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return;
  }
  for (Runnable* runnable = &batch; runnable;)
    ready_.push_back(*std::exchange(runnable, runnable->next));
}

// Keeps the front half of a queue, which runs here next, and publishes the rest: of forks these are
// the oldest and so the largest.
bool Executor::publish_half_of(coro::RunQueue& queue) noexcept {
  if (queue.size() < hungry_at) return false;
  coro::RunQueue front = queue.split_front((queue.size() + 1) / 2);
  Runnable& rest = *queue.front();
  queue = front;
  publish(rest);
  return true;
}

void Executor::share() noexcept {
  if (share_at_.load(std::memory_order_relaxed) == hungry_at) {
    if (publish_half_of(forks_) || publish_half_of(ready_)) machine_.wake_an_idle_core();
    return;
  }
  if (ready_.size() < publish_at) return;
  // The whole queue is one batch, unless the ring was full for a while.
  coro::RunQueue batch =
      ready_.size() == publish_at ? std::exchange(ready_, {}) : ready_.split_front(publish_at);
  publish(*batch.front());
}

bool Executor::steal() noexcept {
  const unsigned cores = machine_.cores();
  if (cores == 1) return false;
  // From the one with most to give; ties go to the next in turn.
  Executor* busiest = nullptr;
  std::size_t most = 0;
  for (unsigned i = 1; i < cores; ++i) {
    Executor& other = machine_.core((index_ + i) % cores);
    if (const std::size_t size = other.ring_.size(); size > most) {
      most = size;
      busiest = &other;
    }
  }
  if (!busiest) return false;
  batch_ = busiest->ring_.steal_half(ring_);
  if (!batch_) return false;
  add(stolen_, 1);
  return true;
}

bool Executor::has_work() const noexcept {
  if (next_ || batch_ || !ready_.empty() || !pinned_.empty() || !forks_.empty()) return true;
  if (!posted_.empty() || !stops_.empty()) return true;
  if (machine_.stopping_.load(std::memory_order_relaxed)) return true;
  for (const auto& executor : machine_.executors_)
    if (!executor->ring_.empty()) return true;
  return false;
}

void Executor::idle() noexcept {
  if (has_work()) return;
  const std::uint64_t poll_ns = static_cast<std::uint64_t>(machine_.options_.poll.count());
  const std::uint64_t started = hal::now_ns();
  if (machine_.cores() > 1) machine_.announce_idle(index_);
  bool found = false;
  if (poll_ns > 0 && fruitless_polls_ < hopeless_polls) {
    const std::uint64_t until = std::min(started + poll_ns, timers_.next_deadline());
    do {
      found = events_->poll() > 0 || has_work();
      if (!found) hal::pause();
    } while (!found && hal::now_ns() < until);
    if (found)
      fruitless_polls_ = 0;
    else
      ++fruitless_polls_;
  }
  if (!found) {
    if (machine_.cores() > 1) machine_.announce_idle(index_);
    park();
    // Work that comes soon after going to sleep would have been worth waiting for.
    if (hal::now_ns() - started < 2 * poll_ns) fruitless_polls_ = 0;
  }
  if (machine_.cores() > 1) machine_.retract_idle(index_);
}

void Executor::park() noexcept {
  state_.store(State::parked, std::memory_order_seq_cst);
  // Ordered before the look at what others do: either we see their work or they see us parked.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!has_work()) {
    add(parks_, 1);
    events_->wait(timers_.next_deadline());
  }
  state_.store(State::awake, std::memory_order_relaxed);
}

CoreStatistics Executor::statistics() const noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  return {.tasks_run = tasks_run_.load(relaxed),
          .batches = batches_.load(relaxed),
          .stolen = stolen_.load(relaxed),
          .published = published_.load(relaxed),
          .posted = taken_.load(relaxed),
          .parks = parks_.load(relaxed),
          .timers_fired = timers_fired_.load(relaxed),
          .ready = ready_seen_.load(relaxed),
          .timers = timers_.size()};
}

}  // namespace lichen::sched

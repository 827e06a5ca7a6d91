#include "lichen/sched/executor.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::sched {

using coro::Order;
using coro::Runnable;

Executor::Executor(Machine& machine, std::uint32_t index, std::uint32_t capacity,
                   mem::Account& account) noexcept
    : Core{index},
      machine_{machine},
      lane_{nullptr},
      home_{*this, machine.stacks()},
      schedule_{machine.registry(), index, capacity},
      heap_{account} {
  lane_ = &schedule_.lane(coro::default_lane);
}

Runnable* Executor::pick() noexcept {
  if (here_.next) {
    Runnable* runnable = std::exchange(here_.next, nullptr);
    if (++wake_slot_picks_ <= wake_slot_limit) [[likely]]
      return runnable;
    // Tasks that keep waking each other have had their turn.
    push_local(*runnable);
  }
  wake_slot_picks_ = 0;
  if (!here_.forks.empty()) {
    if (++fork_picks_ <= fork_limit) [[likely]]
      return &here_.forks.pop_front();
    fork_picks_ = 0;  // one pick for everybody else
  }
  if (coro::cores_share) {
    if (Runnable* runnable = pick_shared()) return runnable;
  } else if (!here_.ready.empty()) {
    return &here_.ready.pop_front();
  }
  return here_.forks.empty() ? nullptr : &here_.forks.pop_front();
}

Runnable* Executor::pick_shared() noexcept {
  // Pinned tasks and those that may move take turns.
  pinned_turn_ = !pinned_turn_;
  if (stacks_are_few_ && !here_.pinned.empty() && is_preempted(*here_.pinned.front())) [[unlikely]]
    return &here_.pinned.pop_front();
  if (pinned_turn_ && !here_.pinned.empty())
    if (Runnable* runnable = pick_pinned()) return runnable;
  // What was published while others are idle is theirs, unless nothing else is left.
  if (!batch_ && (!others_hungry() || here_.ready.empty())) batch_ = take_batch();
  if (batch_) return std::exchange(batch_, batch_->next);
  if (!here_.ready.empty()) return &here_.ready.pop_front();
  if (here_.pinned.empty()) return nullptr;
  if (Runnable* runnable = pick_pinned()) return runnable;
  return &here_.pinned.pop_front();
}

// Of those that were set aside and the others each have a slice in turn, however many they are:
// else short ones would run one in a slice of who computes. Null: it is the turn of others, and
// none of them is pinned.
Runnable* Executor::pick_pinned() noexcept {
  if (lane_->others_until_ns == 0) [[likely]]
    return &here_.pinned.pop_front();
  const std::uint64_t now = lane_->run_ns.get();
  if (lane_->others_until_ns == Lane::from_now_on) lane_->others_until_ns = now + rotate_ns;
  if (now >= lane_->others_until_ns) {
    lane_->others_until_ns = 0;
    return &here_.pinned.pop_front();
  }
  for (Runnable* each = here_.pinned.front(); each; each = each->next)
    if (!is_preempted(*each)) return here_.pinned.remove(*each->strand);
  return nullptr;
}

// The oldest published batch of the installed lane. Those of other lanes were published when their
// lane had its turn; they go back to its queues.
Runnable* Executor::take_batch() noexcept {
  while (Runnable* batch = ring_.pop())
    if (Runnable* mine = adopt(*batch)) return mine;
  return nullptr;
}

// Returns a batch of the installed lane as it is; puts any other into the queues of its lane.
Runnable* Executor::adopt(Runnable& batch) noexcept {
  if (batch.strand && batch.strand->lane() == lane_->id && running_) return &batch;
  push_all(&batch);
  return nullptr;
}

// While the core is traced, with the moments at which each task begins and ends.
template <bool traced>
unsigned Executor::run_batch() noexcept {
  unsigned count = 0;
  if (!running_) return 0;  // what comes from now on has to get its turn first
  begin_tasks();
  while (count < batch_limit) {
    if (!posted_.empty()) [[unlikely]]
      take_posted();
    if (preemption_requested()) break;  // from here to the task there is no section
    Runnable* runnable = pick();
    if (!runnable) break;
    ++count;
    const coro::Strand* strand = traced ? note_run(*runnable) : nullptr;
    run(*runnable);
    if constexpr (traced) note(hal::now_ns(), TraceKind::run_end, strand, 0);
  }
  begin_suspension();
  current_ = nullptr;
  if (count != 0) wait_until_ns_ = 0;
  retries_in_a_row_ = 0;
  add(tasks_run_, count);
  batch_tasks_ += count;
  return count;
}

void Executor::run_loop(EventSource& events) noexcept {
  events_ = &events;
  active_events_.store(&events);
  home_.state = Worker::State::running;
  Worker::set_current(&home_);
  charged_until_ns_ = batch_now_ns_ = hal::now_ns();
  begin_own_time(batch_now_ns_);
  utilisation_.set(true, batch_now_ns_);
  set_turn(lane_->id);
  loop();
  current_ = nullptr;
}

void Executor::loop() noexcept {
  unsigned count = 0;
  while (!machine_.stopping_.load(std::memory_order_relaxed)) {
    // Back to where the event source is.
    if (worker_ != &home_ && home_.state == Worker::State::idle) [[unlikely]]
      hand_over(home_, nullptr);
    clear_request();
    const std::uint64_t now = hal::now_ns();
    const std::uint64_t since = batch_now_ns_;
    look_for_events(now);
    if (stalls_.due(since, now)) [[unlikely]]
      look_for_stall(since, now, nullptr, 0, count > 1);
    if (machine_.is_restless(index_)) [[unlikely]] {
      usable_ = machine_.is_usable(index_);
      relocate(now);
    }
    if (is_to_wait(now)) [[unlikely]] {
      hal::pause();
      continue;
    }
    turn(now);
    fruitless_looks_ = 0;
    hear_no_more();
    plan_look(now);
    count = trace_.on() ? run_batch<true>() : run_batch<false>();
    add(batches_, 1);
    ready_seen_.store(here_.size() + schedule_.ready(), std::memory_order_relaxed);
    if (schedule_.empty()) waiting_seen_.store(here_.size(), std::memory_order_relaxed);
    if (coro::cores_share) look_for_idle_cores();
    if (count == batch_limit || preemption_requested() || !schedule_.empty()) continue;
    if (!steal()) idle(count);
  }
  // Nothing runs any more, so nobody is away.
  if (worker_ != &home_) hand_over(home_, nullptr);
  if (!home_.carriers.on_first()) home_.carriers.leave_to_first();
}

void Executor::look_for_events(std::uint64_t now) noexcept {
  batch_now_ns_ = now;
  if (refused_at_ns_ != 0) [[unlikely]]
    add(withheld_ns_, now - std::min(now, std::exchange(refused_at_ns_, 0)));
  timers_.plan_look(0);  // a plan follows
  if (!timers_.empty()) add(timers_fired_, timers_.advance(now));
  if (is_to_poll(now)) [[likely]] {
    polled_ns_ = now;
    put_off_poll_ns_ = 0;
    told_ = false;
    active_events_.load(std::memory_order_relaxed)->poll();
  }
  if (interrupt_sent_.load(std::memory_order_relaxed)) [[unlikely]]
    interrupt_sent_.store(false, std::memory_order_seq_cst);
  if (!stops_.empty() || !posted_.empty()) [[unlikely]]
    take_posted();
  if (!returned_.empty()) [[unlikely]]
    take_returned();
  if (loans_to_pass_on_) [[unlikely]] {
    machine_.loans().pass_on();
    loans_to_pass_on_ = false;  // what it lent was passed on, too
  }
  if (promotions_waiting_.load(std::memory_order_relaxed)) [[unlikely]]
    take_promotions();
}

// What the host has for us may take it longer than a frame can wait that is due, or will be soon.
bool Executor::is_to_poll(std::uint64_t now) noexcept {
  if (!frames_reserved() || now - polled_ns_ >= most_unpolled_ns) [[likely]]
    return true;
  if (schedule_.frames_wait()) return false;
  if (timers_.next_deadline() >= now + poll_ns) return true;
  // Not all the time because of many timers.
  if (put_off_poll_ns_ == 0) put_off_poll_ns_ = now;
  return now - put_off_poll_ns_ >= poll_ns;
}

// A timer is due at once, of a frame perhaps, and none is to run until then. Once for what runs, or
// many timers would keep all from that.
bool Executor::is_to_wait(std::uint64_t now) noexcept {
  if (!frames_reserved() || timers_.empty()) [[likely]]
    return false;
  const bool frame_runs = running_ && lane_->kind == LaneKind::frame && !lane_->exhausted;
  if (frame_runs || schedule_.frames_wait()) return false;
  const std::uint64_t due = timers_.next_deadline();
  if (due <= now || due > now + near_ns) return false;
  if (wait_until_ns_ == 0) wait_until_ns_ = due;
  return due <= wait_until_ns_;
}

// Whose turn is it?
void Executor::turn(std::uint64_t now) noexcept {
  batch_began_ns_ = now;
  if (!running_ && !has_turn_work() && schedule_.empty() && !ring_.empty()) [[unlikely]] {
    if (Runnable* batch = ring_.pop()) adopt(*batch);
  }
  const bool work = has_turn_work();
  leave_out_the_host(now);
  if (running_ && work && schedule_.empty() && now - charged_until_ns_ < plan_for_ns) return;
  const std::uint64_t since = std::exchange(charged_until_ns_, now);
  if (running_) {
    const std::uint64_t ran = now - since;
    if (work ? !schedule_.overtaken(*lane_, since, now) : schedule_.empty()) [[likely]] {
      schedule_.charge(*lane_, ran, now);
      watch_.batch(std::exchange(batch_tasks_, 0), here_.size(), now);
      return;
    }
    watch_.end(std::exchange(batch_tasks_, 0), now);
    if (work) watch_.ready(*lane_, now);
    uninstall();
    put_back(ran, now, work);
  } else if (work) {
    uninstall();
    schedule_.insert(*lane_, now);
  }
  if (Lane* next = schedule_.pick(now)) return install(*next, now);
  running_band_.store(nothing_runs, std::memory_order_relaxed);
  // It has work, and its group has met its limit: what is woken there goes behind that.
  if (lane_->waiting.is_linked()) leave_lane();
}

// A reservation without work may end with its turn, and its record be another core's at once.
void Executor::put_back(std::uint64_t ran_ns, std::uint64_t now, bool work) noexcept {
  if (machine_.moves_work()) lane_->load.set(false, now);
  const bool may_end = lane_->kind == LaneKind::frame && !work;
  schedule_.put_back(*lane_, ran_ns, now, work);
  running_ = false;
  if (may_end) leave_lane();
}

void Executor::leave_lane() noexcept {
  lane_ = &schedule_.event_lane();
  set_turn(lane_->id);
}

void Executor::install(Lane& lane, std::uint64_t now) noexcept {
  lane_ = &lane;
  here_ = std::exchange(lane.queues, {});
  if (lane.waiting.is_linked()) lane.waiting.unlink();
  set_turn(lane.id);
  running_ = true;
  if (machine_.moves_work()) lane.load.set(true, now);
  fruitless_looks_ = 0;
  plan_again_ns_ = 0;
  deaf_until_ns_ = 0;
  const unsigned band = machine_.band_of(lane);
  running_band_.store(static_cast<std::uint8_t>(band), std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with post()
  batch_tasks_ = 0;
  watch_.begin(lane, band, here_.size(), now);
  if (lane.kind == LaneKind::frame) clock_the_host(now);
  if (trace_.on()) [[unlikely]]
    note(now, TraceKind::lane_installed, nullptr,
         waiting_argument(static_cast<std::uint32_t>(schedule_.ready()),
                          static_cast<std::uint32_t>(here_.size())));
}

void Executor::uninstall() noexcept {
  if (batch_) {
    coro::RunQueue rest;
    for (Runnable* runnable = std::exchange(batch_, nullptr); runnable;)
      rest.push_back(*std::exchange(runnable, runnable->next));
    rest.append(here_.ready);
    here_.ready = rest;
  }
  lane_->queues = std::exchange(here_, {});
  if (!lane_->queues.empty()) waiting_.push_back(*lane_);
}

void Executor::make_ready(Runnable& runnable, Order order) noexcept {
  Lane& lane = lane_of(runnable);
  const bool pinned = stays(runnable);
  // What waits for its turn here may have it at once where there is nothing else to do.
  if (&lane != lane_ && !pinned && current_ && others_hungry()) {
    if (Executor* idle =
            machine_.take_idle_core(index_, work_of(lane, batch_now_ns_), batch_now_ns_))
      return idle->post(runnable);
  }
  queue(lane, runnable, pinned, order);
}

void Executor::queue(Lane& lane, Runnable& runnable, bool pinned, Order order) noexcept {
  coro::LaneQueues& queues = queues_of(lane);
  if (order == Order::forked)
    (pinned ? queues.pinned : queues.forks).push_front(runnable);
  else
    (pinned ? queues.pinned : queues.ready).push_back(runnable);
  if (trace_.on()) [[unlikely]]
    trace_.record(hal::now_ns(), TraceKind::wake, lane.id,
                  reinterpret_cast<std::uintptr_t>(runnable.strand), index_);
  has_work_now(lane, batch_now_ns_);
}

// Something was put into the queues of `lane`: it wants its turn, unless it has it.
void Executor::has_work_now(Lane& lane, std::uint64_t now) noexcept {
  if (&lane == lane_) return;
  if (!lane.waiting.is_linked()) waiting_.push_back(lane);
  if (lane.state != LaneState::idle) return;
  schedule_.insert(lane, now);
  watch_.ready(lane, now);
  if (current_ && running_ && schedule_.more_urgent(lane, *lane_)) request_preemption();
}

coro::LaneQueues& Executor::queues_of(Lane& lane) noexcept {
  return &lane == lane_ ? here_ : lane.queues;
}

Lane& Executor::lane_of(const Runnable& runnable) noexcept {
  return runnable.strand ? schedule_.lane(runnable.strand->lane()) : schedule_.event_lane();
}

bool Executor::stays(const Runnable& runnable) noexcept {
  return coro::cores_share && (!runnable.strand || runnable.strand->pinned());
}

void Executor::push_local(Runnable& runnable) noexcept {
  queue(lane_of(runnable), runnable, stays(runnable), Order::last);
}

unsigned Executor::push_all(Runnable* chain) noexcept {
  unsigned count = 0;
  for (; chain; ++count) push_local(*std::exchange(chain, chain->next));
  return count;
}

void Executor::take_posted() noexcept {
  add(taken_, push_all(posted_.take_all()));
  for (coro::Strand* strand = stops_.take_all(); strand;)
    coro::handle_stop(*std::exchange(strand, strand->next_stop));
}

void Executor::post(Runnable& runnable) noexcept {
  const unsigned band = machine_.band_of(runnable);
  posted_.push(runnable);
  if (notify()) return;
  // A core at which nothing runs is in its loop and looks before it runs anything or sleeps: an
  // interrupt would cost both sides more than the rest of the wake. Pairs with install(), which
  // says what runs before run_batch() looks: either it sees what we put in or we see what runs.
  const unsigned running = running_band_.load(std::memory_order_seq_cst);
  if (running == nothing_runs) return;
  if (band >= running && band > heard_band_.load(std::memory_order_seq_cst)) return;
  // The latest may have met a bad moment and be put off by more than a frame can wait.
  if (band == frame_band) {
    interrupt_sent_.store(false, std::memory_order_seq_cst);
    if (machine_.realtime()) hal::set_urgent(index_, true);
  }
  interrupt();
}

void Executor::post_stop(coro::Strand& strand) noexcept {
  stops_.push(strand);
  if (!notify() && heard_band_.load(std::memory_order_seq_cst) != 0) interrupt();
}

bool Executor::notify() noexcept {
  // Pairs with park(): the parking core says that it is parked and then looks at its inboxes; we
  // put something in and then look whether it is parked. All four steps are sequentially
  // consistent.
  if (state_.load(std::memory_order_seq_cst) != State::parked ||
      state_.exchange(State::awake, std::memory_order_seq_cst) != State::parked)
    return false;
  active_events_.load(std::memory_order_seq_cst)->wake();
  return true;
}

void Executor::interrupt() noexcept {
  if (!machine_.preempts()) return;
  if (interrupt_sent_.exchange(true, std::memory_order_seq_cst)) return;
  called_.fetch_add(1, std::memory_order_relaxed);
  hal::send_interrupt(index_).ignore();
}

// Idle cores lower our sharing threshold when they announce themselves; here it rises again, and
// work that was queued before is offered.
void Executor::look_for_idle_cores() noexcept {
  const bool hungry = machine_.others_idle(index_);
  set_hungry(hungry);
  if (!hungry) return;
  share();
  // What nobody was woken for may have become worth it.
  if (machine_.moves_work() && !ring_.empty()) wake_an_idle_core();
  offer_waiting_lane();
}

// Work of a lane that waits for its turn here may have it elsewhere at once.
void Executor::offer_waiting_lane() noexcept {
  Lane* lane = waiting_.front();
  if (!lane) return;
  coro::RunQueue& queue = lane->queues.ready.empty() ? lane->queues.forks : lane->queues.ready;
  if (queue.empty() || lane->kind == LaneKind::frame || lane->state == LaneState::throttled) {
    // None that may go, or would find more to do there: the next lane is looked at next time.
    lane->waiting.unlink();
    waiting_.push_back(*lane);
    return;
  }
  Executor* idle = machine_.take_idle_core(index_, work_of(*lane, batch_now_ns_), batch_now_ns_);
  if (!idle) return;
  coro::RunQueue batch = queue.split_front((queue.size() + 1) / 2);
  if (lane->queues.empty()) {
    lane->waiting.unlink();
    schedule_.remove(*lane, batch_now_ns_);
  }
  while (!batch.empty()) idle->post(batch.pop_front());
}

void Executor::publish(Runnable& batch) noexcept {
  if (ring_.push(batch)) {
    add(published_, 1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return;
  }
  push_all(&batch);  // the ring is full
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
  if (others_hungry()) {
    if (publish_half_of(here_.forks) || publish_half_of(here_.ready)) wake_an_idle_core();
    return;
  }
  if (here_.ready.size() < publish_at) return;
  // The whole queue is one batch, unless the ring was full for a while.
  coro::RunQueue batch = here_.ready.size() == publish_at ? std::exchange(here_.ready, {})
                                                          : here_.ready.split_front(publish_at);
  publish(*batch.front());
}

void Executor::wake_an_idle_core() noexcept {
  if (Executor* idle =
          machine_.take_idle_core(index_, work_of(*lane_, batch_now_ns_), batch_now_ns_))
    idle->notify();
}

bool Executor::steal() noexcept {
  if (machine_.cores() == 1) return false;
  Executor* victim = machine_.victim_of(index_, batch_now_ns_);
  if (!victim) return false;
  Runnable* stolen = victim->ring_.steal_half(ring_);
  if (!stolen) return false;
  if (batch_)
    push_all(stolen);
  else
    batch_ = adopt(*stolen);
  add(stolen_, 1);
  if (trace_.on()) [[unlikely]]
    note(hal::now_ns(), TraceKind::steal, nullptr, victim->index());
  return true;
}

bool Executor::has_work() const noexcept {
  if (has_turn_work() || !schedule_.empty()) return true;
  if (!posted_.empty() || !stops_.empty() || !returned_.empty()) return true;
  if (promotions_waiting_.load(std::memory_order_relaxed)) return true;
  if (machine_.stopping_.load(std::memory_order_relaxed)) return true;
  if (!ring_.empty() || usable_ != machine_.is_usable(index_)) return true;
  return machine_.cores() > 1 && machine_.victim_of(index_, batch_now_ns_) != nullptr;
}

void Executor::idle(unsigned ran) noexcept {
  if (has_work()) return;
  const std::uint64_t poll_ns = static_cast<std::uint64_t>(machine_.options_.poll.count());
  const std::uint64_t started = hal::now_ns();
  if (stalls_.due(batch_now_ns_, started)) [[unlikely]]
    look_for_stall(batch_now_ns_, started, nullptr, 0, ran > 1);
  if (running_) {
    // What comes from here on is no time of the lane; it stays installed for what it wakes.
    leave_out_the_host(started);
    watch_.end(std::exchange(batch_tasks_, 0), started);
    put_back(started - charged_until_ns_, started, false);
    running_band_.store(nothing_runs, std::memory_order_relaxed);
  }
  fruitless_looks_ = 0;
  utilisation_.set(false, started);
  idled_ = true;
  const bool wants_work = machine_.cores() > 1 && usable_;
  if (wants_work) machine_.announce_idle(index_);
  bool found = false;
  if (poll_ns > 0 && fruitless_polls_ < hopeless_polls) {
    rank_poll();
    const std::uint64_t until = std::min(started + poll_ns, next_event(started));
    do {
      found = active_events_.load(std::memory_order_relaxed)->poll() > 0 || has_work();
      if (!found) hal::pause();
    } while (!found && hal::now_ns() < until);
    if (found)
      fruitless_polls_ = 0;
    else
      ++fruitless_polls_;
  }
  if (!found) {
    if (wants_work) {
      machine_.announce_idle(index_);
      machine_.ask_for_work(index_);
    }
    park();
    // Work that comes soon after going to sleep would have been worth waiting for.
    if (hal::now_ns() - started < 2 * poll_ns) fruitless_polls_ = 0;
  }
  if (wants_work) machine_.retract_idle(index_);
  batch_now_ns_ = hal::now_ns();  // nobody held the core until here
  utilisation_.set(true, batch_now_ns_);
}

std::uint64_t Executor::next_event(std::uint64_t now) noexcept {
  return std::min(timers_.next_deadline(), schedule_.next_event(now));
}

void Executor::park() noexcept {
  state_.store(State::parked, std::memory_order_seq_cst);
  // Ordered before the look at what others do: either we see their work or they see us parked.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!has_work()) {
    add(parks_, 1);
    if (armed_ns_ != coro::no_deadline) arm(coro::no_deadline);
    rank_rest();
    const bool traced = trace_.on();
    if (traced) note(hal::now_ns(), TraceKind::park, nullptr, 0);
    active_events_.load(std::memory_order_relaxed)->wait(next_event(batch_now_ns_));
    if (traced) note(hal::now_ns(), TraceKind::unpark, nullptr, 0);
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
          .interrupts = interrupts_.load(relaxed),
          .called = called_.load(relaxed),
          .preemptions = preemptions_.load(relaxed),
          .retries = retries_.load(relaxed),
          .no_stack = no_stack_.load(relaxed),
          .replaced = replaced_.load(relaxed),
          .unseen_ns = unseen_ns_.load(relaxed),
          .withheld_ns = withheld_ns_.load(relaxed),
          .timers_fired = timers_fired_.load(relaxed),
          .ready = ready_seen_.load(relaxed),
          .timers = timers_.size()};
}

}  // namespace lichen::sched

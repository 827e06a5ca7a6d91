// Preemption: how a task that does not come back degenerates into a thread.
//
//   runs <-----------------------------------+
//    | interrupt                             |
//    v                                       |
//   in app text, and in no section? --- no --+  again shortly, or where the section ends
//    | yes: the flow calls reconsider()      |
//    v                                       |
//   has something else its turn? ------ no --+
//    | yes: set_aside()                      |
//    v                                       |
//   its stack is a Runnable of this core ----+  picked like any task, on a stack that is then free
//
// It waits in front of its lane or, when its slice is over, behind; the loop goes on on another
// stack.
#include <algorithm>
#include <utility>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/app_text.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/preempted.hpp"

namespace lichen::sched {

void Executor::on_interrupt(hal::Interrupt interrupt, hal::CoreId) noexcept {
  if (coro::Core* core = coro::this_core()) static_cast<Executor*>(core)->interrupted(interrupt);
}

void Executor::interrupted(hal::Interrupt interrupt) noexcept {
  add(interrupts_, 1);
  if (interrupt == hal::Interrupt::deadline) {
    if (std::exchange(armed_ns_, coro::no_deadline) != coro::no_deadline) take_alarm();
    if (!current_) return note_request();
    // Armed for a task that came back in time.
    if (hal::now_ns() < look_at_ns_) return arm(look_at_ns_);
  }
  if (interrupt == hal::Interrupt::device) {
    told_ = true;
    if (!current_) return note_request();
    if (hal::now_ns() < deaf_until_ns_) return look_at(std::min(look_at_ns_, deaf_until_ns_));
  }
  if (preemption_off()) return note_request();
  if (in_short_section()) return look_again();
  if (!in_app_text(hal::interrupted_at())) {
    const std::uint64_t now = hal::now_ns();
    if (!is_stuck(now)) {
      look_for_stall_in_handler(now);
      // It may come to a section's end, or suspend, before the next interrupt.
      request_preemption();
      return look_again();
    }
    begin_suspension();
    return hal::call_around_host_call(&step_aside, &rejoin);
  }
  interrupted_at_ = hal::interrupted_at();
  retries_in_a_row_ = 0;
  begin_suspension();
  hal::call_after_interrupt(&after_interrupt);
}

// The one who leaves the section, or the loop, sees it; but for one that is about to run a task.
void Executor::note_request() noexcept {
  request_preemption();
  note_refusal();
  if (between_tasks()) look_again();
}

void Executor::note_refusal() noexcept {
  if (refused_at_ns_ == 0 && frames_reserved()) refused_at_ns_ = hal::now_ns();
}

// Nothing of ours keeps an interrupt from app text. If one comes late and the host says that the
// core ran meanwhile, somebody took it of whom the host does not know, such as the one below a
// virtual machine.
void Executor::take_alarm() noexcept {
  if (!current_ || alarm_due_ns_ == 0) return;
  const std::uint64_t now = hal::now_ns();
  alarm_ = {.due_ns = alarm_due_ns_, .came_ns = now};
  if (now < alarm_due_ns_ + alarm_jitter_ns || !in_app_text(hal::interrupted_at())) return;
  note_unseen(now, now - alarm_due_ns_);
}

void Executor::after_interrupt() noexcept { current().reconsider(); }

// The task is in code that must not be left. It is soon out of it, or never was in any other: the
// further apart are the looks, unless a frame may be due; and the first comes late enough for most
// batches to be over, unless a device may have something for who goes before what runs. Also in
// interrupt handlers: takes no lock.
void Executor::look_again() noexcept {
  add(retries_, 1);
  note_refusal();
  const std::uint64_t now = hal::now_ns();
  rank_overrun(now);
  const std::uint64_t timer = timers_.first_set();
  const std::uint64_t due = std::min(timer, decision_ns_);
  const bool called = interrupt_sent_.load(std::memory_order_relaxed);
  const bool told_of_more =
      told_ && running_band_.load(std::memory_order_relaxed) > waited_for_band;
  const bool pressing = !posted_.empty() || due <= now || called || told_of_more;
  const bool needed = pressing || others_of_turn() || !schedule_.empty() || told_;
  const bool urgent = (timer <= now || called) && frames_reserved();
  const unsigned doublings = urgent ? urgent_retry_doublings : retry_doublings;
  std::uint64_t look = needed ? now + (retry_ns << std::min(retries_in_a_row_++, doublings))
                              : std::min(due, now + (machine_.first_look_ns() << std::min(
                                                         fruitless_looks_++, look_doublings)));
  // What began only now mostly ends sooner than a timer is set and comes.
  if (needed && !pressing && !frames_reserved())
    look = std::max(look, batch_began_ns_ + listen_after_ns);
  if (timer > now) look = std::min(look, timer);
  // One that stays in a call of the host's is looked at again when it is stuck there.
  const std::uint64_t stuck_at_ns = stuck_since_ns_ + machine_.stuck_after_ns();
  if (stuck_since_ns_ != 0 && stuck_at_ns > now) look = std::min(look, stuck_at_ns);
  look_at(look);
  if (hear(now)) look_at(now + retry_ns);
}

// The end of a section. The code around it may be the runtime's own, and then is not done.
void Executor::preempt(std::uintptr_t caller) noexcept {
  interrupted_at_ = caller;
  if (current_ && in_app_text(caller)) return reconsider();
  for (;;) {
    clear_request();
    if (current_) look_again();
    begin_run();
    // The next interrupt may have come before that already, and the task may enter no other
    // section.
    if (!current_ || !preemption_requested()) return;
    begin_suspension();
  }
}

void Executor::preemption_point() noexcept {
  auto* core = static_cast<Executor*>(coro::this_core());
  if (!core || !core->current_) return;
  core->interrupted_at_ = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  core->begin_suspension();
  core->reconsider();
}

// In a task, with preemption off; returns with preemption on.
void Executor::reconsider() noexcept {
  for (bool told = false;;) {
    clear_request();
    const std::uint64_t now = hal::now_ns();
    const std::uint64_t since = batch_now_ns_;
    told = told || told_;
    look_for_events(now);
    if (stalls_.due(since, now)) [[unlikely]]
      look_for_stall(since, now, current_, interrupted_at_, false);
    leave_out_the_host(now);
    if (is_to_wait(now)) {
      hal::pause();
      continue;
    }
    if (coro::cores_share) {
      look_for_idle_cores();
      even_out(now);
    }
    no_stack_until_ns_ = 0;
    if (should_set_aside(now)) {
      if (Carrier* next = worker_->carriers.prepare()) return set_aside(*next, now);
      add(no_stack_, 1);
      no_stack_until_ns_ = now + no_stack_ns;
    }
    if (now - batch_began_ns_ >= rotate_ns) ++fruitless_looks_;
    // What it ran is spent: else a budget that is used up would call for the next look at once.
    if (running_) schedule_.charge(*lane_, now - std::exchange(charged_until_ns_, now), now);
    if (told) deaf_until_ns_ = now + deaf_ns;
    const bool came = listen(now);
    plan_again_ns_ = 0;
    wait_until_ns_ = 0;
    plan_look(now);
    if (!came && !hear(now)) {
      begin_run();
      if (!preemption_requested()) return;
      begin_suspension();
    }
  }
}

// A frame is interrupted by the timers of others only.
bool Executor::is_to_listen(std::uint64_t now) const noexcept {
  if (!machine_.preempts() || now < deaf_until_ns_) return false;
  if (lane_->kind == LaneKind::frame && !lane_->exhausted) return false;
  return active_events_.load(std::memory_order_relaxed)->is_deaf();
}

// What comes from now on interrupts the task that goes on. True: something has come.
bool Executor::listen(std::uint64_t now) noexcept {
  if (!is_to_listen(now) || !active_events_.load(std::memory_order_relaxed)->listen()) return false;
  told_ = true;
  return true;
}

bool Executor::should_set_aside(std::uint64_t now) noexcept {
  // It no longer belongs to the lane that has its turn: what was lent to it was taken back.
  if (&schedule_.lane(current_->lane()) != lane_ && (has_turn_work() || !schedule_.empty()))
    return true;
  if (schedule_.overtaken(*lane_, charged_until_ns_, now)) return true;
  // The core's events are seen on its home worker only.
  if (worker_ != &home_ && home_.state == Worker::State::idle &&
      now - batch_began_ns_ >= stand_in_ns)
    return true;
  return others_of_turn() && now - batch_began_ns_ >= rotate_ns;
}

void Executor::set_aside(Carrier& next, std::uint64_t now) noexcept {
  Preempted preempted{.frame = {.resume_function = &resume_preempted},
                      .executor = *this,
                      .worker = *worker_,
                      .carrier = worker_->carriers.running(),
                      .since_ns = now};
  coro::Runnable& runnable = preempted.frame.runnable;
  runnable.strand = current_;
  // The strand may have been lent another lane while it ran.
  Lane& lane = schedule_.lane(current_->lane());
  coro::LaneQueues& queues = queues_of(lane);
  // Stacks stay with their core.
  coro::RunQueue& queue = coro::cores_share ? queues.pinned : queues.ready;
  if (now - batch_began_ns_ >= rotate_ns) {
    queue.push_back(runnable);
    if (coro::cores_share && lane.kind != LaneKind::event) lane.others_until_ns = Lane::from_now_on;
  } else {
    queue.push_front(runnable);
  }
  stacks_are_few_ = worker_->carriers.left(machine_.cores()) <= machine_.options_.stacks / 4;
  if (stacks_are_few_) [[unlikely]]
    bring_preempted_forward(queue);
  has_work_now(lane, now);
  watch_.preempted(current_->spawned_at, now - batch_began_ns_);
  if (current_->watch() != 0) [[unlikely]]
    machine_.task_watches().of(*current_).set_aside(now);
  if (trace_.on()) [[unlikely]]
    note(now, TraceKind::preempt, current_, now - batch_began_ns_);
  current_ = nullptr;
  request_preemption();  // ends the batch of the loop that goes on
  add(preemptions_, 1);
  worker_->carriers.set_aside(next);
}

// Where few stacks are left, a lane of which tasks were set aside goes on with the first of them
// rather than with others, of which each may need a stack, too: the last would keep the core.
void Executor::bring_preempted_forward(coro::RunQueue& queue) noexcept {
  for (coro::Runnable* each = queue.front(); each; each = each->next)
    if (is_preempted(*each)) return queue.push_front(*queue.remove(*each->strand));
}

void Executor::resume_preempted(void* frame) noexcept {
  auto& preempted = *static_cast<Preempted*>(frame);
  Executor& executor = preempted.executor;
  Worker& worker = preempted.worker;
  if (worker.state == Worker::State::away) {
    executor.begin_suspension();
    return worker.put_off.push_back(preempted.frame.runnable);
  }
  if (preempted.since_ns != 0) {
    const coro::Strand& strand = *preempted.frame.runnable.strand;
    executor.watch_.resumed(strand.spawned_at, executor.batch_began_ns_ - preempted.since_ns);
    if (strand.watch() != 0) [[unlikely]]
      executor.machine_.task_watches().of(strand).went_on(hal::now_ns());
  }
  if (&worker == executor.worker_) return worker.carriers.resume(preempted.carrier);
  executor.hand_over(worker, &preempted.carrier);
}

bool Executor::is_preempted(coro::Runnable& runnable) noexcept {
  const auto* frame = static_cast<coro::ResumeFrame*>(runnable.handle().address());
  return frame->resume_function == &resume_preempted;
}

void Executor::run_carrier(void* executor) noexcept { static_cast<Executor*>(executor)->loop(); }

// When the task that runs next is to be interrupted if it has not come back by then.
void Executor::plan_look(std::uint64_t now) noexcept {
  if (!running_) return;
  if (!machine_.preempts()) return note_own_time(now);
  rank_turn(now);
  const bool others = others_of_turn();
  // What was planned for the batches before will do for a while.
  if (now < plan_again_ns_ && armed_ns_ <= look_at_ns_ && schedule_.empty() && timers_.empty() &&
      (!others || look_at_ns_ <= now + rotate_ns)) {
    timers_.watch_from(coro::no_deadline);
    return timers_.plan_look(look_at_ns_);
  }
  note_own_time(now);
  plan_again_ns_ = now + plan_for_ns;
  decision_ns_ = std::max(schedule_.next_decision(*lane_, charged_until_ns_, now),
                          std::exchange(no_stack_until_ns_, 0));
  // Where frames are due each interrupt that the core is spared counts.
  timers_.watch_from(timers_.empty()     ? coro::no_deadline
                     : frames_reserved() ? timers_.next_deadline()
                                         : timers_.not_before());
  std::uint64_t look =
      now + (machine_.first_look_ns() << std::min(fruitless_looks_, look_doublings));
  if (others) look = std::min(look, now + rotate_ns);
  if (now < deaf_until_ns_)
    look = std::min(look, deaf_until_ns_);
  else if (is_to_listen(now))
    look = std::min(look, now + listen_after_ns);
  look_at(std::min({look, decision_ns_, timers_.first_set()}));
}

// The task that goes on has computed for so long that it is looked at seldom: until the next time,
// one that comes from another core and is as urgent interrupts it; while it is alone, anyone. At
// most one does, for from then on the schedule says how long that one can wait. True: one has come.
bool Executor::hear(std::uint64_t now) noexcept {
  if (look_at_ns_ <= now + machine_.first_look_ns() || now - batch_began_ns_ < rotate_ns) {
    hear_no_more();
    return false;
  }
  const bool alone = schedule_.empty() && !others_of_turn();
  // Pairs with post() and post_stop(): either they see this or we see what they put in.
  heard_band_.store(alone ? nothing_runs : running_band_.load(std::memory_order_relaxed),
                    std::memory_order_seq_cst);
  return !posted_.empty() || !stops_.empty();
}

void Executor::hear_no_more() noexcept {
  if (heard_band_.load(std::memory_order_relaxed) != 0) [[unlikely]]
    heard_band_.store(0, std::memory_order_relaxed);
}

// Whoever sets a timer for before that moment asks for another plan.
void Executor::look_at(std::uint64_t deadline_ns) noexcept {
  look_at_ns_ = deadline_ns;
  timers_.plan_look(deadline_ns);
  if (deadline_ns < armed_ns_) arm(deadline_ns);
}

void Executor::arm(std::uint64_t deadline_ns) noexcept {
  armed_ns_ = deadline_ns;
  alarm_due_ns_ = 0;
  if (deadline_ns == coro::no_deadline || !frames_reserved()) [[likely]]
    return hal::arm_deadline(index_, deadline_ns).ignore();
  const std::uint64_t began = hal::now_ns();
  alarm_due_ns_ = std::max(began, deadline_ns);
  kept_when_armed_ns_ = began - hal::core_time_ns();
  hal::arm_deadline(index_, deadline_ns).ignore();
  // A machine below this one likes to take the processor just when it is called.
  const std::uint64_t now = hal::now_ns();
  if (now > began + most_arming_ns) [[unlikely]]
    note_unseen(now, now - began);
}

// The core has had no part of so much time until now; what of it does the host not say?
void Executor::note_unseen(std::uint64_t now, std::uint64_t ns) noexcept {
  const std::uint64_t kept = now - hal::core_time_ns();
  // That may have been before that time, so this is the least.
  const std::uint64_t said = kept - std::min(kept, kept_when_armed_ns_);
  if (said + most_arming_ns < ns) add(unseen_ns_, ns - said);
}

}  // namespace lichen::sched

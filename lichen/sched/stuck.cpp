// A task that is stuck in a call of the host's: how the rest of its core goes on.
//
//   home worker   in the host's call ............................ rejoin()   waiting    its task
//        |  interrupt: for long?  |                                  |                  ^
//        +--> step_aside() -------+  the call is made again          | returned_        |
//        hand_over()
//                   | give_core()                                    v                  |
//   stand-in      idle --> loop: other tasks, timers, posts ---- queues it ------- picks it -->
//   idle
//
// A flow in the host's call does not own the core: its thread is no core meanwhile, and when the
// call ends the HAL makes it rejoin before it executes an instruction of its own. It then waits for
// its turn like a task that was set aside. Whoever has the core hands it over by hal::HostThread's
// wake(), before which it has done everything and after which it touches nothing; so what the core
// owns is written by one thread at a time, each seeing what the one before did.
//
// What is on a stack stays with its thread, since code may hold addresses of what belongs to the
// thread (errno). So tasks that were set aside on a thread that is away wait for it. The core's
// event source belongs to the home worker: meanwhile the core sleeps in the HAL, and what is
// prepared for the source waits.
//
// Where it may be done: docs/decisions/stuck-workers.md.
#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/app_text.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/preempted.hpp"
#include "lichen/sched/worker.hpp"

namespace lichen::sched {

namespace {
[[gnu::tls_model("initial-exec")]] constinit thread_local Worker* this_worker = nullptr;
}  // namespace

Worker* Worker::current() noexcept { return this_worker; }
void Worker::set_current(Worker* worker) noexcept { this_worker = worker; }

Worker::Worker(Executor& core, hal::StackPool* pool) noexcept
    : carriers{pool, &Executor::run_carrier, &core}, executor{core} {}

Result<void> Worker::start() noexcept {
  first_loop = carriers.prepare();
  if (!first_loop) return Error::limit_reached;
  auto started = thread.start(&run, this);
  if (!started) carriers.give_back(*first_loop);
  return started;
}

void Worker::run(void* self) noexcept {
  auto& worker = *static_cast<Worker*>(self);
  set_current(&worker);
  hal::stand_by(worker.executor.index(), true);
  worker.thread.sleep();
  if (worker.over) return worker.carriers.give_back(*worker.first_loop);
  worker.executor.take_core();
  worker.carriers.set_aside(*worker.first_loop);
}

void Worker::end() noexcept {
  over = true;
  thread.wake();
  thread.join();
}

void Worker::await_core(bool in_loop) noexcept {
  thread.sleep();
  if (over) carriers.finish();
  executor.take_core();
  Carrier* next = std::exchange(wanted, nullptr);
  if (!next) return;
  executor.begin_run();
  if (next == &carriers.running()) return;
  if (in_loop)
    carriers.resume(*next);
  else
    carriers.set_aside(*next);
}

// The calling thread, to which the core was given, is it now.
void Executor::take_core() noexcept {
  hal::take_core_over(index_);
  coro::set_this_core(this);
  const std::uint64_t now = hal::now_ns();
  if (lane_->kind == LaneKind::frame) clock_the_host(now);
  begin_own_time(now);
  batch_began_ns_ = now;  // a task that was handed over has a turn of its own
  // Makes up for interrupts that the thread got which was the core before.
  look_at_ns_ = std::min(look_at_ns_, now + retry_ns);
  arm(look_at_ns_);
}

void Executor::give_core(Worker& to, Carrier* task) noexcept {
  leave_out_the_host(hal::now_ns());
  to.wanted = task;
  to.state = Worker::State::running;
  worker_ = &to;
  active_events_.store(&to == &home_ ? events_ : &stand_in_events_, std::memory_order_seq_cst);
  coro::set_this_core(nullptr);
  hal::give_core_up();
  to.thread.wake();
}

// In the loop. Returns when the core comes back to this thread and the loop is to go on here.
void Executor::hand_over(Worker& to, Carrier* task) noexcept {
  begin_tasks();  // an interrupt that comes before the other thread goes on is repeated
  Worker& mine = *worker_;
  mine.state = Worker::State::idle;
  if (!task) request_preemption();  // ends the batch in which that loop is
  hal::stand_by(index_, true);
  give_core(to, task);
  mine.await_core(true);
}

// In an interrupt handler, about a task that is in code which is not to be left.
bool Executor::is_stuck(std::uint64_t now) noexcept {
  const std::uint64_t limit = machine_.stuck_after_ns();
  const auto call = limit == 0 || !current_
                        ? std::nullopt
                        : hal::host_call(worker_->carriers.running().stack, &in_app_text);
  if (!call) {
    stuck_since_ns_ = 0;
    return false;
  }
  if (stuck_since_ns_ == 0 || stuck_strand_ != current_ || stuck_in_.caller != call->caller) {
    stuck_in_ = *call;
    stuck_strand_ = current_;
    stuck_since_ns_ = now;
  }
  return now - stuck_since_ns_ >= limit;
}

// Who goes on with the core's loop: the home worker, which has the event source, a stand-in that is
// idle, a new one.
Worker* Executor::idle_worker() noexcept {
  if (home_.state == Worker::State::idle) return &home_;
  for (Worker* worker = stand_ins_; worker; worker = worker->next)
    if (worker->state == Worker::State::idle) return worker;
  return make_stand_in();
}

// When there may be no more threads: a task that is back from its call, out of its turn. So a lock
// that it holds and others wait for is let go of at last.
Executor::Preempted* Executor::returned_task() noexcept {
  auto take = [&](const Worker& worker) -> Preempted* {
    if (worker.state != Worker::State::waiting) return nullptr;
    bool pinned = false;
    coro::Runnable* found = take_out(lane_of(*worker.back), *worker.strand, pinned);
    return found ? static_cast<Preempted*>(found->handle().address()) : nullptr;
  };
  Preempted* found = take(home_);
  for (Worker* worker = stand_ins_; worker && !found; worker = worker->next) found = take(*worker);
  return found;
}

Worker* Executor::make_stand_in() noexcept {
  if (!machine_.take_stand_in()) return nullptr;
  std::unique_ptr<Worker> made{new (std::nothrow) Worker{*this, machine_.stacks()}};
  if (!made || !made->start()) {
    machine_.put_stand_in();
    return nullptr;
  }
  made->next = stand_ins_;
  return stand_ins_ = made.release();
}

void Executor::step_aside() noexcept { current().leave_to_another(); }

// The flow of a stuck task, as if it had called this before its call of the host's, with preemption
// off. On return it makes the call.
void Executor::leave_to_another() noexcept {
  begin_tasks();  // as in hand_over()
  clear_request();
  const std::uint64_t now = hal::now_ns();
  look_for_events(now);
  stalls_.report(stuck_since_ns_, now, 0, lane_->id,
                 lane_->group ? lane_->group->name() : "runtime", current_, name_of(current_),
                 stuck_in_.caller, stuck_in_.name);
  Worker* next = idle_worker();
  Preempted* instead = next ? nullptr : returned_task();
  if (!next && !instead) {
    // All threads that there may be are in calls. Asked again after as long.
    stuck_since_ns_ = now;
    look_again();
    return begin_run();
  }
  if (trace_.on()) [[unlikely]]
    note(now, TraceKind::preempt, current_, now - batch_began_ns_);
  Worker& mine = *worker_;
  mine.state = Worker::State::away;
  mine.strand = std::exchange(current_, nullptr);
  stuck_since_ns_ = 0;
  add(replaced_, 1);
  if (next) {
    request_preemption();  // ends the batch in which the loop is that goes on
    give_core(*next, nullptr);
    return hal::stand_by(index_, false);
  }
  current_ = instead->frame.runnable.strand;
  if (trace_.on()) [[unlikely]]
    note(now, TraceKind::resume_preempted, current_, argument_of(current_->spawned_at));
  give_core(instead->worker, &instead->carrier);
  hal::stand_by(index_, false);
}

// The call has ended, on a thread that is no core, unless nobody went on with it.
void Executor::rejoin() noexcept {
  Worker& worker = *Worker::current();
  if (worker.state != Worker::State::away) return;
  Executor& executor = worker.executor;
  Preempted preempted{.frame = {.resume_function = &resume_preempted},
                      .executor = executor,
                      .worker = worker,
                      .carrier = worker.carriers.running(),
                      .since_ns = 0};
  coro::Runnable& runnable = preempted.frame.runnable;
  runnable.strand = worker.strand;
  hal::stand_by(executor.index(), true);
  executor.returned_.push(runnable);
  // A lone task that computes is looked at seldom: it is no longer alone.
  if (!executor.notify()) executor.interrupt();
  worker.await_core(false);
}

void Executor::take_returned() noexcept {
  for (coro::Runnable* runnable = returned_.take_all(); runnable;) {
    coro::Runnable& mine = *std::exchange(runnable, runnable->next);
    Worker& worker = static_cast<Preempted*>(mine.handle().address())->worker;
    worker.state = Worker::State::waiting;
    worker.back = &mine;
    queue_set_aside(mine);
    while (!worker.put_off.empty()) queue_set_aside(worker.put_off.pop_front());
  }
}

// Stacks stay with their core.
void Executor::queue_set_aside(coro::Runnable& runnable) noexcept {
  queue(lane_of(runnable), runnable, coro::cores_share, coro::Order::last);
}

void Executor::end_stand_ins() noexcept {
  while (stand_ins_) {
    const std::unique_ptr<Worker> worker{std::exchange(stand_ins_, stand_ins_->next)};
    worker->end();
    machine_.put_stand_in();
  }
}

}  // namespace lichen::sched

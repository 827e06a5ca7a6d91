#include "lichen/sched/task_watch.hpp"

#include <memory>
#include <new>
#include <utility>

#include "lichen/base/format.hpp"
#include "lichen/coro/waiting.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/machine.hpp"

// Few tasks are watched, and an image need not be larger for them.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::sched {

using coro::Order;
using coro::Runnable;
using coro::Strand;

void TaskRecord::begin(Turn& turn, unsigned core, bool in_frames, std::uint64_t now) noexcept {
  for (unsigned tries = 0; turn_.load(std::memory_order_acquire); ++tries)
    coro::hooks::relax(tries);
  turn.began_ns = now;
  turn_.store(&turn, std::memory_order_relaxed);
  if (last_core_ != coro::max_cores && last_core_ != core) migrations_.add(1);
  last_core_ = core;
  work_.tasks.add(1);
  if (!in_frames) work_.wait.record(now - woken_ns_);
}

void TaskRecord::end(Turn& turn, std::uint64_t now) noexcept {
  work_.run.record(now - turn.began_ns - turn.aside_ns);
  turn_.store(nullptr, std::memory_order_release);
}

void TaskRecord::set_aside(std::uint64_t now) noexcept {
  Turn* turn = turn_.load(std::memory_order_relaxed);
  if (!turn) return;
  turn->aside_since_ns = now;
  work_.preemptions.add(1);
}

void TaskRecord::went_on(std::uint64_t now) noexcept {
  Turn* turn = turn_.load(std::memory_order_relaxed);
  if (!turn) return;
  const std::uint64_t aside_ns = now - turn->aside_since_ns;
  turn->aside_ns += aside_ns;
  aside_ns_.add(aside_ns);
  if (const std::uint64_t longest = longest_aside_ns_.get(); aside_ns > longest)
    longest_aside_ns_.add(aside_ns - longest);
}

void TaskRecord::frame_began(std::uint64_t late_ns, std::uint64_t left_out) noexcept {
  work_.wait.record(late_ns);
  work_.frames.add(1 + left_out);
  work_.missed.add(left_out);
}

void TaskRecord::finish(std::uint64_t now) noexcept {
  Turn* turn = turn_.load(std::memory_order_relaxed);
  if (!turn) return;
  turn->over = true;
  end(*turn, now);
}

void TaskRecord::read_into(TaskFigures& figures) const noexcept {
  work_.read_into(figures.work);
  figures.migrations = migrations_.get();
  figures.aside_ns = aside_ns_.get();
  figures.longest_aside_ns = longest_aside_ns_.get();
}

void TaskRecord::reset() noexcept {
  work_.reset();
  for (LaneCounter* counter : {&migrations_, &aside_ns_, &longest_aside_ns_}) counter->reset();
  last_core_ = coro::max_cores;
}

// The task may run on another core, or have ended, before this has gone on.
void TaskRecord::run(void* frame) noexcept {
  TaskRecord& record = *static_cast<Door*>(frame)->record;
  Executor& core = Executor::current();
  Runnable& task = *record.task_;
  Turn turn;
  {
    const coro::PreemptionOff section{&core};
    const bool in_frames = task.strand->lane() >= first_reservation_lane;
    record.begin(turn, core.index(), in_frames, hal::now_ns());
  }
  task.resume();
  core.begin_suspension();
  if (!turn.over) record.end(turn, hal::now_ns());
}

TaskWatches::~TaskWatches() {
  for (auto& record : records_) delete record.load(std::memory_order_relaxed);
}

Result<TaskRecord*> TaskWatches::take(std::string_view name, const Strand& strand) noexcept {
  const TaskName kept = format<32>("{}", name);
  // Made ahead of the lock; no longer needed where one of that name is there.
  const bool room = used_.load(std::memory_order_relaxed) < max_watched_tasks;
  std::unique_ptr<TaskRecord> made{room ? new (std::nothrow) TaskRecord : nullptr};
  coro::SpinGuard guard{lock_};
  const std::uint32_t used = used_.load(std::memory_order_relaxed);
  TaskRecord* record = nullptr;
  for (std::uint32_t i = 0; i < used; ++i) {
    TaskRecord* other = records_[i].load(std::memory_order_relaxed);
    if (other->strand_) continue;
    if (!record || other->generation_ < record->generation_) record = other;
    if (other->name_ != kept.view()) continue;
    record = other;
    break;
  }
  const bool same_name = record && record->name_ == kept.view();
  if (made && !same_name && used < max_watched_tasks) {
    record = made.release();
    record->number_ = used + 1;
    records_[used].store(record, std::memory_order_release);
    used_.store(used + 1, std::memory_order_release);
  }
  if (!record) return room ? Error::no_memory : Error::limit_reached;
  record->generation_ = ++generations_;
  record->strand_ = &strand;
  record->name_ = kept;
  record->spawned_at_ = strand.spawned_at;
  record->reset();
  return record;
}

void TaskWatches::give_back(TaskRecord& record) noexcept {
  coro::SpinGuard guard{lock_};
  record.strand_ = nullptr;
  record.generation_ = ++generations_;
}

Runnable& TaskWatches::door_of(Runnable& task) noexcept {
  TaskRecord& record = of(*task.strand);
  record.task_ = &task;
  record.woken(hal::now_ns());
  record.door_.frame.runnable.strand = task.strand;
  return record.door_.frame.runnable;
}

// In the same order as if it were not watched.
void TaskWatches::make_ready(coro::Core* here, Runnable& task, Order order) noexcept {
  const Strand& strand = *task.strand;
  coro::Core* pinned = strand.pinned();
  Executor& core = executor_of(here && (!pinned || pinned == here) ? here : pinned);
  Runnable& door = core.machine().task_watches().door_of(task);
  if (&core != here) return core.post(door);
  const std::uint32_t home = strand.home_unwatched();
  const bool is_here = home == core.home(), is_pinned = home == core.pinned_home();
  if (!is_here && !is_pinned) return core.make_ready(door, order);
  if (order == Order::next) return core.push_next(door);
  if (is_pinned) return core.push_pinned(door);
  if (order == Order::forked) return core.push_fork(door);
  core.push(door);
}

void TaskWatches::post(coro::Core* core, Runnable& task) noexcept {
  Executor& executor = executor_of(core);
  executor.post(executor.machine().task_watches().door_of(task));
}

TaskName TaskWatches::name_of(const Strand& strand) const noexcept {
  const std::uint32_t number = strand.watch();
  if (number == 0) return {};
  coro::SpinGuard guard{lock_};
  const TaskRecord& record = *records_[number - 1].load(std::memory_order_relaxed);
  return record.strand_ == &strand ? record.name_ : TaskName{};
}

bool TaskWatches::read(std::uint32_t index, TaskFigures& figures) const noexcept {
  if (index >= used_.load(std::memory_order_acquire)) return false;
  const TaskRecord& record = *records_[index].load(std::memory_order_relaxed);
  // Anew if it was given to another task meanwhile.
  for (std::uint64_t generation = 0;;) {
    {
      coro::SpinGuard guard{lock_};
      if (generation == record.generation_) return true;
      generation = record.generation_;
      figures.name = record.name_;
      figures.spawned_at = record.spawned_at_;
      figures.watched = record.strand_ != nullptr;
    }
    figures.work = {};
    record.read_into(figures);
  }
}

WatchedTask::WatchedTask(WatchedTask&& other) noexcept
    : record_{std::exchange(other.record_, nullptr)}, strand_{other.strand_} {}

WatchedTask::~WatchedTask() {
  if (!record_) return;
  Machine& machine = Machine::current();
  const coro::PreemptionOff section;
  record_->finish(hal::now_ns());
  strand_->set_watch(0);
  machine.task_watches().give_back(*record_);
}

TaskFigures WatchedTask::figures() const noexcept {
  TaskFigures figures{.name = Machine::current().task_watches().name_of(*strand_),
                      .spawned_at = strand_->spawned_at,
                      .work = {}};
  record_->read_into(figures);
  return figures;
}

Task<Result<WatchedTask>> watch_task(std::string_view name) {
  TaskWatches& watches = Machine::current().task_watches();
  Strand& strand = *coro::this_core()->current();
  if (strand.watch() != 0) co_return Error::invalid_state;
  TaskRecord* record = CO_TRY(watches.take(name, strand));
  WatchedTask watched{*record, strand};
  strand.set_watch(record->number());
  co_await coro::yield();
  co_return watched;
}

void for_each_watched_task(Machine& machine, base::FunctionRef<void(const TaskFigures&)> visit) {
  TaskFigures figures;
  for (std::uint32_t i = 0; machine.task_watches().read(i, figures); ++i) visit(figures);
}

}  // namespace lichen::sched

#pragma clang attribute pop

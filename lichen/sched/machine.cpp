#include "lichen/sched/machine.hpp"

#include <algorithm>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::sched {

namespace {

// The machine that hooks::post() uses when the caller does not say which core.
constinit std::atomic<Machine*> the_machine{nullptr};

// Memory of threads that are no cores.
struct Boot {
  mem::Account account;
  mem::Heap heap{account};
  std::atomic<bool> locked{false};
};
Boot& boot() noexcept {
  static Boot* const instance = new Boot;  // outlives everything that may free into it
  return *instance;
}
class BootGuard {
 public:
  BootGuard() noexcept {
    while (boot().locked.exchange(true, std::memory_order_acquire)) hal::yield_to_host();
  }
  ~BootGuard() { boot().locked.store(false, std::memory_order_release); }
};

bool can_be(const MachineOptions& options) noexcept {
  using Options = MachineOptions;
  return (options.preemption || !options.realtime) &&
         options.first_look >= Options::least_first_look && options.poll.count() >= 0 &&
         options.stuck_after.count() >= 0 &&
         (!options.preemption || options.stack_size >= Options::least_stack_size);
}

}  // namespace

Executor* any_executor() noexcept {
  Machine* machine = the_machine.load();
  return machine ? &machine->core(0) : nullptr;
}
Executor& executor_of(coro::Core* core) noexcept {
  auto* executor = core ? static_cast<Executor*>(core) : any_executor();
  if (!executor) coro::hooks::fatal("a task was woken, but no machine runs");
  return *executor;
}

void* boot_allocate(std::size_t size) noexcept {
  BootGuard guard;
  return boot().heap.allocate(size);
}
void boot_free(void* block, std::size_t size) noexcept {
  BootGuard guard;
  boot().heap.free(block, size);
}

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

Machine::Machine(const MachineOptions& options) noexcept
    : options_{options},
      account_{options.memory_limit},
      registry_{options.schedule},
      placement_{options.placement ? *options.placement : default_placement()},
      moves_work_{placement_.moves_work()},
      active_cores_{options.cores} {}

Result<std::unique_ptr<Machine>> Machine::create(const MachineOptions& requested) {
  MachineOptions options = requested;
  if (options.cores == 0) options.cores = std::min(hal::core_count_available(), max_cores);
  if (options.cores > max_cores) return Error::out_of_range;
  if (!can_be(options)) return Error::invalid_argument;
  Machine* nobody = nullptr;
  std::unique_ptr<Machine> machine{new (std::nothrow) Machine{options}};
  if (!machine) return Error::no_memory;
  if (!the_machine.compare_exchange_strong(nobody, machine.get())) {
    return Error::already_exists;
  }
  if (options.preemption)
    machine->stacks_ = TRY(
        hal::StackPool::create(std::size_t{options.stacks} * options.cores, options.stack_size));
  // A core that may be moved from processor to processor has no capacity of its own.
  const bool known = options.pin && options.cores <= hal::core_count_available();
  for (unsigned i = 0; i < options.cores; ++i)
    machine->executors_.push_back(std::make_unique<Executor>(
        *machine, i, known ? hal::core_capacity(i) : full_capacity, machine->account_));
  TRY(machine->set_roles(options.roles));
  machine->sources_.resize(options.cores);
  return machine;
}

Machine::~Machine() {
  Machine* self = this;
  the_machine.compare_exchange_strong(self, nullptr);
  // A core's cache holds frames from other cores' heaps, which are still there.
  for (auto& executor : executors_) executor->frames().flush();
}

Result<void> Machine::run(Task<Result<void>> main) {
  auto make = [](unsigned core) -> Result<std::unique_ptr<EventSource>> {
    return std::unique_ptr<EventSource>{std::make_unique<HalEvents>(core)};
  };
  return run(std::move(main), make);
}

Result<void> Machine::run(Task<Result<void>> main, MakeEventSource make_events) {
  if (!main.has_frame()) return Error::no_memory;
  Result<void> outcome = Error::no_memory;
  auto task = run_main(*this, std::move(main), outcome);
  if (!task.has_frame()) return Error::no_memory;
  main_ = &task;
  make_events_ = &make_events;
  started_ns_ = hal::now_ns();
  not_started_.store(cores(), std::memory_order_relaxed);
  not_finished_.store(cores(), std::memory_order_relaxed);
  // Set before a second thread runs tasks, and unset after it has ended.
  coro::cores_share = cores() > 1;
  TRY(hal::register_fault_handler(&Executor::on_fault));
  if (options_.preemption) TRY(start_interrupts());
  auto entry = [this](unsigned core) { run_core(core); };
  const Result<void> started = hal::start_cores(
      {.count = cores(), .pin = options_.pin, .urgency = options_.realtime}, entry);
  for (auto& executor : executors_) executor->end_stand_ins();
  coro::cores_share = false;
  end_interrupts();
  hal::register_fault_handler(nullptr).ignore();
  if (hal::has_urgency && started.failed_with(Error::access_denied))
    base::log::error(
        "real-time threads are refused: run as root, or where 'ulimit -r' says 2 or more, or "
        "without --realtime");
  if (!started) return started.error();
  if (const Error failure = failure_.load(); failure != Error{}) return failure;
  return outcome;
}

Result<void> Machine::start_interrupts() noexcept {
  TRY(hal::register_interrupt(hal::Interrupt::preempt, &Executor::on_interrupt));
  TRY(hal::register_interrupt(hal::Interrupt::deadline, &Executor::on_interrupt));
  TRY(hal::register_interrupt(hal::Interrupt::device, &Executor::on_interrupt));
  preempts_ = true;
  return {};
}

void Machine::end_interrupts() noexcept {
  if (!std::exchange(preempts_, false)) return;
  hal::register_interrupt(hal::Interrupt::preempt, nullptr).ignore();
  hal::register_interrupt(hal::Interrupt::deadline, nullptr).ignore();
  hal::register_interrupt(hal::Interrupt::device, nullptr).ignore();
}

#pragma clang attribute pop

bool Machine::take_stand_in() noexcept {
  if (stand_ins_.fetch_add(1, std::memory_order_relaxed) < options_.stand_ins) return true;
  put_stand_in();
  return false;
}

unsigned Machine::band_of(const Lane& lane) noexcept {
  switch (lane.kind) {
    case LaneKind::event: return event_band;
    case LaneKind::frame:
      if (!lane.exhausted) return frame_band;
      [[fallthrough]];
    case LaneKind::fair: break;
  }
  return first_bucket_band + bucket_of(lane.group->foreground(), lane.qos);
}

unsigned Machine::band_of(const coro::Runnable& runnable) noexcept {
  return runnable.strand ? band_of(runnable.strand->lane()) : event_band;
}

LaneId Machine::lane_of_caller() noexcept {
  const coro::Strand* strand = coro::this_core()->current();
  const LaneId lane = strand ? coro::own_lane(*strand) : coro::default_lane;
  return current().fair_lane(lane);
}

LaneId Machine::fair_lane(LaneId lane) noexcept {
  if (lane < first_reservation_lane) return lane;
  const Reservation* reservation = registry_.reservation_of(lane);
  return reservation ? reservation->group().lane(Qos::user_interactive) : coro::default_lane;
}

unsigned Machine::band_of(LaneId lane) noexcept {
  if (lane == coro::event_lane) return event_band;
  if (lane >= first_reservation_lane) return frame_band;
  const Group* group = registry_.group_of(lane);
  const auto qos = static_cast<Qos>((lane - 1) % qos_count);
  return first_bucket_band + bucket_of(!group || group->foreground(), qos);
}

Task<Result<void>> Machine::run_main(Machine& machine, Task<Result<void>> main,
                                     Result<void>& outcome) {
  outcome = co_await std::move(main);
  // Nothing else runs: whatever main started has ended before it.
  machine.stop_cores();
  co_return Result<void>{};
}

void Machine::run_core(unsigned index) noexcept {
  Executor& executor = *executors_[index];
  coro::set_this_core(&executor);
  if (auto source = (*make_events_)(index)) {
    sources_[index] = std::move(*source);
  } else {
    failure_.store(source.error());
    stopping_.store(true);
  }
  meet(not_started_, index);
  if (!stopping_.load()) {
    if (index == 0) root_.spawn(std::move(*main_));
    executor.run_loop(*sources_[index]);
  }
  // A core may be about to wake another one's event source until all have left their loops.
  meet(not_finished_, index);
  sources_[index].reset();
  coro::set_this_core(nullptr);
}

void Machine::meet(std::atomic<unsigned>& missing, unsigned core) noexcept {
  if (missing.fetch_sub(1) == 1) {
    for (unsigned other = 0; other < cores(); ++other)
      if (other != core) hal::wake(other);
    return;
  }
  while (missing.load() != 0) hal::wait(core, coro::no_deadline);
}

void Machine::stop_cores() noexcept {
  stopping_.store(true, std::memory_order_seq_cst);
  for (auto& executor : executors_) executor->notify();
}

void Machine::request_stop() noexcept {
  if (!stop_requested_.exchange(true)) executors_[0]->post(stop_request_.frame.runnable);
}

void Machine::stop_root(void* frame) noexcept {
  static_cast<StopRequest*>(frame)->machine->root_.request_stop();
}

void Machine::announce_idle(unsigned core) noexcept {
  idle_.fetch_or(std::uint64_t{1} << core, std::memory_order_seq_cst);
  for (auto& executor : executors_)
    if (executor->index() != core) executor->set_hungry(true);
}

void Machine::retract_idle(unsigned core) noexcept {
  idle_.fetch_and(~(std::uint64_t{1} << core), std::memory_order_relaxed);
}

void Machine::ask_for_work(unsigned idle_core) noexcept {
  if (moves_work_) return;  // it is not for the idle core to decide
  for (auto& executor : executors_)
    if (executor->index() != idle_core && executor->ready_seen_.load(std::memory_order_relaxed) > 1)
      return executor->interrupt();
}

}  // namespace lichen::sched

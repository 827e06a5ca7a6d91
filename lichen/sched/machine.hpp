// Machine: the cores of one Lichen instance and the life of its main task.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/loan.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/mem/account.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/placement.hpp"
#include "lichen/sched/task_watch.hpp"

namespace lichen::sched {

struct MachineOptions {
  unsigned cores = 1;  // 0: as many as the process may use; at most 64
  bool pin = true;     // bind each core to a processor where there are enough
  // A core that ran out of work looks for more that long before it sleeps, as long as that pays
  // off: waking a sleeping core costs 11 to 25 us on a virtual machine.
  coro::Duration poll = std::chrono::microseconds{50};
  std::size_t memory_limit = SIZE_MAX;  // bytes of coroutine frames and runtime objects
  // A task that runs while something else has its turn is interrupted, and set aside with its
  // stack.
  bool preemption = true;
  // Frames run before other processes of the host: while they do, and while a core waits for them,
  // its thread is a real-time one (SCHED_FIFO). Wants preemption, and the right to such threads:
  // CAP_SYS_NICE, or an RLIMIT_RTPRIO of 2; else run() yields access_denied. Where nothing but the
  // machine runs it changes nothing.
  bool realtime = false;
  // A task that computes alone is looked at after this time, and then ever later, up to 16 times as
  // late: what comes up meanwhile interrupts it by itself, but for what a host keeps to itself.
  coro::Duration first_look = std::chrono::milliseconds{4};
  unsigned stacks = 64;                 // of each core, for tasks that were set aside
  std::size_t stack_size = 256 * 1024;  // bytes of each; a page takes memory when it is touched
  // For so long a task may keep its core in a call of the host's; then the core goes on on another
  // thread, if the call is one in which that can be done (docs/decisions/stuck-workers.md). 0:
  // never.
  coro::Duration stuck_after = std::chrono::milliseconds{10};
  unsigned stand_ins = 64;  // such threads, of all cores, at most
  ScheduleParameters schedule = {};
  // Which core does what; MUST outlive the machine. Null: spread.
  const Placement* placement = nullptr;
  // What the first cores are kept for; core 0 is of role app, and so are those not named.
  std::span<const CoreRole> roles = {};

  // With less a core would do nothing but look, or a task that is set aside overrun its stack at
  // once.
  static constexpr coro::Duration least_first_look = std::chrono::microseconds{100};
  static constexpr std::size_t least_stack_size = 16 * 1024;
};

// Makes the event source of a core; called on the core's own thread.
using MakeEventSource = base::FunctionRef<Result<std::unique_ptr<EventSource>>(unsigned core)>;

// What tasks have lent each other.
class Loans {
 public:
  explicit Loans(Machine& machine) noexcept : machine_{machine} {}
  void lend(coro::Loan& loan, coro::Strand& to, coro::Lent lent) noexcept;
  void take_back(coro::Loan& loan) noexcept;
  bool raise(coro::Strand& strand, coro::Lent lent) noexcept;
  [[nodiscard]] LaneId own_lane(const coro::Strand& strand) noexcept;
  [[nodiscard]] coro::Lent lent_lane(const coro::Strand& strand) noexcept;
  void set_own_lane(coro::Strand& strand, LaneId lane) noexcept;
  // To those for whom the debtors wait, and so on. Between two tasks, or where one was interrupted:
  // no lock is held.
  void pass_on() noexcept;

 private:
  [[nodiscard]] unsigned band_of(LaneId lane) noexcept;
  // The strand goes on in another lane, or in the event lane where that is a reservation which
  // means nothing where the strand is. True if it was ready, on this core.
  bool move(coro::Strand& strand, LaneId& lane) noexcept
      __attribute__((requires_capability(lock_)));
  // Locks and returns the debtor of a loan that is still to be passed on; null: there is none.
  coro::Strand* lock_debtor(coro::Lent& lent) noexcept;

  // By debtor, so that thousands cost no more than a few; those still to be passed on stand first.
  using List = base::List<coro::Loan, &coro::Loan::node>;
  [[nodiscard]] List& loans_to(const coro::Strand& debtor) noexcept;
  void set_passed_on(coro::Loan& loan, bool passed_on) noexcept
      __attribute__((requires_capability(lock_)));

  Machine& machine_;
  coro::SpinLock lock_;
  std::array<List, 256> loans_;
};

class Machine {
 public:
  static constexpr unsigned max_cores = coro::max_cores;

  // Errors: out_of_range (more than max_cores), invalid_argument (an option that makes no sense),
  // already_exists (another machine lives), no_memory.
  static Result<std::unique_ptr<Machine>> create(const MachineOptions& options);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  // Runs `main` to its end on all cores, core 0 being the calling thread, and yields its outcome.
  // Once.
  Result<void> run(Task<Result<void>> main, MakeEventSource make_events);
  // The same with cores that sleep in the HAL: no I/O.
  Result<void> run(Task<Result<void>> main);
  // Asks the main task to stop, from any thread; run() returns when it has.
  void request_stop() noexcept;

  // The machine of the calling core. MUST be called on a core.
  static Machine& current() noexcept { return Executor::current().machine_; }

  [[nodiscard]] unsigned cores() const noexcept { return static_cast<unsigned>(executors_.size()); }
  [[nodiscard]] Executor& core(unsigned index) noexcept { return *executors_[index]; }
  [[nodiscard]] mem::Account& account() noexcept { return account_; }
  [[nodiscard]] Registry& registry() noexcept { return registry_; }
  // The lease: from now on only the first `count` cores take work that may move. The others go on
  // serving what is bound to them: pinned tasks, tasks that were set aside in the middle,
  // reservations, their timers and I/O; whatever else they have or get moves to the cores of the
  // lease at their next look, at the latest after a batch of tasks. So nothing is lost, and a core
  // to which nothing is bound sleeps. From any task. Errors: out_of_range (0, or more than
  // cores()).
  Result<void> set_active_cores(unsigned count) noexcept;
  [[nodiscard]] unsigned active_cores() const noexcept {
    return active_cores_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const Placement& placement() const noexcept { return placement_; }
  // The first core of a role; where there is none, core 0.
  [[nodiscard]] Executor& core_of(CoreRole role) noexcept;
  // For a new reservation; `refused`: a bit for each core that cannot take it. Null: none can.
  Executor* core_for_frames(const FrameWork& work, std::uint64_t refused) noexcept;
  // Where some of what waits on `core` is to go: of a lane, or of all. Null: it stays.
  Executor* lighter_core(unsigned core, LaneId lane, std::uint64_t now) noexcept;
  Executor* lighter_core(unsigned core, std::uint64_t now) noexcept;
  // Null where nothing is preempted.
  [[nodiscard]] hal::StackPool* stacks() noexcept { return stacks_.get(); }
  [[nodiscard]] bool preempts() const noexcept { return preempts_; }
  [[nodiscard]] bool realtime() const noexcept {
    return hal::has_urgency && options_.realtime && preempts_;
  }
  [[nodiscard]] std::uint64_t first_look_ns() const noexcept {
    return static_cast<std::uint64_t>(options_.first_look.count());
  }
  // 0: never.
  [[nodiscard]] std::uint64_t stuck_after_ns() const noexcept {
    return static_cast<std::uint64_t>(options_.stuck_after.count());
  }
  // Of the threads that stand in for others; false: there are as many as there may be.
  [[nodiscard]] bool take_stand_in() noexcept;
  void put_stand_in() noexcept { stand_ins_.fetch_sub(1, std::memory_order_relaxed); }
  // How urgent a lane is, see qos.hpp: 0 is the most urgent. On any thread.
  [[nodiscard]] unsigned band_of(const Lane& lane) noexcept;
  [[nodiscard]] unsigned band_of(const coro::Runnable& runnable) noexcept;
  [[nodiscard]] unsigned band_of(LaneId lane) noexcept;
  // The lane in which others may work for the running task: its own, or for one with a reservation,
  // which is its alone, the most urgent of its group.
  static LaneId lane_of_caller() noexcept;
  // The same for a lane.
  [[nodiscard]] LaneId fair_lane(LaneId lane) noexcept;
  [[nodiscard]] Loans& loans() noexcept { return loans_; }
  [[nodiscard]] TaskWatches& task_watches() noexcept { return task_watches_; }
  [[nodiscard]] std::uint64_t started_ns() const noexcept { return started_ns_; }
  // The scope of the main task: the root of everything that runs.
  [[nodiscard]] Scope& root() noexcept { return root_; }

 private:
  friend class Executor;
  explicit Machine(const MachineOptions& options) noexcept;

  void run_core(unsigned index) noexcept;
  void stop_cores() noexcept;
  // All cores meet: nobody goes on before the last has come.
  void meet(std::atomic<unsigned>& missing, unsigned core) noexcept;
  static Task<Result<void>> run_main(Machine& machine, Task<Result<void>> main,
                                     Result<void>& outcome);
  // Idle cores announce themselves; whoever has surplus work wakes one of them.
  void announce_idle(unsigned core) noexcept;
  void retract_idle(unsigned core) noexcept;
  [[nodiscard]] bool others_idle(unsigned core) const noexcept {
    return (idle_.load(std::memory_order_relaxed) & usable_.load(std::memory_order_relaxed) &
            ~(std::uint64_t{1} << core)) != 0;
  }
  // An idle core for `work` that `from` has, to which nobody else gives any; null: there is none.
  Executor* take_idle_core(unsigned from, const Work& work, std::uint64_t now) noexcept;
  // Whose work an idle core takes; null: nobody's.
  Executor* victim_of(unsigned thief, std::uint64_t now) noexcept;
  // Where work that is on `core` had better be; null: there.
  Executor* better_core(unsigned core, const Work& work, std::uint64_t now) noexcept;

  class View;
  Result<void> set_roles(std::span<const CoreRole> roles) noexcept;
  void set_usable(std::uint64_t lease) noexcept;
  [[nodiscard]] bool is_usable(unsigned core) const noexcept {
    return usable_.load(std::memory_order_relaxed) >> core & 1;
  }
  // The core has to ask where its work had better be.
  [[nodiscard]] bool is_restless(unsigned core) const noexcept {
    return restless_.load(std::memory_order_relaxed) >> core & 1;
  }
  [[nodiscard]] bool moves_work() const noexcept { return moves_work_; }
  // Makes a core look for idle ones that is in the middle of a task and has others ready.
  void ask_for_work(unsigned idle_core) noexcept;

  Result<void> start_interrupts() noexcept;
  void end_interrupts() noexcept;

  MachineOptions options_;
  mem::Account account_;
  Registry registry_;
  std::unique_ptr<hal::StackPool> stacks_;
  bool preempts_ = false;
  std::atomic<unsigned> stand_ins_{0};
  Loans loans_{*this};
  TaskWatches task_watches_;
  std::vector<std::unique_ptr<Executor>> executors_;
  std::vector<std::unique_ptr<EventSource>> sources_;
  Scope root_{Scope::Shielded{}};
  std::uint64_t started_ns_ = 0;

  const Placement& placement_;
  const bool moves_work_;
  std::array<CoreRole, max_cores> roles_{};
  std::uint64_t app_cores_ = ~std::uint64_t{0};
  coro::SpinLock lease_lock_;
  std::atomic<unsigned> active_cores_{0};
  std::atomic<std::uint64_t> usable_{~std::uint64_t{0}};  // a bit for each core, seldom written
  std::atomic<std::uint64_t> restless_{0};

  alignas(64) std::atomic<std::uint64_t> idle_{0};  // a bit for each idle core
  alignas(64) std::atomic<bool> stopping_{false};
  std::atomic<unsigned> not_started_{0};   // cores whose event source is still being made
  std::atomic<unsigned> not_finished_{0};  // cores that have not left their loop
  std::atomic<Error> failure_{Error{}};
  // request_stop() travels to core 0 as work of its own, since only cores may touch the tree of
  // tasks.
  struct StopRequest {
    coro::ResumeFrame frame;
    Machine* machine;
  };
  static void stop_root(void* frame) noexcept;
  StopRequest stop_request_{{&stop_root}, this};
  std::atomic<bool> stop_requested_{false};
  const MakeEventSource* make_events_ = nullptr;
  Task<Result<void>>* main_ = nullptr;
};

// The machine's core 0, for wakes from threads that are no cores; null while no machine runs.
Executor* any_executor() noexcept;
// Who runs what is woken for `core`; null: for any. Ends the program where no machine runs.
Executor& executor_of(coro::Core* core) noexcept;
// Frames of tasks that are made outside any core, such as the main task's.
void* boot_allocate(std::size_t size) noexcept;
void boot_free(void* block, std::size_t size) noexcept;

// Moves the running task to another core; nothing to do if it runs there already. A hint: unless it
// is pinned, an idle core may take it on the way. io::StayOn binds it for as long as it must stay.
class MoveTo {
 public:
  explicit MoveTo(Executor& target) noexcept : target_{target} {}
  [[nodiscard]] bool await_ready() const noexcept { return coro::this_core() == &target_; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
    coro::this_preemption()->begin_suspension();
    coro::hooks::post(&target_, handle.promise());
  }
  static void await_resume() noexcept {}

 private:
  Executor& target_;
};
inline MoveTo move_to(Executor& target) noexcept { return MoveTo{target}; }

}  // namespace lichen::sched

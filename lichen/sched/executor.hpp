// Executor: the loop of one core. Asks the schedule whose turn it is, runs a batch of that lane's
// tasks, looks for events, and sleeps when there is nothing to do.
//
// The lane that has its turn is installed: its queues are the core's own (Core::here_), so that
// what its tasks do among each other costs as if there were no other lanes. Ready work of that lane
// lies in: the wake slot (here_.next), the stack of forks, the queue of pinned tasks, and for tasks
// that may move, oldest first, the batch in hand (batch_), the ring of published batches that other
// cores may take (ring_), the private queue (here_.ready). On a single core neither batches nor
// ring are used and no atomic read-modify-write is executed.
//
// A task that does not come back is preempted (preempt.cpp).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/coro/core.hpp"
#include "lichen/coro/strand.hpp"
#include "lichen/mem/heap.hpp"
#include "lichen/sched/batch_ring.hpp"
#include "lichen/sched/event_source.hpp"
#include "lichen/sched/frame_cache.hpp"
#include "lichen/sched/frame_wait.hpp"
#include "lichen/sched/hal_events.hpp"
#include "lichen/sched/inbox.hpp"
#include "lichen/sched/placement.hpp"
#include "lichen/sched/schedule.hpp"
#include "lichen/sched/stall.hpp"
#include "lichen/sched/trace_ring.hpp"
#include "lichen/sched/watch.hpp"
#include "lichen/sched/worker.hpp"

namespace lichen::sched {

class Machine;

// What a core has done since its start. Written by the core, read by anyone.
struct CoreStatistics {
  std::uint64_t tasks_run = 0;    // resumptions
  std::uint64_t batches = 0;      // rounds of the loop
  std::uint64_t stolen = 0;       // batches taken from other cores
  std::uint64_t published = 0;    // batches offered to other cores
  std::uint64_t posted = 0;       // Runnables that came from other threads
  std::uint64_t parks = 0;        // times the core slept
  std::uint64_t interrupts = 0;   // preempting, deadline and device interrupts
  std::uint64_t called = 0;       // preempting interrupts that were sent to it
  std::uint64_t preemptions = 0;  // tasks set aside in the middle
  std::uint64_t retries = 0;      // interrupts that came where no task may be set aside
  std::uint64_t no_stack = 0;     // preemptions that were given up for want of a stack
  std::uint64_t replaced = 0;     // times the core went on while the host kept its thread
  // Where frames are reserved: kept from tasks by a host that does not say so, as far as is known.
  std::uint64_t unseen_ns = 0;
  std::uint64_t withheld_ns = 0;  // there: interrupts waited for code that must not be left
  std::uint64_t timers_fired = 0;
  std::uint64_t ready = 0;   // Runnables that wait for the core now
  std::uint64_t timers = 0;  // timers set now
};

// Tasks of each lane that a core has, as of a look of its own: a hint for the placement. Lanes may
// share a count.
class LaneLoads {
 public:
  [[nodiscard]] std::size_t of(LaneId lane) const noexcept {
    return counts_[lane % slots].load(std::memory_order_relaxed);
  }
  void set(LaneId lane, std::size_t tasks) noexcept {
    counts_[lane % slots].store(static_cast<std::uint32_t>(tasks), std::memory_order_relaxed);
  }
  void clear() noexcept {
    for (auto& count : counts_) count.store(0, std::memory_order_relaxed);
  }

 private:
  static constexpr unsigned slots = 64;
  std::array<std::atomic<std::uint32_t>, slots> counts_{};
};

class Executor final : public coro::Core {
 public:
  Executor(Machine& machine, std::uint32_t index, std::uint32_t capacity,
           mem::Account& account) noexcept;

  // The calling thread's executor. MUST be called on a core.
  static Executor& current() noexcept { return static_cast<Executor&>(*coro::this_core()); }

  // Runs until the machine stops. On the core's own thread.
  void run_loop(EventSource& events) noexcept;

  // Makes a Runnable ready here, from any thread.
  void post(coro::Runnable& runnable) noexcept;
  void post_stop(coro::Strand& strand) noexcept;
  // Ends the core's sleep, from any thread. False if it did not sleep.
  bool notify() noexcept;
  // Makes the core look whose turn it is, though a task runs there. From any thread.
  void interrupt() noexcept;
  // Lets the host go on with whatever holds up this core, the calling one.
  void wait_for_the_host() noexcept;
  // Called when a queue has reached the sharing threshold.
  void share() noexcept;
  // A Runnable for this core, the calling one, that is not in the installed lane.
  void make_ready(coro::Runnable& runnable, coro::Order order) noexcept;

  // The running task may be set aside here, if something else has its turn: in the middle of code
  // that is no app text, in a machine without interrupts, or in a build whose sanitizer keeps them
  // back. Outside of any section; nothing to do on a thread that is no core.
  static void preemption_point() noexcept;
  // As coro::hooks::preempt(); `caller` is where the section was left.
  void preempt(std::uintptr_t caller) noexcept;
  // What the machine's interrupts do.
  static void on_interrupt(hal::Interrupt interrupt, hal::CoreId core) noexcept;
  // Says who it was; the host ends the process then.
  static void on_fault(const hal::Fault& fault) noexcept;

  // The latest interrupt of the core's timer that met a task where frames are reserved: when it was
  // to come at the earliest, and came. On this core.
  struct Alarm {
    std::uint64_t due_ns = 0;
    std::uint64_t came_ns = 0;
  };
  [[nodiscard]] Alarm latest_alarm() const noexcept { return alarm_; }

  // For loans: a strand whose lane has changed while it may be ready on this core. The strand may
  // have ended; it is only compared.
  struct Promotion {
    const coro::Strand* strand = nullptr;
    LaneId from = coro::default_lane;
    LaneId to = coro::default_lane;
  };
  // On this core: true if it was found and moved. On any thread: soon.
  bool promote(const Promotion& promotion) noexcept;
  void ask_to_promote(const Promotion& promotion) noexcept;
  // The same for all that have been hurried.
  void ask_to_sort_out() noexcept;
  // On this core, soon: Loans::pass_on().
  void will_pass_loans_on() noexcept {
    loans_to_pass_on_ = true;
    request_preemption();
  }

  [[nodiscard]] mem::Heap& heap() noexcept { return heap_; }
  [[nodiscard]] FrameCache& frames() noexcept { return frames_; }
  [[nodiscard]] EventSource& events() noexcept { return *events_; }
  [[nodiscard]] Schedule& schedule() noexcept { return schedule_; }
  [[nodiscard]] Machine& machine() noexcept { return machine_; }
  [[nodiscard]] CoreStatistics statistics() const noexcept;
  [[nodiscard]] Watch& watch() noexcept { return watch_; }
  [[nodiscard]] TraceRing& trace() noexcept { return trace_; }
  [[nodiscard]] StallMonitor& stalls() noexcept { return stalls_; }
  // What a task says of its frames. On this core, in the task.
  void frame_began(LaneId lane, std::uint64_t number, std::uint64_t due_ns,
                   std::uint64_t left_out) noexcept;
  void frame_done(LaneId lane, std::uint64_t number, std::uint64_t deadline_ns,
                  std::uint64_t now) noexcept;
  // Adds how many tasks of each band wait here for their turn. On this core, in a task.
  void count_ready(std::span<std::uint64_t, band_count> bands) noexcept;

 private:
  friend class Machine;
  friend struct Worker;
  friend class FrameWait;
  using Counter = std::atomic<std::uint64_t>;

  static constexpr unsigned batch_limit = 128;     // tasks between two looks at events and timers
  static constexpr unsigned wake_slot_limit = 16;  // consecutive picks of the wake slot
  static constexpr unsigned fork_limit = 256;      // consecutive picks of forks
  static constexpr std::uint32_t publish_at = 32;  // private tasks that make a batch for others
  static constexpr std::uint32_t hungry_at = 2;    // the same while another core is idle
  static constexpr unsigned hopeless_polls = 2;  // fruitless polls after which a core parks at once

  // How long a task may run while others of its lane wait.
  static constexpr std::uint64_t rotate_ns = 3'000'000;
  // How long a task runs before the core looks whether anything has come up meanwhile doubles while
  // nothing has (Machine::first_look_ns()).
  static constexpr unsigned look_doublings = 4;
  // Frames that wait, or may be due within the time that it can take, go before a look at the event
  // source, unless the latest was so long ago.
  static constexpr std::uint64_t most_unpolled_ns = 10'000'000;
  static constexpr std::uint64_t poll_ns = 150'000;
  // Where a core has to ask that events interrupt it, it does so for a task that has run that long.
  static constexpr std::uint64_t listen_after_ns = 1'000'000;
  // After one for which nothing was set aside none interrupts that task for so long: they may be
  // many.
  static constexpr std::uint64_t deaf_ns = 500'000;
  // A core that goes on on another thread comes back to its own after this time at the latest.
  static constexpr std::uint64_t stand_in_ns = 4'000'000;
  // The host takes a core for milliseconds: what ran for less was not interrupted by it.
  static constexpr std::uint64_t may_be_taken_after_ns = 1'000'000;
  static constexpr std::uint64_t least_taken_ns = 200'000;
  // A frame that is that long overdue to be looked at has left the host waiting for long enough.
  static constexpr std::uint64_t most_overrun_ns = 1'000'000;
  // So often the core's own time is read in any case, before something runs.
  static constexpr std::uint64_t read_own_ns = 5'000'000;
  // For so long a plan of looks holds for further batches, and a lone lane need not be charged.
  static constexpr std::uint64_t plan_for_ns = 200'000;
  // A task that had to be set aside, but for want of a stack, is looked at again after this time:
  // nothing of its own core gives one back before it ends.
  static constexpr std::uint64_t no_stack_ns = 1'000'000;
  // An interrupt that came at a bad moment is repeated after this time, which doubles as well.
  static constexpr std::uint64_t retry_ns = 20'000;
  static constexpr unsigned retry_doublings = 6;
  static constexpr unsigned urgent_retry_doublings = 2;  // while a frame may be due
  // A timer's interrupt that meets app text later than this was kept back by the host.
  static constexpr std::uint64_t alarm_jitter_ns = 200'000;
  // Setting the timer takes a small part of this, unless the host does something else meanwhile.
  static constexpr std::uint64_t most_arming_ns = 100'000;
  // To go on with a task and be interrupted again takes about as long: where frames are reserved a
  // core waits for a timer that is so near.
  static constexpr std::uint64_t near_ns = 30'000;

  enum class State : std::uint32_t { awake, parked };
  static constexpr std::uint8_t nothing_runs = 255;
  // What of the foreground's somebody waits for, or more urgent.
  static constexpr unsigned waited_for_band =
      first_bucket_band + bucket_of(true, Qos::user_initiated);

  // The loop.
  void loop() noexcept;
  void turn(std::uint64_t now) noexcept;
  void look_for_events(std::uint64_t now) noexcept;
  [[nodiscard]] bool is_to_poll(std::uint64_t now) noexcept;
  [[nodiscard]] bool is_to_wait(std::uint64_t now) noexcept;
  [[nodiscard]] bool frames_reserved() const noexcept {
    return schedule_.admission().admitted_ppm() != 0;
  }
  coro::Runnable* pick() noexcept;
  coro::Runnable* pick_shared() noexcept;
  coro::Runnable* pick_pinned() noexcept;
  coro::Runnable* take_batch() noexcept;
  template <bool traced>
  unsigned run_batch() noexcept;
  void take_posted() noexcept;
  void take_promotions() noexcept;
  static void sort_out(coro::LaneQueues& queues, LaneId lane, coro::RunQueue& pinned,
                       coro::RunQueue& others) noexcept;
  void sort_out_all() noexcept;
  bool steal() noexcept;
  void idle(unsigned ran) noexcept;
  void park() noexcept;
  [[nodiscard]] bool has_work() const noexcept;
  [[nodiscard]] bool has_turn_work() const noexcept { return batch_ || !here_.empty(); }
  // Would the lane that has its turn go on, if the running task ended?
  [[nodiscard]] bool others_of_turn() const noexcept { return has_turn_work() || !ring_.empty(); }

  // Lanes.
  void install(Lane& lane, std::uint64_t now) noexcept;
  void clock_the_host(std::uint64_t now) noexcept;
  // It is charged until here, or the host was asked what it had until here.
  [[nodiscard]] std::uint64_t looked_at_until() const noexcept {
    return std::max(charged_until_ns_, own_read_ns_);
  }
  void not_charged(std::uint64_t ns, std::uint64_t now) noexcept;
  void leave_out_of_frame(std::uint64_t now) noexcept;
  void leave_out_of_fair(std::uint64_t now) noexcept;
  // Of what the running lane is to be charged: what the host has had of it.
  void leave_out_the_host(std::uint64_t now) noexcept {
    if (!running_) return;
    if (lane_->kind == LaneKind::frame)
      leave_out_of_frame(now);
    else if (now - looked_at_until() >= may_be_taken_after_ns) [[unlikely]]
      leave_out_of_fair(now);
  }
  // What goes before other processes of the host, and from when on.
  [[nodiscard]] std::uint64_t next_frame() const noexcept;
  void rank_turn(std::uint64_t now) noexcept;
  void rank_poll() noexcept;
  void rank_rest() noexcept;
  void rank_overrun(std::uint64_t now) noexcept;
  void begin_own_time(std::uint64_t now) noexcept;
  void read_own_time(std::uint64_t now) noexcept;
  void note_own_time(std::uint64_t now) noexcept {
    if (now - own_read_ns_ >= read_own_ns) [[unlikely]]
      read_own_time(now);
  }
  void uninstall() noexcept;
  void put_back(std::uint64_t ran_ns, std::uint64_t now, bool work) noexcept;
  void leave_lane() noexcept;
  [[nodiscard]] Lane& lane_of(const coro::Runnable& runnable) noexcept;
  void queue(Lane& lane, coro::Runnable& runnable, bool pinned, coro::Order order) noexcept;
  [[nodiscard]] coro::LaneQueues& queues_of(Lane& lane) noexcept;
  void has_work_now(Lane& lane, std::uint64_t now) noexcept;
  coro::Runnable* take_out(Lane& lane, const coro::Strand& strand, bool& pinned) noexcept;
  [[nodiscard]] static bool stays(const coro::Runnable& runnable) noexcept;
  void push_local(coro::Runnable& runnable) noexcept;
  unsigned push_all(coro::Runnable* chain) noexcept;
  coro::Runnable* adopt(coro::Runnable& batch) noexcept;
  void offer_waiting_lane() noexcept;
  [[nodiscard]] std::uint64_t next_event(std::uint64_t now) noexcept;

  // Placement.
  [[nodiscard]] Work work_of(const Lane& lane, std::uint64_t now) const noexcept;
  void even_out(std::uint64_t now) noexcept;
  void give_away(Executor& other, Lane& lane, std::size_t count) noexcept;
  void take_out_empty_lanes(std::uint64_t now) noexcept;
  void relocate(std::uint64_t now) noexcept;
  void relocate(Lane& lane, coro::LaneQueues& queues, std::uint64_t now) noexcept;

  // Preemption.
  struct Preempted;
  [[nodiscard]] bool should_set_aside(std::uint64_t now) noexcept;
  void set_aside(Carrier& next, std::uint64_t now) noexcept;
  void look_again() noexcept;
  void reconsider() noexcept;
  [[nodiscard]] bool is_to_listen(std::uint64_t now) const noexcept;
  bool listen(std::uint64_t now) noexcept;
  void interrupted(hal::Interrupt interrupt) noexcept;
  void take_alarm() noexcept;
  void note_request() noexcept;
  void note_refusal() noexcept;
  void note_unseen(std::uint64_t now, std::uint64_t ns) noexcept;
  void plan_look(std::uint64_t now) noexcept;
  [[nodiscard]] bool hear(std::uint64_t now) noexcept;
  void hear_no_more() noexcept;
  void look_at(std::uint64_t deadline_ns) noexcept;
  void arm(std::uint64_t deadline_ns) noexcept;
  static void after_interrupt() noexcept;
  static void resume_preempted(void* frame) noexcept;
  static void bring_preempted_forward(coro::RunQueue& queue) noexcept;
  static bool is_preempted(coro::Runnable& runnable) noexcept;
  static void run_carrier(void* executor) noexcept;

  // Stuck in the host.
  [[nodiscard]] bool is_stuck(std::uint64_t now) noexcept;
  static void step_aside() noexcept;
  static void rejoin() noexcept;
  void leave_to_another() noexcept;
  Worker* idle_worker() noexcept;
  Preempted* returned_task() noexcept;
  Worker* make_stand_in() noexcept;
  void end_stand_ins() noexcept;
  void take_core() noexcept;
  void give_core(Worker& to, Carrier* task) noexcept;
  void hand_over(Worker& to, Carrier* task) noexcept;
  void take_returned() noexcept;
  void queue_set_aside(coro::Runnable& runnable) noexcept;

  // Sharing.
  void publish(coro::Runnable& batch) noexcept;
  bool publish_half_of(coro::RunQueue& queue) noexcept;
  void set_hungry(bool hungry) noexcept {
    share_at_.store(hungry ? hungry_at : publish_at, std::memory_order_relaxed);
  }
  [[nodiscard]] bool others_hungry() const noexcept {
    return share_at_.load(std::memory_order_relaxed) == hungry_at;
  }
  void look_for_idle_cores() noexcept;
  void wake_an_idle_core() noexcept;

  // Watching.
  void faulted(const hal::Fault& fault) noexcept;
  void look_for_stall(std::uint64_t since, std::uint64_t now, const coro::Strand* running,
                      std::uintptr_t at, bool others_waited) noexcept;
  void look_for_stall_in_handler(std::uint64_t now) noexcept;
  [[nodiscard]] TaskName name_of(const coro::Strand* strand) const noexcept;
  const coro::Strand* note_run(coro::Runnable& runnable) noexcept;
  void note(std::uint64_t now, TraceKind kind, const coro::Strand* strand,
            std::uint64_t argument) noexcept {
    trace_.record(now, kind, lane_->id, reinterpret_cast<std::uintptr_t>(strand), argument);
  }

  static void add(Counter& counter, std::uint64_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  Machine& machine_;
  EventSource* events_ = nullptr;
  HalEvents stand_in_events_{index_};
  std::atomic<EventSource*> active_events_{nullptr};  // where the core looks and sleeps
  Lane* lane_;                                        // installed
  bool running_ = false;                              // as far as the schedule knows
  bool loans_to_pass_on_ = false;
  bool usable_ = true;                        // takes work that may move, as far as it knows
  base::List<Lane, &Lane::waiting> waiting_;  // others that have work, in no order
  std::uint64_t charged_until_ns_ = 0;
  // While a frame lane has its turn: for how long the host has had the core, in all, and for how
  // long the lane has waited for other cores which the host has taken away.
  std::uint64_t host_ns_ = 0;
  std::uint64_t waited_ns_ = 0;
  // The core's own time as it was last read, when, and what the host had taken when that was asked.
  std::uint64_t own_ns_ = 0;
  std::uint64_t own_read_ns_ = 0;
  std::uint64_t taken_ns_ = 0;
  std::uint64_t waits_ = 0;  // of the thread, when what it had was last found to be less
  FrameWaits frame_waits_;
  bool idled_ = false;  // since it was read
  std::uint64_t batch_began_ns_ = 0;
  std::uint64_t polled_ns_ = 0;
  std::uint64_t put_off_poll_ns_ = 0;  // since then, for a near timer; 0: it is not
  coro::Runnable* batch_ = nullptr;
  unsigned wake_slot_picks_ = 0;
  unsigned fork_picks_ = 0;
  bool pinned_turn_ = false;
  bool stacks_are_few_ = false;  // when a task was set aside last
  unsigned fruitless_polls_ = 0;

  std::uint64_t plan_again_ns_ = 0;
  std::uint64_t decision_ns_ = coro::no_deadline;  // the schedule's, as of the latest plan
  std::uint64_t no_stack_until_ns_ = 0;  // for want of a stack it is left as it is until then
  volatile bool told_ = false;           // a device has interrupted, and nobody has looked since
  std::uint64_t deaf_until_ns_ = 0;      // for devices
  // When a task that still runs is to be interrupted, and when the timer will do so.
  std::uint64_t look_at_ns_ = coro::no_deadline;
  std::uint64_t armed_ns_ = coro::no_deadline;
  Alarm alarm_;
  std::uint64_t alarm_due_ns_ = 0;        // of the next; 0 where none are reserved
  std::uint64_t kept_when_armed_ns_ = 0;  // by the host, in all, before the next
  unsigned fruitless_looks_ = 0;
  // For a near timer the core has waited until then, and nothing has run since; 0: it has not.
  std::uint64_t wait_until_ns_ = 0;
  unsigned retries_in_a_row_ = 0;
  // The first interrupt that waits for a bad moment's end; 0: none.
  std::uint64_t refused_at_ns_ = 0;
  std::uintptr_t interrupted_at_ = 0;  // where the interrupted task goes on
  Worker home_;
  Worker* worker_ = &home_;  // whose thread is the core
  Worker* stand_ins_ = nullptr;
  hal::HostCall stuck_in_{};  // where the running task stood when it was first seen there
  const coro::Strand* stuck_strand_ = nullptr;
  std::uint64_t stuck_since_ns_ = 0;  // 0: in no call

  Schedule schedule_;
  std::uint64_t batch_tasks_ = 0;  // run since the watch was told
  TraceRing trace_;
  StallMonitor stalls_{index_};
  mem::Heap heap_;
  FrameCache frames_{heap_};

  alignas(64) BatchRing ring_;
  alignas(64) Inbox<coro::Runnable, &coro::Runnable::next> posted_;
  Inbox<coro::Strand, &coro::Strand::next_stop> stops_;
  Inbox<coro::Runnable, &coro::Runnable::next> returned_;  // from the host
  static constexpr std::size_t most_promotions = 8;
  coro::SpinLock promotions_lock_;
  std::atomic<bool> promotions_waiting_{false};
  std::size_t promotion_count_ = 0;
  std::array<Promotion, most_promotions> promotions_;
  alignas(64) std::atomic<State> state_{State::awake};
  std::atomic<std::uint8_t> running_band_{nothing_runs};
  // Of those that come from other cores and are not more urgent than what runs, the band of the
  // least urgent that interrupts it all the same, since no look of its own is soon; 0: none does.
  std::atomic<std::uint8_t> heard_band_{0};
  std::atomic<bool> interrupt_sent_{false};
  Counter called_{0};  // by those who send

  alignas(64) Counter tasks_run_{0};
  Counter batches_{0};
  Counter stolen_{0};
  Counter published_{0};
  Counter taken_{0};
  Counter parks_{0};
  Counter interrupts_{0};
  Counter preemptions_{0};
  Counter retries_{0};
  Counter no_stack_{0};
  Counter replaced_{0};
  Counter unseen_ns_{0};
  Counter withheld_ns_{0};
  Counter timers_fired_{0};
  Counter ready_seen_{0};    // what is ready, of lanes that wait for their turn each as one
  Counter waiting_seen_{0};  // tasks that wait, in all lanes: see even_out()
  LaneLoads lane_loads_;
  Utilisation utilisation_;
  Watch watch_;
};

}  // namespace lichen::sched

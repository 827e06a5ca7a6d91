// Executor: the loop of one core. Picks what is ready, looks for events between batches, sleeps
// when there is nothing to do.
//
// Ready work lies in: the wake slot (next_), the stack of forks (forks_), the queue of pinned tasks
// (pinned_), and for tasks that may move, oldest first, the batch in hand (batch_), the ring of
// published batches that other cores may take (ring_), the private queue (ready_). On a single core
// neither batches nor ring are used and no atomic read-modify-write is executed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "lichen/coro/core.hpp"
#include "lichen/coro/strand.hpp"
#include "lichen/mem/heap.hpp"
#include "lichen/sched/batch_ring.hpp"
#include "lichen/sched/event_source.hpp"
#include "lichen/sched/frame_cache.hpp"
#include "lichen/sched/inbox.hpp"

namespace lichen::sched {

class Machine;

// What a core has done since its start. Written by the core, read by anyone.
struct CoreStatistics {
  std::uint64_t tasks_run = 0;  // resumptions
  std::uint64_t batches = 0;    // rounds of the loop
  std::uint64_t stolen = 0;     // batches taken from other cores
  std::uint64_t published = 0;  // batches offered to other cores
  std::uint64_t posted = 0;     // Runnables that came from other threads
  std::uint64_t parks = 0;      // times the core slept
  std::uint64_t timers_fired = 0;
  std::uint64_t ready = 0;   // Runnables that wait for the core now
  std::uint64_t timers = 0;  // timers set now
};

class Executor final : public coro::Core {
 public:
  Executor(Machine& machine, std::uint32_t index, mem::Account& account) noexcept;

  // The calling thread's executor. MUST be called on a core.
  static Executor& current() noexcept { return static_cast<Executor&>(*coro::this_core()); }

  // Runs until the machine stops. On the core's own thread.
  void run_loop(EventSource& events) noexcept;

  // Makes a Runnable ready here, from any thread.
  void post(coro::Runnable& runnable) noexcept;
  void post_stop(coro::Strand& strand) noexcept;
  // Ends the core's sleep, from any thread.
  void notify() noexcept;
  // Called when the private queue has reached the sharing threshold.
  void share() noexcept;

  [[nodiscard]] mem::Heap& heap() noexcept { return heap_; }
  [[nodiscard]] FrameCache& frames() noexcept { return frames_; }
  [[nodiscard]] EventSource& events() noexcept { return *events_; }
  [[nodiscard]] CoreStatistics statistics() const noexcept;

 private:
  friend class Machine;
  using Counter = std::atomic<std::uint64_t>;

  static constexpr unsigned batch_limit = 64;      // tasks between two looks at events and timers
  static constexpr unsigned wake_slot_limit = 16;  // consecutive picks of the wake slot
  static constexpr unsigned fork_limit = 256;      // consecutive picks of forks
  static constexpr std::uint32_t publish_at = 32;  // private tasks that make a batch for others
  static constexpr std::uint32_t hungry_at = 2;    // the same while another core is idle
  static constexpr unsigned hopeless_polls = 2;  // fruitless polls after which a core parks at once

  enum class State : std::uint32_t { awake, parked };

  coro::Runnable* pick() noexcept;
  coro::Runnable* pick_shared() noexcept;
  unsigned run_batch() noexcept;
  void take_posted() noexcept;
  bool steal() noexcept;
  void idle() noexcept;
  void park() noexcept;
  [[nodiscard]] bool has_work() const noexcept;
  void publish(coro::Runnable& batch) noexcept;
  bool publish_half_of(coro::RunQueue& queue) noexcept;
  void set_hungry(bool hungry) noexcept {
    share_at_.store(hungry ? hungry_at : publish_at, std::memory_order_relaxed);
  }
  void look_for_idle_cores() noexcept;
  static void add(Counter& counter, std::uint64_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  Machine& machine_;
  EventSource* events_ = nullptr;
  coro::Runnable* batch_ = nullptr;
  unsigned wake_slot_picks_ = 0;
  unsigned fork_picks_ = 0;
  bool pinned_turn_ = false;
  unsigned fruitless_polls_ = 0;
  mem::Heap heap_;
  FrameCache frames_{heap_};

  alignas(64) BatchRing ring_;
  alignas(64) Inbox<coro::Runnable, &coro::Runnable::next> posted_;
  Inbox<coro::Strand, &coro::Strand::next_stop> stops_;
  alignas(64) std::atomic<State> state_{State::awake};

  alignas(64) Counter tasks_run_{0};
  Counter batches_{0};
  Counter stolen_{0};
  Counter published_{0};
  Counter taken_{0};
  Counter parks_{0};
  Counter timers_fired_{0};
  Counter ready_seen_{0};
};

}  // namespace lichen::sched

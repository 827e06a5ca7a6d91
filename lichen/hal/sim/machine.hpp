// The machine behind the sim world. Private to this folder.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/random.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/context.hpp"
#include "lichen/hal/linux/stacks.hpp"
#include "lichen/hal/sim/simulator.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::sim {

inline constexpr std::uint64_t never = no_deadline;
inline constexpr std::uint64_t no_value = never - 1;  // of an event

// Steps that the running core may take before it has to look around; a step counts it down.
inline constinit std::int64_t steps_left = 0;

struct SimCore {
  enum class State : std::uint8_t { ready, computing, waiting, ended };

  CoreId id = no_core;
  CoreModel model;
  State state = State::ready;
  std::uint64_t clock = 0;
  std::uint64_t until = never;     // computing: its end; waiting: its deadline
  std::uint64_t woken_at = never;  // a wake that has not ended a wait yet
  std::array<std::uint64_t, interrupt_count> arrives{};  // never: none on its way
  std::uint64_t spurious_at = never;                     // an interrupt for no reason
  unsigned off_depth = 0;
  std::uintptr_t interrupted = 0;
  void (*after)() noexcept = nullptr;
  std::uint64_t steps_to_stall = never;
  bool urgent = false;
  std::uint64_t urgent_from_ns = never;
  std::uint64_t stalled_ns = 0;
  std::uint64_t blocked_ns = 0;
  std::uint64_t blocks = 0;
  std::uint64_t stolen_ns = 0;
  std::uint64_t taken_when_arming_ns = 0;
  std::uint64_t taken_when_asked_ns = 0;
  std::uint64_t part_step = 0;  // time of steps below a nanosecond, in 1/1024
  void* slot = nullptr;         // base::core_slot() while another core runs
  Context start;
  Context* flow = nullptr;  // where it goes on
  CoreStatistics statistics;

  // The next interrupt; spurious ones leave a core that waits alone, or it would never be seen to
  // wait forever.
  [[nodiscard]] std::uint64_t next_arrival() const noexcept;
  // When it goes on if nothing else happens.
  [[nodiscard]] std::uint64_t due() const noexcept;
  // The part of a stall of so long that comes to pass.
  std::uint64_t may_stall_for(std::uint64_t ns) noexcept;
};

class Machine {
 public:
  static Machine& instance() noexcept;

  void configure(const Options& options);
  Result<void> start(unsigned count, base::FunctionRef<void(CoreId)> entry) noexcept;

  // Null outside start().
  [[nodiscard]] SimCore* running() noexcept { return running_; }
  [[nodiscard]] SimCore* core(CoreId id) noexcept {
    return id < cores_.size() ? cores_[id].get() : nullptr;
  }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const Timing& timing() const noexcept { return options_.timing; }
  Random& random() noexcept { return random_; }
  std::uint64_t draw(Range range) noexcept;

  // The running core has done something that costs so much: its clock moves on, what has arrived is
  // delivered, and others that are behind by more than `ahead` go on first. `at`: where an
  // interrupt finds it.
  void spend(Range cost, std::uint64_t ahead, std::uintptr_t at) noexcept;
  void call(Range cost) noexcept { spend(cost, timing().ahead, kernel_text); }
  void step(std::uintptr_t at) noexcept;
  void compute(std::uint64_t work_ns) noexcept;
  void take_core(std::uint64_t ns, bool says_so) noexcept;
  void steal_core(std::uint64_t ns) noexcept;
  void block(std::uint64_t ns) noexcept;
  void wait(std::uint64_t deadline_ns) noexcept;
  void wake(CoreId id) noexcept;
  // Delivers what has arrived, if the core has interrupts on.
  void deliver(std::uintptr_t at) noexcept;

  void emit(const SimCore& core, std::string_view what, std::uint64_t value = no_value) noexcept;
  // Where the run stands, to the console.
  void report(std::string_view what, std::string_view reason) noexcept;
  [[noreturn]] void fail(std::string_view reason) noexcept;
  [[nodiscard]] Statistics statistics() const;

  std::array<InterruptHandler, interrupt_count> handlers{};

  static constexpr std::uintptr_t kernel_text = 1;  // no address of an app

 private:
  static void begin(void* core) noexcept;
  void charge_steps() noexcept;
  void grant_steps() noexcept;
  void advance(SimCore& core, std::uint64_t to) noexcept;
  void plan_spurious(SimCore& core) noexcept;
  [[nodiscard]] std::uint64_t earliest_other() const noexcept;
  void give_way() noexcept;
  void go_on_with(SimCore& next) noexcept;
  void settle(std::uint64_t ahead, std::uintptr_t at) noexcept;
  SimCore* pick() noexcept;
  void mix(std::uint64_t value) noexcept;

  Options options_;
  Random random_{1};
  std::vector<std::unique_ptr<SimCore>> cores_;
  std::unique_ptr<StackPool> stacks_;
  std::size_t stack_count_ = 0;
  const base::FunctionRef<void(CoreId)>* entry_ = nullptr;
  SimCore* running_ = nullptr;
  Context host_;
  std::int64_t granted_ = 0;
  std::uint64_t switches_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t turns_ = 0;  // times a core was asked whether it may go on
  std::uint64_t hash_ = 0;
};

}  // namespace lichen::hal::sim

#include "lichen/hal/sim/machine.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

#include "lichen/base/core_slot.hpp"
#include "lichen/base/format.hpp"
#include "lichen/hal/linux/console.hpp"

namespace lichen::hal::sim {

namespace {

constexpr std::size_t stack_size = std::size_t{512} * 1024;
// How long a core with nobody to give way to runs before it looks at the limits.
constexpr std::uint64_t longest_grant = 100'000;
constexpr std::uint64_t first_hash = 0xcbf29ce484222325;  // FNV-1a

// Time of a core for what the biggest one does in `ns`.
std::uint64_t scaled(const SimCore& core, std::uint64_t ns) noexcept {
  return (ns * full_capacity + core.model.capacity - 1) / core.model.capacity;
}

}  // namespace

std::uint64_t SimCore::next_arrival() const noexcept {
  const std::uint64_t next = *std::ranges::min_element(arrives);
  return state == State::waiting ? next : std::min(next, spurious_at);
}

std::uint64_t SimCore::due() const noexcept {
  std::uint64_t at = never;
  switch (state) {
    case State::ready: return clock;
    case State::computing: at = off_depth == 0 ? std::min(until, next_arrival()) : until; break;
    case State::waiting: at = std::min({until, woken_at, next_arrival()}); break;
    case State::ended: return never;
  }
  return std::max(at, clock);
}

Machine& Machine::instance() noexcept {
  static Machine machine;
  return machine;
}

void Machine::configure(const Options& options) {
  if (running_) panic("the simulator is set up anew while its cores run");
  options_ = options;
  if (options_.cores.empty() || options_.cores.size() > max_cores)
    panic("the simulator wants between one core and max_cores");
  for (const CoreModel& core : options_.cores)
    if (core.capacity == 0 || core.capacity > full_capacity)
      panic("a core's capacity lies between 1 and full_capacity");
  random_ = Random{options.seed};
  cores_.clear();
  handlers.fill(nullptr);
  switches_ = events_ = turns_ = 0;
  hash_ = first_hash;
}

std::uint64_t Machine::draw(Range range) noexcept {
  return range.least >= range.most ? range.least
                                   : range.least + random_.below(range.most - range.least + 1);
}

Result<void> Machine::start(unsigned count, base::FunctionRef<void(CoreId)> entry) noexcept {
  if (running_) return Error::busy;
  if (options_.cores.empty()) configure({});
  if (count == 0 || count > options_.cores.size()) return Error::invalid_argument;
  if (stack_count_ < count) {
    stacks_.reset();
    stack_count_ = 0;
    stacks_ = TRY(StackPool::create(count, stack_size));
    stack_count_ = count;
  }
  std::vector<std::span<std::byte>> taken;
  const std::uint64_t begins = statistics().end_ns;
  cores_.clear();
  for (unsigned i = 0; i < count; ++i) {
    auto core = std::make_unique<SimCore>();
    core->id = i;
    core->model = options_.cores[i];
    core->clock = core->statistics.clock_ns = begins;
    core->arrives.fill(never);
    plan_spurious(*core);
    if (timing().steps_between_stalls > 0)
      core->steps_to_stall = random_.below(2 * timing().steps_between_stalls) + 1;
    taken.push_back(TRY(stacks_->take()));
    core->start.make(taken.back(), &begin, core.get());
    core->flow = &core->start;
    cores_.push_back(std::move(core));
  }
  entry_ = &entry;
  void* const slot = base::core_slot();
  running_ = pick();
  base::set_core_slot(running_->slot);
  switch_to(host_, *running_->flow);
  // The last core has ended.
  base::set_core_slot(slot);
  running_ = nullptr;
  for (auto stack : taken) stacks_->give_back(stack);
  return {};
}

void Machine::begin(void* argument) noexcept {
  auto& core = *static_cast<SimCore*>(argument);
  Machine& machine = instance();
  machine.emit(core, "starts", core.model.capacity);
  machine.grant_steps();
  (*machine.entry_)(core.id);
  machine.charge_steps();
  machine.emit(core, "ends");
  core.state = SimCore::State::ended;
  if (SimCore* next = machine.pick()) {
    machine.go_on_with(*next);
  } else {
    switch_to(core.start, machine.host_);
  }
  panic("a simulated core goes on after its end");
}

// The core that is due first; the seed breaks ties. Null when all have ended; a failure when those
// that have not can never go on.
SimCore* Machine::pick() noexcept {
  SimCore* first = nullptr;
  std::uint64_t least = never;
  std::uint64_t ties = 1;
  bool any = false;
  for (const auto& core : cores_) {
    any |= core->state != SimCore::State::ended;
    const std::uint64_t due = core->due();
    if (due < least) {
      least = due;
      first = core.get();
      ties = 1;
    } else if (due == least && first && random_.below(++ties) == 0) {
      first = core.get();
    }
  }
  if (!first && any) fail("deadlock: all cores wait, and nothing will wake them");
  return first;
}

std::uint64_t Machine::earliest_other() const noexcept {
  std::uint64_t least = never;
  for (const auto& core : cores_)
    if (core.get() != running_) least = std::min(least, core->due());
  return least;
}

// Moves a core's clock; what it does meanwhile is told by its state.
void Machine::advance(SimCore& core, std::uint64_t to) noexcept {
  if (to <= core.clock) return;
  const std::uint64_t ns = to - core.clock;
  core.clock = to;
  const bool idle = core.state == SimCore::State::waiting;
  (idle ? core.statistics.idle_ns : core.statistics.busy_ns) += ns;
  core.statistics.energy_pj += ns * (idle ? core.model.idle_mw : core.model.busy_mw);
  if (core.state == SimCore::State::computing) core.statistics.computed_ns += ns;
}

// From here to grant_steps() the machine itself is at work: steps do not count. (Some of its code
// may be instrumented: the linker chose another file's copy of an inline function.)
void Machine::charge_steps() noexcept {
  SimCore& core = *running_;
  const std::int64_t granted = std::exchange(granted_, 0);
  const auto steps = granted == 0 ? 0 : static_cast<std::uint64_t>(granted - steps_left);
  steps_left = std::numeric_limits<std::int64_t>::max();
  if (core.steps_to_stall != never) core.steps_to_stall -= std::min(core.steps_to_stall, steps);
  core.part_step += steps * full_capacity;
  advance(core, core.clock + core.part_step / core.model.capacity);
  core.part_step %= core.model.capacity;
}

void Machine::grant_steps() noexcept {
  const SimCore& core = *running_;
  std::uint64_t until = earliest_other();
  if (core.off_depth == 0) until = std::min(until, core.next_arrival());
  if (until != never) until += draw({0, timing().ahead});
  std::uint64_t ns = until > core.clock ? std::min(until - core.clock, longest_grant) : 1;
  ns = std::min(ns * core.model.capacity / full_capacity + 1, core.steps_to_stall);
  granted_ = steps_left = static_cast<std::int64_t>(std::max<std::uint64_t>(ns, 1));
}

// Lets the core that is due first go on; returns when that is the caller's again.
void Machine::give_way() noexcept {
  SimCore& next = *pick();
  if (&next == running_)
    advance(next, next.due());
  else
    go_on_with(next);
}

void Machine::go_on_with(SimCore& next) noexcept {
  SimCore& self = *running_;
  // On the stack that is left: it may be one that the kernel made, and a sanitizer wants to know.
  Context here;
  self.flow = &here;
  self.slot = base::core_slot();
  ++switches_;
  advance(next, next.due());
  running_ = &next;
  if (options_.trace_switches) emit(next, "goes on");
  base::set_core_slot(next.slot);
  switch_to(here, *next.flow);
}

// The host lets an urgent core run, and makes it urgent when it has named the moment.
std::uint64_t SimCore::may_stall_for(std::uint64_t ns) noexcept {
  const std::uint64_t left = urgent_from_ns - std::min(urgent_from_ns, clock);
  if (urgent || ns < left) return urgent ? 0 : ns;
  urgent = true;
  urgent_from_ns = never;
  return left;
}

void Machine::settle(std::uint64_t ahead, std::uintptr_t at) noexcept {
  SimCore& core = *running_;  // the flow stays on it, whatever it calls after an interrupt
  if (++turns_ > options_.turn_limit) fail("the limit of turns is passed: a livelock?");
  if (core.clock > options_.time_limit_ns)
    fail("the limit of virtual time is passed: it does not come to an end");
  if (core.steps_to_stall == 0) {
    const std::uint64_t stall = core.may_stall_for(draw(timing().stall));
    core.steps_to_stall = random_.below(2 * timing().steps_between_stalls) + 1;
    core.statistics.stalls += stall > 0 ? 1 : 0;
    if (stall > 0) emit(core, "stalls", stall);
    core.stalled_ns += stall;
    advance(core, core.clock + stall);
  }
  deliver(at);
  while (core.clock > ahead && earliest_other() < core.clock - ahead) {
    give_way();
    deliver(at);
  }
  grant_steps();
}

void Machine::spend(Range cost, std::uint64_t ahead, std::uintptr_t at) noexcept {
  if (!running_) return;
  charge_steps();
  advance(*running_, running_->clock + scaled(*running_, draw(cost)));
  settle(ahead, at);
}

void Machine::step(std::uintptr_t at) noexcept {
  if (!running_) {
    steps_left = std::numeric_limits<std::int64_t>::max();
    return;
  }
  charge_steps();
  settle(draw({0, timing().ahead}), at);
}

void Machine::plan_spurious(SimCore& core) noexcept {
  if (timing().spurious_interrupts.most > 0)
    core.spurious_at = core.clock + draw(timing().spurious_interrupts);
}

void Machine::deliver(std::uintptr_t at) noexcept {
  SimCore& core = *running_;
  while (core.off_depth == 0 && core.next_arrival() <= core.clock) {
    if (core.spurious_at <= core.clock) {
      core.arrives[static_cast<unsigned>(Interrupt::preempt)] = core.clock;
      plan_spurious(core);
    }
    core.off_depth = 1;
    for (unsigned i = 0; i < interrupt_count; ++i) {
      if (core.arrives[i] > core.clock) continue;
      core.arrives[i] = never;
      ++core.statistics.interrupts;
      emit(core, "is interrupted by", i);
      advance(core, core.clock + scaled(core, draw(timing().interrupt_cost)));
      if (InterruptHandler handler = handlers[i]) {
        core.interrupted = at;
        grant_steps();
        handler(static_cast<Interrupt>(i), core.id);
        charge_steps();
        core.interrupted = 0;
      }
    }
    core.off_depth = 0;
  }
  if (core.off_depth > 0) return;  // in a handler that has more to do
  if (auto* entry = std::exchange(core.after, nullptr)) {
    emit(core, "calls after the interrupt");
    grant_steps();
    entry();
    charge_steps();
  }
}

void Machine::compute(std::uint64_t work_ns) noexcept {
  if (!running_) return;
  charge_steps();
  emit(*running_, "computes", work_ns);
  while (work_ns > 0) {
    SimCore& core = *running_;
    const std::uint64_t began = core.clock;
    core.state = SimCore::State::computing;
    core.until = began + scaled(core, work_ns);
    give_way();
    core.state = SimCore::State::ready;
    work_ns = core.clock >= core.until
                  ? 0
                  : work_ns - (core.clock - began) * core.model.capacity / full_capacity;
    settle(0, reinterpret_cast<std::uintptr_t>(app_text().data()));
    charge_steps();
  }
  emit(*running_, "has computed");
  settle(timing().ahead, kernel_text);
}

void Machine::take_core(std::uint64_t ns, bool says_so) noexcept {
  if (!running_) return;
  charge_steps();
  emit(*running_, "is taken away", ns);
  if (says_so) running_->stalled_ns += ns;
  advance(*running_, running_->clock + ns);
  settle(timing().ahead, reinterpret_cast<std::uintptr_t>(app_text().data()));
}

void Machine::steal_core(std::uint64_t ns) noexcept {
  if (!running_) return;
  running_->stolen_ns += ns;
  take_core(ns, false);
}

void Machine::block(std::uint64_t ns) noexcept {
  if (!running_) return;
  charge_steps();
  emit(*running_, "is blocked", ns);
  running_->blocked_ns += ns;
  ++running_->blocks;
  advance(*running_, running_->clock + ns);
  settle(timing().ahead, kernel_text);
}

void Machine::wait(std::uint64_t deadline_ns) noexcept {
  SimCore& core = *running_;
  ++core.statistics.waits;
  charge_steps();
  advance(core, core.clock + scaled(core, draw(timing().call_cost)));
  const unsigned early = timing().early_returns;
  if (core.woken_at == never && (early == 0 || random_.below(early) != 0)) {
    emit(core, "waits until", deadline_ns);
    core.state = SimCore::State::waiting;
    core.until = deadline_ns == never ? never : deadline_ns + draw(timing().timer_latency);
    give_way();
    core.state = SimCore::State::ready;
    if (core.woken_at <= core.clock) ++core.statistics.wakes;
    emit(core, "has waited");
  }
  core.woken_at = never;
  settle(timing().ahead, 0);
}

void Machine::wake(CoreId id) noexcept {
  SimCore* target = core(id);
  if (!target) return;
  if (running_) emit(*running_, "wakes", id);
  const std::uint64_t now = running_ ? running_->clock : target->clock;
  const bool waits = target->state == SimCore::State::waiting;
  target->woken_at = std::min(target->woken_at, waits ? now + draw(timing().wake_latency) : now);
  call(timing().call_cost);
}

void Machine::mix(std::uint64_t value) noexcept {
  for (unsigned i = 0; i < 64; i += 8) hash_ = (hash_ ^ (value >> i & 0xff)) * 0x100000001b3;
}

void Machine::emit(const SimCore& core, std::string_view what, std::uint64_t value) noexcept {
  ++events_;
  mix(core.clock);
  mix(core.id);
  mix(value);
  for (const char c : what) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  if (!options_.trace) return;
  std::array<char, 160> memory;
  base::TextBuffer line{memory};
  // Microseconds: the scale of what happens.
  base::format_to(line, "{:9}.{:03} core {} {}", core.clock / 1'000, core.clock % 1'000, core.id,
                  what);
  if (value == never)
    base::format_to(line, " never\n");
  else if (value != no_value)
    base::format_to(line, " {}\n", value);
  else
    base::format_to(line, "\n");
  options_.trace(line.text());
}

void Machine::report(std::string_view what, std::string_view reason) noexcept {
  if (options_.failed) options_.failed();
  std::array<char, 256> memory;
  const auto say = [&](auto format, const auto&... args) {
    write_console(base::format_to(memory, format, args...).text);
  };
  write_console(what);
  write_console(reason);
  say(
      base::FormatString<std::uint64_t, std::uint64_t, std::uint64_t>{
          "\nlichen: sim: seed {}, {} events, trace {:016x}\n"},
      options_.seed, events_, hash_);
  for (const auto& core : cores_) {
    static constexpr std::array states{"ready", "computing", "waiting", "ended"};
    say(
        base::FormatString<CoreId, std::uint64_t, const char*, const char*>{
            "lichen: sim: core {} at {} ns, {}{}\n"},
        core->id, core->clock, states[static_cast<unsigned>(core->state)],
        core.get() == running_ ? ", running" : "");
  }
}

void Machine::fail(std::string_view reason) noexcept {
  report("lichen: sim: failed: ", reason);
  std::abort();
}

Statistics Machine::statistics() const {
  Statistics all;
  all.switches = switches_;
  all.events = events_;
  all.trace_hash = hash_;
  for (const auto& core : cores_) all.end_ns = std::max(all.end_ns, core->clock);
  for (const auto& core : cores_) {
    CoreStatistics one = core->statistics;
    one.clock_ns = core->clock;
    // One that has ended waits for the others.
    const std::uint64_t rest = all.end_ns - core->clock;
    one.idle_ns += rest;
    one.energy_pj += rest * core->model.idle_mw;
    all.energy_pj += one.energy_pj;
    all.cores.push_back(one);
  }
  return all;
}

}  // namespace lichen::hal::sim

// The names of the machine contract, on the simulated machine.
#include "lichen/hal/hal.hpp"

#include <algorithm>
#include <utility>

#include "lichen/hal/sim/machine.hpp"

namespace lichen::hal {

namespace {

using sim::Machine;
using sim::SimCore;

constexpr unsigned index(Interrupt interrupt) noexcept { return static_cast<unsigned>(interrupt); }

}  // namespace

unsigned core_count_available() noexcept {
  return static_cast<unsigned>(std::max<std::size_t>(sim::options().cores.size(), 1));
}

std::uint32_t core_capacity(CoreId core) noexcept { return sim::capacity(core); }

Result<void> start_cores(const CoreOptions& options,
                         base::FunctionRef<void(CoreId)> entry) noexcept {
  return Machine::instance().start(options.count, entry);
}

CoreId this_core() noexcept {
  const SimCore* core = Machine::instance().running();
  return core ? core->id : no_core;
}

void wait(CoreId self, std::uint64_t deadline_ns) noexcept {
  if (self == no_core || this_core() != self) panic("wait() is called on another core");
  Machine::instance().wait(deadline_ns);
}

void wake(CoreId core) noexcept { Machine::instance().wake(core); }

void pause() noexcept {
  Machine& machine = Machine::instance();
  machine.call(machine.timing().pause_cost);
}

void yield_to_host() noexcept {
  Machine& machine = Machine::instance();
  machine.spend(machine.timing().yield_cost, 0, Machine::kernel_text);
}

void set_urgent(CoreId id, bool urgent) noexcept {
  Machine& machine = Machine::instance();
  SimCore* const core = machine.core(id);
  if (!core || core->urgent == urgent) return;
  core->urgent = urgent;
  machine.call(machine.timing().call_cost);
}

void urgent_from(CoreId id, std::uint64_t moment_ns) noexcept {
  if (SimCore* const core = Machine::instance().core(id)) core->urgent_from_ns = moment_ns;
}

std::uint64_t now_ns() noexcept {
  Machine& machine = Machine::instance();
  machine.spend(machine.timing().call_cost, 0, Machine::kernel_text);
  const SimCore* core = machine.running();
  return core ? core->clock : machine.statistics().end_ns;
}

std::uint64_t core_time_ns() noexcept {
  Machine& machine = Machine::instance();
  SimCore* core = machine.running();
  if (const std::uint64_t taken = core ? std::exchange(core->taken_when_asked_ns, 0) : 0) {
    core->stalled_ns += taken;
    machine.spend({taken, taken}, machine.timing().ahead, Machine::kernel_text);
  }
  const std::uint64_t now = now_ns();
  return core ? now - core->stalled_ns - core->stolen_ns - core->blocked_ns : now;
}

std::uint64_t taken_ns() noexcept {
  Machine& machine = Machine::instance();
  machine.call(machine.timing().call_cost);
  const SimCore* core = machine.running();
  return core ? core->stalled_ns : 0;
}

std::uint64_t waits() noexcept {
  Machine& machine = Machine::instance();
  machine.call(machine.timing().call_cost);
  const SimCore* core = machine.running();
  return core ? core->statistics.waits + core->blocks : 0;
}

Result<void> arm_deadline(CoreId id, std::uint64_t deadline_ns) noexcept {
  Machine& machine = Machine::instance();
  SimCore* core = machine.running();
  if (!core || core->id != id) return Error::invalid_argument;
  if (!machine.handlers[index(Interrupt::deadline)]) return Error::invalid_state;
  machine.emit(*core, "arms its deadline for", deadline_ns);
  core->arrives[index(Interrupt::deadline)] =
      deadline_ns == no_deadline
          ? sim::never
          : std::max(deadline_ns, core->clock) + machine.draw(machine.timing().timer_latency);
  if (const std::uint64_t taken = std::exchange(core->taken_when_arming_ns, 0))
    machine.spend({taken, taken}, machine.timing().ahead, Machine::kernel_text);
  machine.call(machine.timing().call_cost);
  return {};
}

Result<void> register_interrupt(Interrupt interrupt, InterruptHandler handler) noexcept {
  if (index(interrupt) >= interrupt_count) return Error::invalid_argument;
  Machine::instance().handlers[index(interrupt)] = handler;
  return {};
}

void interrupts_off() noexcept {
  if (SimCore* core = Machine::instance().running()) ++core->off_depth;
}

void interrupts_on() noexcept {
  Machine& machine = Machine::instance();
  SimCore* core = machine.running();
  if (!core) return;
  if (core->off_depth == 0) panic("interrupts are turned on more often than off");
  --core->off_depth;
  // What arrived meanwhile is served late, by this call.
  machine.spend({}, machine.timing().ahead, 0);
}

bool interrupts_are_on() noexcept {
  const SimCore* core = Machine::instance().running();
  return !core || core->off_depth == 0;
}

std::uintptr_t interrupted_at() noexcept {
  const SimCore* core = Machine::instance().running();
  return core ? core->interrupted : 0;
}

void call_after_interrupt(void (*entry)() noexcept) noexcept {
  if (SimCore* core = Machine::instance().running()) core->after = entry;
}

Result<void> send_interrupt(CoreId id) noexcept {
  Machine& machine = Machine::instance();
  SimCore* sender = machine.running();
  SimCore* target = machine.core(id);
  if (!sender || !target || target->state == SimCore::State::ended) return Error::invalid_argument;
  if (!machine.handlers[index(Interrupt::preempt)]) return Error::invalid_state;
  machine.emit(*sender, "sends an interrupt to", id);
  sim::raise_interrupt(id, Interrupt::preempt,
                       sender->clock + machine.draw(machine.timing().interrupt_latency));
  machine.call(machine.timing().call_cost);
  return {};
}

}  // namespace lichen::hal

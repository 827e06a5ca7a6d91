// Binds the hooks of coro to this scheduler and its memory.
#include "lichen/coro/hooks.hpp"

#include "lichen/hal/hal.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::coro::hooks {

void* allocate_frame(std::size_t size) noexcept {
  if (Core* core = this_core()) [[likely]] {
    core->enter_short_section();
    void* frame = static_cast<sched::Executor*>(core)->frames().allocate(size);
    core->leave_short_section();
    return frame;
  }
  return sched::boot_allocate(size);
}

void free_frame(void* frame, std::size_t size) noexcept {
  if (Core* core = this_core()) [[likely]] {
    core->enter_short_section();
    static_cast<sched::Executor*>(core)->frames().free(frame, size);
    core->leave_short_section();
  } else {
    sched::boot_free(frame, size);
  }
}

void share(Core& core) noexcept { static_cast<sched::Executor&>(core).share(); }

void make_ready(Core* here, Runnable& runnable, Order order) noexcept {
  const Strand* strand = runnable.strand;
  if (strand && strand->watch() != 0) [[unlikely]]
    return sched::TaskWatches::make_ready(here, runnable, order);
  Core* pinned = strand ? strand->pinned() : nullptr;
  if (here && (!pinned || pinned == here))
    static_cast<sched::Executor*>(here)->make_ready(runnable, order);
  else
    sched::executor_of(pinned).post(runnable);
}

void post(Core* core, Runnable& runnable) noexcept {
  if (runnable.strand && runnable.strand->watch() != 0) [[unlikely]]
    return sched::TaskWatches::post(core, runnable);
  sched::executor_of(core).post(runnable);
}

void post_stop(Core& core, Strand& strand) noexcept {
  static_cast<sched::Executor&>(core).post_stop(strand);
}

void preempt(Preemption& core) noexcept {
  static_cast<sched::Executor&>(core).preempt(
      reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
}

std::uint64_t now_ns() noexcept { return hal::now_ns(); }

void relax(unsigned tries) noexcept {
  // The holder may be a virtual core that the host has taken away.
  constexpr unsigned patience = 1'000;
  if (tries < patience) return hal::pause();
  if (Core* core = this_core())
    static_cast<sched::Executor*>(core)->wait_for_the_host();
  else
    hal::yield_to_host();
}

void fatal(const char* message) noexcept { hal::panic(message); }

}  // namespace lichen::coro::hooks

// The hooks through which coro reaches the scheduler and the frame pools. Whoever runs coroutines
// (lichen/sched, or a test's little loop) defines them; they are bound at link time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lichen::coro {

class Core;
class Preemption;
struct Runnable;
struct Strand;

// Where a Runnable that became ready goes.
enum class Order : std::uint8_t {
  last,    // behind everything that is ready
  forked,  // before it: the newest fork first
  next,    // before everything, as soon as the running task suspends: the wake slot
};

namespace hooks {

// Memory of coroutine frames and of the runtime's own small objects, 16-byte aligned. Null when the
// budget is exhausted. Freed on any core, with the size it was allocated with.
void* allocate_frame(std::size_t size) noexcept;
void free_frame(void* frame, std::size_t size) noexcept;

// The core's queue has reached its sharing threshold: publish the surplus to idle cores.
void share(Core& core) noexcept;
// Makes a Runnable ready that is in another lane than the one which has its turn on `here`, the
// calling core, or that may not run there; `here` is null on a thread that is no core.
void make_ready(Core* here, Runnable& runnable, Order order) noexcept;
// Makes a Runnable ready on another core, from any thread; takes effect at once. A null core means
// any core.
void post(Core* core, Runnable& runnable) noexcept;
// Asks `core` to call handle_stop(strand) between two tasks; called at most once until it has done
// so.
void post_stop(Core& core, Strand& strand) noexcept;

// A task leaves its last section that must not be preempted, and something more urgent waits: lets
// it run now. Called on `core`, in the task, with preemption off; returns with preemption on.
void preempt(Preemption& core) noexcept;

// Monotonic time in nanoseconds.
std::uint64_t now_ns() noexcept;
// Called while a spin lock is contended, with the number of tries so far.
void relax(unsigned tries) noexcept;
// A step at which another core may come in between: where tests/torture/explorer_test.cpp switches
// from core to core. Nothing elsewhere.
#if LICHEN_EXPLORE
void interleave() noexcept;
#else
inline void interleave() noexcept {}
#endif
// A contract was broken: says so and ends the machine.
[[noreturn]] void fatal(const char* message) noexcept;

}  // namespace hooks
}  // namespace lichen::coro

// What the linux world keeps for each thread and core. Private to this folder.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

// Written and read by the thread and by its own signal handlers only.
struct Local {
  CoreId core = no_core;
  volatile unsigned off_depth = 0;
  volatile unsigned noted = 0;         // a bit for each interrupt that came while they were off
  void* interrupted = nullptr;         // the host's record of the flow that a handler interrupts
  void (*after)() noexcept = nullptr;  // what that flow is to call
  void (*after_call)() noexcept = nullptr;  // and what, when it has then made its call of the host
  std::uintptr_t stack_begin = 0;           // the thread's own stack
  std::size_t stack_size = 0;               // 0: not known
};
[[gnu::noinline]] Local& local() noexcept;

// The host's thread of a running core; 0 where it does not run.
pid_t thread_of(CoreId core) noexcept;
void set_thread(CoreId core, pid_t thread) noexcept;

// A stack for signal handlers, for the time that the thread may be a core.
Result<void> enter_thread() noexcept;
void leave_thread() noexcept;
void drop_timer(CoreId core) noexcept;

void find_own_stack(Local& local) noexcept;

// Where the flow stood, and makes it call `entry` when it goes on; `record` is a ucontext_t.
std::uintptr_t address_of_interrupted(void* record) noexcept;
std::uintptr_t stack_pointer_of_interrupted(void* record) noexcept;
void redirect_interrupted(void* record, void (*entry)() noexcept) noexcept;
// The same for a flow that stands before a system call: it calls `before`, makes its call, and
// calls `after`, before an instruction of its own comes. Once more for one that stands before that
// call: `before` alone.
void redirect_around_call(void* record, void (*before)() noexcept,
                          void (*after)() noexcept) noexcept;

// The signal that carries an interrupt that the machine sends itself.
int signal_of(Interrupt interrupt) noexcept;

}  // namespace lichen::hal::detail

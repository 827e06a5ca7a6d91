// Calls of the host's in which a flow waits, and the threads that are cores meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// A thread of the host's that may be a core, and a place where it sleeps when it is none.
class HostThread {
 public:
  HostThread() noexcept = default;
  HostThread(const HostThread&) = delete;
  HostThread& operator=(const HostThread&) = delete;

  // A new thread that runs entry(argument), where the calling thread may run; without it this is a
  // thread that is there already. Errors: limit_reached, no_memory.
  Result<void> start(void (*entry)(void*) noexcept, void* argument) noexcept;
  // Waits for the end of a thread that was started.
  void join() noexcept;

  // Sleeps until wake(), which may have come before. On this thread.
  void sleep() noexcept;
  // From any thread.
  void wake() noexcept;

 private:
  static void* run(void* self) noexcept;

  std::atomic<std::uint32_t> word_{0};
  void (*entry_)(void*) noexcept = nullptr;
  void* argument_ = nullptr;
  unsigned long thread_ = 0;
};

// For handlers: whether the interrupted flow waits in a call of the host's, or is about to make it,
// in which it may be left alone:
//
// - the host makes the call again when the handler has returned, so nothing of it has happened;
// - it was made by a function of the C library that holds no lock of the library's meanwhile and
//   calls nobody back (the list is in host_call.cpp), and
// - that function was called by code for which `counts` is true. So nothing of anybody else's is
//   under way.
//
// All that is read from the machine code and its unwind tables; what cannot be told for certain is
// no such call. `stack` is the one the flow runs on; empty: its thread's own. Nothing is found in a
// build whose sanitizer must know on which thread a flow runs, in a program that is linked
// statically, and where the C library is not GNU's.
[[nodiscard]] std::optional<HostCall> host_call(std::span<std::byte> stack,
                                                bool (*counts)(std::uintptr_t)) noexcept;
// For handlers, where host_call() has found something: when they have returned the flow calls
// `before` as if by itself, then makes its call, and when that has ended, before anything else,
// calls `after`. As for call_after_interrupt(). A flow that has made its call may be interrupted in
// it once more and told the same again; then `before` is called again, `after` once.
void call_around_host_call(void (*before)() noexcept, void (*after)() noexcept) noexcept;

// The calling thread is no core any more; its interrupts come to nothing.
void give_core_up() noexcept;
// The calling thread is `core` from now on; whoever was it MUST have given it up. Its deadline is
// not armed, and what was sent to the core shortly before may be lost.
void take_core_over(CoreId core) noexcept;

}  // namespace lichen::hal

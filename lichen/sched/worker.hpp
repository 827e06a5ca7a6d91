// Workers: the threads of the host that a core runs on, one at a time.
//
// A core begins on its home worker. While the host keeps that one's thread the core goes on on
// another (stuck.cpp). What a worker holds belongs to the core, whichever thread that is just now,
// except while the worker is away.
#pragma once

#include <cstdint>

#include "lichen/coro/runnable.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/carriers.hpp"

namespace lichen::sched {

class Executor;

struct Worker {
  // Of the workers of a core one is running, or the core is being handed over.
  enum class State : std::uint8_t {
    running,  // its thread is the core
    idle,     // asleep in the executor's loop
    away,     // in a call of the host's, or back from it and unknown to the core
    waiting,  // asleep in the middle of the task that is back
  };

  Worker(Executor& core, hal::StackPool* pool) noexcept;

  // Makes the thread of a stand-in, which is idle. Errors: limit_reached, no_memory.
  Result<void> start() noexcept;
  // Of a stand-in that is idle: ends its thread.
  void end() noexcept;

  // Sleeps until it is given the core and goes on with the carrier that was wanted; returns when
  // that is the one that called. `in_loop`: which is in the executor's loop, and so is free when
  // another one is wanted; else it is in a task.
  void await_core(bool in_loop) noexcept;

  // The one of the calling thread; null: it has none.
  [[gnu::noinline]] static Worker* current() noexcept;
  [[gnu::noinline]] static void set_current(Worker* worker) noexcept;

  hal::HostThread thread;
  Carriers carriers;
  Executor& executor;
  Worker* next = nullptr;         // in the core's list of stand-ins
  Carrier* first_loop = nullptr;  // of a stand-in
  // With what it goes on when it gets the core: a task; null: the loop in which it sleeps.
  Carrier* wanted = nullptr;
  State state = State::idle;
  bool over = false;  // it is to end
  // The task that is away or back, and when it is back, as what it waits for its turn.
  coro::Strand* strand = nullptr;
  coro::Runnable* back = nullptr;
  // Tasks that were set aside on this thread and whose turn came while it was away.
  coro::RunQueue put_off;

 private:
  static void run(void* self) noexcept;
};

}  // namespace lichen::sched

// A task that was set aside in the middle of its code. Private to this folder.
#pragma once

#include <cstdint>

#include "lichen/coro/runnable.hpp"
#include "lichen/sched/executor.hpp"

namespace lichen::sched {

// Lies on the stack of the task.
struct Executor::Preempted {
  coro::ResumeFrame frame;
  Executor& executor;
  Worker& worker;  // whose thread it is to go on on
  Carrier& carrier;
  std::uint64_t since_ns;  // 0: it was not, it was in a call of the host's
};

}  // namespace lichen::sched

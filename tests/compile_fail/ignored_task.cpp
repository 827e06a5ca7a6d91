// A task that is neither awaited nor spawned.
// expect: error: ignoring return value .*: a task that is neither awaited nor spawned
#include "lichen/coro/task.hpp"

lichen::Task<> work();

lichen::Task<> caller() {
#ifdef LICHEN_MISUSE
  work();
  co_return;
#else
  (co_await work()).ignore();
#endif
}

// co_await under a spin lock: others would spin until the task happens to run again.
// expect: error: cannot call function 'await_transform.*' while role 'no_suspend' is held
#include "lichen/coro/lock.hpp"
#include "lichen/coro/task.hpp"

lichen::Task<> work();

lichen::Task<lichen::Result<void>> caller(lichen::coro::SpinLock& lock, int& shared) {
  {
    lichen::coro::SpinGuard guard{lock};
    ++shared;
#ifdef LICHEN_MISUSE
    CO_TRY(co_await work());
#endif
  }
  CO_TRY(co_await work());
  co_return lichen::Result<void>{};
}

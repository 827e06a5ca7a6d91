// co_await inside a section that must not suspend, in which this core counts as not preemptible.
// expect: error: cannot call function 'await_transform.*' while role 'no_suspend' is held
#include "lichen/coro/lock.hpp"
#include "lichen/coro/task.hpp"

lichen::Task<> work();

lichen::Task<lichen::Result<void>> caller(int& shared) {
  {
    lichen::coro::Critical section;
    ++shared;
#ifdef LICHEN_MISUSE
    CO_TRY(co_await work());
#endif
  }
  CO_TRY(co_await work());
  co_return lichen::Result<void>{};
}

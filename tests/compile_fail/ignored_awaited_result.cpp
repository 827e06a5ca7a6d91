// What a task yields is a Result, also when the task returns nothing: it may have been stopped.
// expect: error: ignoring return value of function declared with 'nodiscard' attribute
#include "lichen/coro/task.hpp"

lichen::Task<> work();

lichen::Task<lichen::Result<void>> caller() {
#ifdef LICHEN_MISUSE
  co_await work();
#else
  CO_TRY(co_await work());
#endif
  co_return lichen::Result<void>{};
}

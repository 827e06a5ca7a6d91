// Awaiting takes the task: only an rvalue can be awaited.
// expect: error: call to deleted member function 'await_transform'
#include "lichen/coro/task.hpp"

lichen::Task<> work();

lichen::Task<lichen::Result<void>> caller() {
  lichen::Task<> task = work();
#ifdef LICHEN_MISUSE
  CO_TRY(co_await task);
#else
  CO_TRY(co_await std::move(task));
#endif
  co_return lichen::Result<void>{};
}

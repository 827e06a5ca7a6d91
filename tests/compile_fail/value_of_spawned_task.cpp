// A task that yields a value, spawned into a scope, where nobody would see the value.
// expect: error: call to deleted member function 'spawn'
#include "lichen/coro/scope.hpp"

lichen::Task<lichen::Result<int>> count();
lichen::Task<> work();

lichen::Task<lichen::Result<void>> caller() {
  lichen::Scope scope;
#ifdef LICHEN_MISUSE
  scope.spawn(count());
#else
  scope.spawn(work());
#endif
  co_return co_await scope.join();
}

// The same for a lambda, where the forgotten co_return is seen less easily.
// expect: error: .*coro_return_type.* but is neither a coroutine nor a coroutine wrapper
#include "lichen/coro/task.hpp"

lichen::Task<int> twice(const int& number);

auto make() {
#ifdef LICHEN_MISUSE
  return [](int number) { return twice(number); };
#else
  return [](int number) -> lichen::Task<lichen::Result<int>> { co_return co_await twice(number); };
#endif
}

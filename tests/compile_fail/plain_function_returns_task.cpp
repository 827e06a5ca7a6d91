// A function that returns a Task without being a coroutine: its arguments end before the task runs.
// expect: error: .*coro_return_type.* but is neither a coroutine nor a coroutine wrapper
#include <span>

#include "lichen/coro/task.hpp"

lichen::Task<int> sum(std::span<const int> numbers);

#ifdef LICHEN_MISUSE
lichen::Task<int> sum_of_two(int a, int b) {
  const int numbers[] = {a, b};
  return sum(numbers);
}
#else
lichen::Task<lichen::Result<int>> sum_of_two(int a, int b) {
  const int numbers[] = {a, b};
  co_return co_await sum(numbers);
}
#endif

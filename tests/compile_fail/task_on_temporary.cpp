// A stored task that refers to a temporary, which ends with the full expression.
// expect: error: temporary whose address is used
#include <string>

#include "lichen/coro/task.hpp"

lichen::Task<std::size_t> count(const std::string& text);

lichen::Task<lichen::Result<std::size_t>> caller() {
#ifdef LICHEN_MISUSE
  lichen::Task<std::size_t> counting = count(std::string("a temporary"));
#else
  const std::string text = "it lives as long as the task";
  lichen::Task<std::size_t> counting = count(text);
#endif
  co_return co_await std::move(counting);
}

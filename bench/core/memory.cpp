// memory: resident bytes of a suspended task.
#include <cstdio>

#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "measure.hpp"

namespace bench {

namespace {

Task<> wait_for(Event& event) { (co_await event.wait()).ignore(); }

std::uint64_t resident_bytes() {
  std::uint64_t kilobytes = 0;
  if (std::FILE* file = std::fopen("/proc/self/smaps_rollup", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, file))
      if (std::sscanf(line, "Rss: %lu kB", &kilobytes) == 1) break;
    std::fclose(file);
  }
  return kilobytes * 1024;
}

Task<Result<void>> suspend_many(std::uint64_t tasks) {
  Event event;
  Scope scope;
  const std::uint64_t before = resident_bytes();
  for (std::uint64_t i = 0; i < tasks; ++i)
    if (!scope.spawn(wait_for(event))) co_return Error::no_memory;
  co_await yield();  // behind all of them: now each waits
  const std::uint64_t bytes = resident_bytes() - before;
  std::printf(
      "{\"name\":\"memory\",\"variant\":\"wait for event\",\"tasks\":%llu,\"bytes_per_task\":%.1f,"
      "\"total_bytes\":%llu}\n",
      static_cast<unsigned long long>(tasks),
      static_cast<double>(bytes) / static_cast<double>(tasks),
      static_cast<unsigned long long>(bytes));
  event.set();
  co_return co_await scope.join();
}

}  // namespace

void memory(const Args& args) {
  const std::uint64_t tasks = args.number("tasks", 1'000'000);
  on_machine(1, [&] [[clang::coro_wrapper]] () { return suspend_many(tasks); });
}

}  // namespace bench

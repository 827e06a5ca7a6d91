#include "lichen/sched/app_text.hpp"

#include <array>
#include <atomic>

// Set by the linker where a program has such a section.
extern "C" {
[[gnu::weak, gnu::visibility("hidden")]] extern char __start_lichen_app_text[];
[[gnu::weak, gnu::visibility("hidden")]] extern char __stop_lichen_app_text[];
}

namespace lichen::sched {

namespace {

struct Range {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};  // written last; 0: not there yet
};
constinit std::array<Range, 64> ranges{};
constinit std::atomic<unsigned> taken{0};

bool within(std::uintptr_t address, const void* begin, const void* end) noexcept {
  return address >= reinterpret_cast<std::uintptr_t>(begin) &&
         address < reinterpret_cast<std::uintptr_t>(end);
}

}  // namespace

bool add_app_text(std::uintptr_t begin, std::uintptr_t end) noexcept {
  unsigned index = taken.load();
  do {
    if (index == ranges.size()) return false;
  } while (!taken.compare_exchange_weak(index, index + 1));
  ranges[index].begin.store(begin, std::memory_order_relaxed);
  ranges[index].end.store(end, std::memory_order_release);
  return true;
}

bool in_app_text(std::uintptr_t address) noexcept {
  if (within(address, __start_lichen_app_text, __stop_lichen_app_text)) return true;
  const unsigned count = taken.load(std::memory_order_acquire);
  for (unsigned i = 0; i < count; ++i)
    if (address < ranges[i].end.load(std::memory_order_acquire) &&
        address >= ranges[i].begin.load(std::memory_order_relaxed))
      return true;
  return false;
}

}  // namespace lichen::sched

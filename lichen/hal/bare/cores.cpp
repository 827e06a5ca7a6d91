#include "lichen/hal/bare/cores.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::hal {

namespace {

using detail::Local;
using detail::local;

constexpr std::size_t core_stack_size = std::size_t{128} * 1024;

enum : std::uint32_t { running = 0, token = 1, waiting = 2 };

struct alignas(cache_line) CoreState {
  std::atomic<std::uint32_t> wake{running};
  std::atomic<detail::Job*> job{nullptr};
  std::span<std::byte> stack{};
};
constinit std::array<CoreState, max_cores> states{};
constinit std::atomic<bool> busy{false};
constinit std::atomic<unsigned> started{1};

// Sleeps, unless something has come up that `go_on` sees; it looks with interrupts masked.
template <class Check>
void sleep_unless(Check go_on) noexcept {
  detail::mask_interrupts();
  if (go_on())
    detail::unmask_interrupts();
  else
    detail::unmask_and_sleep();
}

Result<void> start_another(CoreId core) noexcept {
  const std::uintptr_t thread = TRY(detail::make_thread(core));
  const auto stack = TRY(detail::make_core_stack(core_stack_size));
  states[core].wake.store(running);
  states[core].stack = stack;
  TRY(detail::start_processor(core, thread, stack));
  started.store(core + 1);
  return {};
}

}  // namespace

unsigned detail::started_processors() noexcept { return started.load(); }

Result<std::span<std::byte>> detail::make_core_stack(std::size_t size) noexcept {
  const auto frames = TRY(allocate_aligned(size, page_size));
  std::byte* window = reserve_window(page_size + size);
  if (!window) return Error::no_memory;
  const auto at = reinterpret_cast<std::uintptr_t>(window + page_size);
  TRY(map(at, reinterpret_cast<std::uintptr_t>(frames.data()) - direct_base, size,
          PageUse::read_write));
  flush_translations();
  return std::span{window + page_size, size};
}

Result<void> detail::start_processors(unsigned count) noexcept {
  while (started.load() < count) TRY(start_another(started.load()));
  return {};
}

void detail::give_job(CoreId core, Job& job) noexcept {
  states[core].job.store(&job);
  send_signal(core, Signal::wake);
}

void detail::serve_cores(CoreId core) noexcept {
  Local& self = local();
  self.stack = states[core].stack;
  self.off_depth = 0;
  CoreState& state = states[core];
  unmask_interrupts();
  for (;;) {
    if (Job* job = state.job.exchange(nullptr)) {
      job->entry(core);
      // The job may be gone as soon as it is known to be done.
      if (job->not_done.fetch_sub(1) == 1) wake(0);
      continue;
    }
    sleep_unless([&state] { return state.job.load() != nullptr; });
  }
}

unsigned core_count_available() noexcept {
  return std::clamp(detail::processor_count(), 1U, max_cores);
}

std::uint32_t core_capacity(CoreId) noexcept { return 1'024; }

CoreId this_core() noexcept { return local().core; }

Result<void> start_cores(const CoreOptions& options,
                         base::FunctionRef<void(CoreId)> entry) noexcept {
  if (options.count == 0 || options.count > core_count_available()) return Error::invalid_argument;
  if (busy.exchange(true)) return Error::busy;
  const Result<void> all = detail::start_processors(options.count);
  if (all) {
    detail::Job job{entry, options.count - 1};
    for (CoreId core = 1; core < options.count; ++core) detail::give_job(core, job);
    entry(0);
    while (job.not_done.load() != 0) wait(0, no_deadline);
  }
  busy.store(false);
  return all;
}

void wait(CoreId self, std::uint64_t deadline_ns) noexcept {
  std::atomic<std::uint32_t>& word = states[self].wake;
  std::uint32_t expected = running;
  if (word.compare_exchange_strong(expected, waiting)) {
    Local& mine = local();
    const std::uint64_t began = now_ns();
    std::uint64_t too_early = no_deadline;  // the timer was set for what is over
    sleep_unless([&] {
      // From here on a wake is an interrupt, which ends the sleep.
      if (word.load() != waiting || now_ns() >= deadline_ns) return true;
      mine.waiting_ns = deadline_ns;
      if (mine.timer_ns < std::min(deadline_ns, mine.armed_ns)) too_early = mine.timer_ns;
      detail::set_timer_by(mine, mine.leaves_timer);
      return false;
    });
    mine.waiting_ns = no_deadline;
    const std::uint64_t ended = now_ns();
    // Whose sleeps are long is not woken in vain time and again.
    if (too_early != no_deadline) mine.leaves_timer = ended < too_early;
    mine.waited_ns += ended - began;
  }
  word.exchange(running);
}

void detail::end_wait(CoreId self) noexcept { states[self].wake.store(token); }

void wake(CoreId core) noexcept {
  if (states[core].wake.exchange(token) == waiting) detail::send_signal(core, detail::Signal::wake);
}

}  // namespace lichen::hal

#include "lichen/hal/linux/cores.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include "lichen/base/error_map.hpp"
#include "lichen/hal/linux/futex.hpp"
#include "lichen/hal/linux/local.hpp"
#include "lichen/hal/linux/time.hpp"
#include "lichen/hal/linux/urgency.hpp"

namespace lichen::hal {

namespace {

enum : std::uint32_t { running = 0, token = 1, waiting = 2 };

struct alignas(cache_line) CoreState {
  std::atomic<std::uint32_t> wake{running};
  std::atomic<pid_t> thread{0};
};
constinit std::array<CoreState, max_cores> states{};
constinit std::atomic<bool> started{false};

std::atomic<std::uint32_t>& wake_word(CoreId core) noexcept { return states[core].wake; }

bool read_text(const char* path, std::span<char> text) noexcept {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t size = read(fd, text.data(), text.size() - 1);
  close(fd);
  text[static_cast<std::size_t>(std::max<ssize_t>(size, 0))] = '\0';
  return size > 0;
}

// Processors' worth of time that the control group grants, rounded up; cgroup v2 (Documentation/
// admin-guide/cgroup-v2.rst, cpu.max). A group above this one is bounded by its own file.
unsigned quota() noexcept {
  std::array<char, 512> group{};
  std::array<char, 600> path{};
  std::array<char, 64> text{};
  if (!read_text("/proc/self/cgroup", group)) return UINT_MAX;
  char* name = std::strstr(group.data(), "0::");
  if (!name) return UINT_MAX;
  name += 3;
  name[std::strcspn(name, "\n")] = '\0';
  unsigned least = UINT_MAX;
  for (;;) {
    std::snprintf(path.data(), path.size(), "/sys/fs/cgroup%s/cpu.max", name);
    long long granted = 0;
    long long period = 0;
    if (read_text(path.data(), text) &&
        std::sscanf(text.data(), "%lld %lld", &granted, &period) == 2 && granted > 0 && period > 0)
      least = std::min(least, static_cast<unsigned>((granted + period - 1) / period));
    char* parent = std::strrchr(name, '/');
    if (!parent) return least;
    *parent = '\0';
  }
}

enum class Gate : std::uint32_t { closed, open, cancelled };

struct Start {
  const CoreOptions& options;
  base::FunctionRef<void(CoreId)> entry;
  const cpu_set_t* allowed;  // null: not bound
  std::atomic<std::uint32_t> gate{static_cast<std::uint32_t>(Gate::closed)};
  std::atomic<std::uint32_t> ready{0};
};

struct Thread {
  Start* start = nullptr;
  CoreId core = 0;
  pthread_t thread{};
  Error error{};
};

void bind(CoreId core, const Start& start) noexcept {
  const CoreOptions& options = start.options;
  cpu_set_t one;
  CPU_ZERO(&one);
  if (options.processors) {
    CPU_SET(options.processors[core], &one);
  } else {
    unsigned nth = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, start.allowed) && nth++ == core) {
        CPU_SET(cpu, &one);
        break;
      }
  }
  // The host may take a processor away at any time; then the core runs wherever it may.
  (void)sched_setaffinity(0, sizeof(one), &one);
  detail::bind_urgency(core);
}

void resign(CoreId core) noexcept {
  detail::end_urgency(core);
  states[core].thread.store(0);
  detail::drop_timer(core);
  detail::leave_thread();
  detail::local().core = no_core;
}

Result<void> become(CoreId core, const CoreOptions& options) noexcept {
  detail::local().core = core;
  if (auto entered = detail::enter_thread(); !entered) {
    detail::local().core = no_core;
    return entered.error();
  }
  wake_word(core).store(running);
  states[core].thread.store(gettid());
  if (!options.urgency) return {};
  auto urgent = detail::begin_urgency(core);
  if (!urgent) resign(core);
  return urgent;
}

void* run_thread(void* argument) noexcept {
  Thread& self = *static_cast<Thread*>(argument);
  Start& start = *self.start;
  const Result<void> became = become(self.core, start.options);
  self.error = became.error();
  start.ready.fetch_add(1);
  detail::futex_wake(start.ready, 1);
  while (start.gate.load() == static_cast<std::uint32_t>(Gate::closed))
    detail::futex_wait(start.gate, static_cast<std::uint32_t>(Gate::closed), no_deadline);
  if (start.gate.load() == static_cast<std::uint32_t>(Gate::open)) {
    if (start.allowed) bind(self.core, start);
    start.entry(self.core);
  }
  if (became) resign(self.core);
  return nullptr;
}

}  // namespace

pid_t detail::thread_of(CoreId core) noexcept {
  return core < max_cores ? states[core].thread.load() : 0;
}

void detail::set_thread(CoreId core, pid_t thread) noexcept { states[core].thread.store(thread); }

detail::Local& detail::local() noexcept {
  [[gnu::tls_model("initial-exec")]] static constinit thread_local Local the_local{};
  return the_local;
}

CoreId this_core() noexcept { return detail::local().core; }

unsigned core_count_available() noexcept {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  const auto count = static_cast<unsigned>(CPU_COUNT(&allowed));
  return std::max(1u, std::min({count, quota(), max_cores}));
}

std::uint32_t core_capacity(CoreId core) noexcept {
  constexpr std::uint32_t full = 1'024;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return full;
  for (unsigned cpu = 0, nth = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || nth++ != core) continue;
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/sys/devices/system/cpu/cpu%u/cpu_capacity", cpu);
    std::array<char, 16> text{};
    const long told = read_text(path.data(), text) ? std::strtol(text.data(), nullptr, 10) : 0;
    return told > 0 && told < full ? static_cast<std::uint32_t>(told) : full;
  }
  return full;
}

Result<void> start_cores(const CoreOptions& options,
                         base::FunctionRef<void(CoreId)> entry) noexcept {
  if (options.count == 0 || options.count > max_cores) return Error::invalid_argument;
  if (started.exchange(true)) return Error::busy;

  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const bool known = sched_getaffinity(0, sizeof(allowed), &allowed) == 0;
  const bool pin =
      options.pin && known &&
      (options.processors || static_cast<unsigned>(CPU_COUNT(&allowed)) >= options.count);

  Start start{options, entry, pin ? &allowed : nullptr};
  std::array<Thread, max_cores> threads{};
  Error failure{};
  unsigned made = 1;
  if (auto became = become(0, options); !became) {
    started.store(false);
    return became.error();
  }
  for (; made < options.count; ++made) {
    Thread& thread = threads[made];
    thread.start = &start;
    thread.core = made;
    if (const int error = pthread_create(&thread.thread, nullptr, run_thread, &thread);
        error != 0) {
      failure = error == EAGAIN ? Error::limit_reached : from_errno(error);
      break;
    }
    std::array<char, 16> name{};
    std::snprintf(name.data(), name.size(), "lichen/%u", made);
    pthread_setname_np(thread.thread, name.data());
  }
  for (unsigned ready = start.ready.load(); ready != made - 1; ready = start.ready.load())
    detail::futex_wait(start.ready, ready, no_deadline);
  for (unsigned i = 1; i < made; ++i)
    if (threads[i].error != Error{}) failure = threads[i].error;

  const bool runs = failure == Error{};
  if (runs && start.allowed) bind(0, start);
  start.gate.store(static_cast<std::uint32_t>(runs ? Gate::open : Gate::cancelled));
  detail::futex_wake(start.gate, INT_MAX);
  if (runs) entry(0);
  for (unsigned i = 1; i < made; ++i) pthread_join(threads[i].thread, nullptr);
  if (runs && pin) (void)sched_setaffinity(0, sizeof(allowed), &allowed);
  resign(0);
  started.store(false);
  if (!runs) return failure;
  return {};
}

void wait(CoreId self, std::uint64_t deadline_ns) noexcept {
  auto& word = wake_word(self);
  std::uint32_t expected = running;
  if (word.compare_exchange_strong(expected, waiting))
    detail::futex_wait(word, waiting, deadline_ns);
  word.exchange(running);
}

void wake(CoreId core) noexcept {
  auto& word = wake_word(core);
  if (word.exchange(token) == waiting) detail::futex_wake(word, 1);
}

void yield_to_host() noexcept { sched_yield(); }

// The second number is the time spent on a run queue (Documentation/scheduler/sched-stats.rst).
std::uint64_t taken_ns() noexcept {
  std::array<char, 96> text{};
  if (!read_text("/proc/thread-self/schedstat", text)) return 0;
  const char* const waited = std::strchr(text.data(), ' ');
  return waited ? std::strtoull(waited, nullptr, 10) : 0;
}

std::uint64_t waits() noexcept {
  rusage usage{};
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? static_cast<std::uint64_t>(usage.ru_nvcsw) : 0;
}

}  // namespace lichen::hal

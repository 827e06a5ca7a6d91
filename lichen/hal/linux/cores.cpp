// Cores are threads, bound to processors where there are enough.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "lichen/hal/linux/interrupts.hpp"
#include "lichen/hal/linux/machine.hpp"

namespace lichen::hal {

namespace {

// Where a core sleeps. A futex word: nobody waits, a wake has come, or the core sleeps.
class Bed {
 public:
  void wait(std::uint64_t deadline_ns) noexcept {
    std::uint32_t expected = none;
    if (word_.compare_exchange_strong(expected, sleeping)) {
      timespec deadline{static_cast<time_t>(deadline_ns / 1'000'000'000),
                        static_cast<long>(deadline_ns % 1'000'000'000)};
      // An absolute deadline of the monotonic clock. Any return is as good: the caller looks again.
      syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET_PRIVATE, sleeping,
              deadline_ns == no_deadline ? nullptr : &deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
    }
    word_.store(none);
  }
  void wake() noexcept {
    if (word_.exchange(woken) == sleeping)
      syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  static constexpr std::uint32_t none = 0;
  static constexpr std::uint32_t woken = 1;
  static constexpr std::uint32_t sleeping = 2;
  alignas(64) std::atomic<std::uint32_t> word_{none};
};

std::array<Bed, max_cores> beds;
constinit thread_local unsigned core_of_thread = 0;

struct Launch {
  base::FunctionRef<void(unsigned)> entry;
  std::atomic<int> verdict{0};  // 0: wait, 1: go, -1: not all threads could be made
};
struct Start {
  Launch* launch;
  unsigned core;
  int cpu;  // -1: any
};

void bind(int cpu) noexcept {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

void* run_thread(void* argument) noexcept {
  const Start start = *static_cast<Start*>(argument);
  char name[16];
  std::snprintf(name, sizeof name, "lichen/%u", start.core);
  pthread_setname_np(pthread_self(), name);
  core_of_thread = start.core;
  int verdict;
  while ((verdict = start.launch->verdict.load(std::memory_order_acquire)) == 0)
    syscall(SYS_futex, &start.launch->verdict, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  if (verdict > 0) {
    bind(start.cpu);
    enter_core(start.core);
    start.launch->entry(start.core);
    leave_core(start.core);
  }
  return nullptr;
}

}  // namespace

unsigned core_count_available() noexcept {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? static_cast<unsigned>(count) : 1;
}

unsigned this_core() noexcept { return core_of_thread; }
void wait(unsigned core, std::uint64_t deadline_ns) noexcept { beds[core].wait(deadline_ns); }
void wake(unsigned core) noexcept { beds[core].wake(); }
void yield_to_host() noexcept { sched_yield(); }

Result<void> run_cores(const CoreOptions& options, base::FunctionRef<void(unsigned core)> entry) {
  if (options.count == 0 || options.count > max_cores) return Error::out_of_range;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const bool may_pin = options.pin && sched_getaffinity(0, sizeof allowed, &allowed) == 0 &&
                       CPU_COUNT(&allowed) >= static_cast<int>(options.count);
  int cpu = -1;
  auto next_cpu = [&]() {
    if (!may_pin) return -1;
    do ++cpu;
    while (!CPU_ISSET(cpu, &allowed));
    return cpu;
  };

  Launch launch{entry};
  std::array<Start, max_cores> starts;
  std::array<pthread_t, max_cores> threads;
  const int own_cpu = next_cpu();
  unsigned made = 1;
  for (; made < options.count; ++made) {
    starts[made] = {&launch, made, next_cpu()};
    if (pthread_create(&threads[made], nullptr, &run_thread, &starts[made]) != 0) break;
  }
  const bool all = made == options.count;
  launch.verdict.store(all ? 1 : -1, std::memory_order_release);
  syscall(SYS_futex, &launch.verdict, FUTEX_WAKE_PRIVATE, max_cores, nullptr, nullptr, 0);
  if (all) {
    // A single core is left where the host wants it unless it was given a processor of its own.
    if (options.count > 1) bind(own_cpu);
    core_of_thread = 0;
    enter_core(0);
    entry(0);
    leave_core(0);
  }
  for (unsigned i = 1; i < made; ++i) pthread_join(threads[i], nullptr);
  if (all && options.count > 1 && may_pin)
    pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
  if (!all) return Error::limit_reached;
  return {};
}

}  // namespace lichen::hal

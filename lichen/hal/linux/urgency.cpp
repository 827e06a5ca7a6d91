// A thread that the host keeps from running cannot ask to be run: each core has a bell, a thread
// that sleeps until the core should have come to something, and that goes before the core.
#include "lichen/hal/linux/urgency.hpp"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "lichen/base/error_map.hpp"
#include "lichen/hal/linux/local.hpp"
#include "lichen/hal/linux/time.hpp"

namespace lichen::hal {

namespace {

constexpr int core_priority = 1;
constexpr int bell_priority = 2;
// A core that runs has come to what is due by then: the bell would only be in its way.
constexpr std::uint64_t grace_ns = 150'000;
// It rings again, for a core that was just going to say that it is not urgent.
constexpr std::uint64_t again_ns = 1'000'000;
constexpr std::size_t bell_stack = std::size_t{64} * 1024;

struct alignas(cache_line) Urgency {
  std::atomic<bool> offered{false};
  std::atomic<bool> wanted{false};
  std::atomic<std::uint64_t> from_ns{no_deadline};  // the core's word
  std::atomic<std::uint64_t> sleeps_until_ns{0};    // the bell's; 0: it is awake
  std::atomic<std::uint32_t> calls{0};
  std::atomic<bool> ending{false};
  pthread_t bell{};
  // What the thread that is the core was before.
  int policy = SCHED_OTHER;
  int priority = 0;
};
constinit std::array<Urgency, max_cores> urgencies{};

// What the thread starts is not urgent.
int set_policy(pid_t thread, int policy, int priority) noexcept {
  const sched_param parameters{.sched_priority = priority};
  return sched_setscheduler(thread, policy | SCHED_RESET_ON_FORK, &parameters);
}

void apply(const Urgency& urgency, pid_t thread, bool urgent) noexcept {
  // A right that was taken back meanwhile leaves the core where it is.
  if (thread == 0) return;
  (void)(urgent ? set_policy(thread, SCHED_FIFO, core_priority)
                : set_policy(thread, urgency.policy, urgency.priority));
}

// Several may do so at a time: who comes last sees what was wanted last.
void apply(CoreId core) noexcept {
  const Urgency& urgency = urgencies[core];
  bool urgent = false;
  pid_t thread = 0;
  do {
    urgent = urgency.wanted.load();
    thread = detail::thread_of(core);
    apply(urgency, thread, urgent);
  } while (urgency.wanted.load() != urgent || detail::thread_of(core) != thread);
}

void call_bell(Urgency& urgency) noexcept {
  urgency.calls.fetch_add(1);
  syscall(SYS_futex, &urgency.calls, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void sleep_until(Urgency& urgency, std::uint32_t calls, std::uint64_t moment_ns) noexcept {
  timespec until{};
  until.tv_sec = static_cast<time_t>(moment_ns / 1'000'000'000);
  until.tv_nsec = static_cast<long>(moment_ns % 1'000'000'000);
  syscall(SYS_futex, &urgency.calls, FUTEX_WAIT_BITSET_PRIVATE, calls,
          moment_ns == no_deadline ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
}

constexpr std::uint64_t rings_at(std::uint64_t from_ns) noexcept {
  return from_ns >= no_deadline - grace_ns ? no_deadline : from_ns + grace_ns;
}

void* ring(void* argument) noexcept {
  Urgency& urgency = *static_cast<Urgency*>(argument);
  const auto core = static_cast<CoreId>(&urgency - urgencies.data());
  while (!urgency.ending.load()) {
    const std::uint32_t calls = urgency.calls.load();
    const std::uint64_t from = urgency.from_ns.load();
    std::uint64_t at = rings_at(from);
    if (const std::uint64_t now = now_ns(); at <= now) {
      set_urgent(core, true);
      at = now + again_ns;
    }
    // Pairs with urgent_from(): either it sees until when we sleep or we see what it has stored.
    urgency.sleeps_until_ns.store(at);
    if (urgency.from_ns.load() == from && !urgency.ending.load()) sleep_until(urgency, calls, at);
    urgency.sleeps_until_ns.store(0);
  }
  return nullptr;
}

}  // namespace

void set_urgent(CoreId core, bool urgent) noexcept {
  Urgency& urgency = urgencies[core];
  if (!urgency.offered.load(std::memory_order_relaxed)) return;
  if (urgency.wanted.load(std::memory_order_relaxed) == urgent) return;
  if (urgency.wanted.exchange(urgent) != urgent) apply(core);
}

void urgent_from(CoreId core, std::uint64_t moment_ns) noexcept {
  Urgency& urgency = urgencies[core];
  if (!urgency.offered.load(std::memory_order_relaxed)) return;
  if (urgency.from_ns.load(std::memory_order_relaxed) == moment_ns) return;
  urgency.from_ns.store(moment_ns);
  if (rings_at(moment_ns) < urgency.sleeps_until_ns.load()) call_bell(urgency);
}

Result<void> detail::may_be_urgent() noexcept {
  sched_param parameters{};
  const int policy = sched_getscheduler(0);
  if (policy < 0 || sched_getparam(0, &parameters) != 0) return from_errno(errno);
  if (set_policy(0, SCHED_FIFO, bell_priority) != 0) return from_errno(errno);
  (void)set_policy(0, policy, parameters.sched_priority);
  return {};
}

Result<void> detail::begin_urgency(CoreId core) noexcept {
  Urgency& urgency = urgencies[core];
  sched_param parameters{};
  const int policy = sched_getscheduler(0);
  urgency.policy = policy < 0 ? SCHED_OTHER : policy & ~SCHED_RESET_ON_FORK;
  urgency.priority = sched_getparam(0, &parameters) == 0 ? parameters.sched_priority : 0;
  urgency.wanted.store(false);
  urgency.from_ns.store(no_deadline);
  urgency.ending.store(false);

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  parameters.sched_priority = bell_priority;
  pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
  pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
  pthread_attr_setschedparam(&attributes, &parameters);
  pthread_attr_setstacksize(&attributes, std::max<std::size_t>(bell_stack, PTHREAD_STACK_MIN));
  // Signals of the process are for threads that know what to do with them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&urgency.bell, &attributes, ring, &urgency);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == EPERM) return Error::access_denied;
  if (error != 0) return error == EAGAIN ? Error::limit_reached : from_errno(error);
  std::array<char, 16> name{};
  std::snprintf(name.data(), name.size(), "lichen/%u bell", core);
  pthread_setname_np(urgency.bell, name.data());
  urgency.offered.store(true);
  return {};
}

void detail::bind_urgency(CoreId core) noexcept {
  if (!urgencies[core].offered.load(std::memory_order_relaxed)) return;
  cpu_set_t processors;
  CPU_ZERO(&processors);
  if (sched_getaffinity(0, sizeof(processors), &processors) == 0)
    (void)pthread_setaffinity_np(urgencies[core].bell, sizeof(processors), &processors);
}

void detail::move_urgency(CoreId core, pid_t before) noexcept {
  Urgency& urgency = urgencies[core];
  if (!urgency.offered.load(std::memory_order_relaxed)) return;
  if (before != thread_of(core)) apply(urgency, before, false);
  apply(core);
}

// The calling thread is the core still.
void detail::end_urgency(CoreId core) noexcept {
  Urgency& urgency = urgencies[core];
  if (!urgency.offered.load(std::memory_order_relaxed)) return;
  urgency.ending.store(true);
  call_bell(urgency);
  pthread_join(urgency.bell, nullptr);
  set_urgent(core, false);
  urgency.offered.store(false);
}

}  // namespace lichen::hal

// A thread that the host keeps from running cannot ask to be run: each core has a bell, a thread
// that sleeps until the core should have come to something, and that goes before the core.
#include "lichen/hal/linux/urgency.hpp"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "lichen/base/error_map.hpp"
#include "lichen/hal/linux/futex.hpp"
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

// sched_setattr(2), of which not every C library knows; SCHED_ATTR_SIZE_VER0.
struct Policy {
  static constexpr std::uint64_t reset_on_fork = 1;
  std::uint32_t size = sizeof(Policy);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::array<std::uint64_t, 3> deadline{};
};
static_assert(sizeof(Policy) == 48);

struct alignas(cache_line) Urgency {
  std::atomic<bool> offered{false};
  std::atomic<bool> wanted{false};
  std::atomic<bool> refused{false};  // by the bell, until the core names another moment
  std::atomic<std::uint64_t> from_ns{no_deadline};  // the core's word
  std::atomic<std::uint64_t> sleeps_until_ns{0};    // the bell's; 0: it is awake
  std::atomic<std::uint32_t> calls{0};
  std::atomic<bool> ending{false};
  pthread_t bell{};
  Policy usual;  // what the core was before, and is while it is not urgent

  [[nodiscard]] bool is_urgent() const noexcept { return wanted.load() && !refused.load(); }
};
constinit std::array<Urgency, max_cores> urgencies{};

// What such a thread starts is not urgent. A right that was taken back meanwhile leaves it as it
// is.
void apply(const Urgency& urgency, pid_t thread, bool urgent) noexcept {
  Policy wanted = urgency.usual;
  if (urgent) {
    wanted.policy = SCHED_FIFO;
    wanted.priority = core_priority;
  }
  wanted.flags |= Policy::reset_on_fork;
  syscall(SYS_sched_setattr, thread, &wanted, 0);
}

// Several may do so at a time: who comes last sees what was wanted last, and of which thread.
void apply(CoreId core) noexcept {
  const Urgency& urgency = urgencies[core];
  for (;;) {
    const bool urgent = urgency.is_urgent();
    const pid_t thread = detail::thread_of(core);
    if (thread == 0) return;
    apply(urgency, thread, urgent);
    if (detail::thread_of(core) != thread)
      apply(urgency, thread, false);
    else if (urgency.is_urgent() == urgent)
      return;
  }
}

void call_bell(Urgency& urgency) noexcept {
  urgency.calls.fetch_add(1);
  detail::futex_wake(urgency.calls, 1);
}

// By the process' own wish: its threads go before others whatever they do.
bool is_real_time(const Policy& policy) noexcept {
  return policy.priority != 0 || policy.deadline[1] != 0;
}

constexpr std::uint64_t rings_at(std::uint64_t from_ns) noexcept {
  return from_ns >= no_deadline - grace_ns ? no_deadline : from_ns + grace_ns;
}

// When to look again; `rang`: the moment for which it has rung last.
std::uint64_t ring_for(CoreId core, std::uint64_t from, std::uint64_t& rang) noexcept {
  Urgency& urgency = urgencies[core];
  const std::uint64_t at = rings_at(from);
  const std::uint64_t now = now_ns();
  if (at > now) return at;
  const bool awaited = from != rang || now - from < most_awaited_ns;
  rang = from;
  if (awaited) {
    set_urgent(core, true);
    return now + again_ns;
  }
  // Pairs with urgent_from(): either it sees this or we see what it has stored.
  urgency.refused.store(true);
  if (urgency.from_ns.load() != from) urgency.refused.store(false);
  apply(core);
  return no_deadline;
}

void* ring(void* argument) noexcept {
  Urgency& urgency = *static_cast<Urgency*>(argument);
  const auto core = static_cast<CoreId>(&urgency - urgencies.data());
  for (std::uint64_t rang = no_deadline; !urgency.ending.load();) {
    const std::uint32_t calls = urgency.calls.load();
    const std::uint64_t from = urgency.from_ns.load();
    const std::uint64_t at = ring_for(core, from, rang);
    // Pairs with urgent_from(): either it sees until when we sleep or we see what it has stored.
    urgency.sleeps_until_ns.store(at);
    if (urgency.from_ns.load() == from && !urgency.ending.load())
      detail::futex_wait(urgency.calls, calls, at);
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
  if (urgency.refused.load() && urgency.refused.exchange(false)) apply(core);
  if (rings_at(moment_ns) < urgency.sleeps_until_ns.load()) call_bell(urgency);
}

void stand_by(CoreId core, bool ready) noexcept {
  const Urgency& urgency = urgencies[core];
  if (urgency.offered.load(std::memory_order_relaxed)) apply(urgency, 0, ready);
}

Result<void> detail::begin_urgency(CoreId core) noexcept {
  Urgency& urgency = urgencies[core];
  Policy usual;
  if (syscall(SYS_sched_getattr, 0, &usual, sizeof(usual), 0) != 0) return from_errno(errno);
  if (is_real_time(usual)) return {};
  urgency.usual = {
      .policy = usual.policy, .flags = usual.flags & Policy::reset_on_fork, .nice = usual.nice};
  urgency.wanted.store(false);
  urgency.refused.store(false);
  urgency.from_ns.store(no_deadline);
  urgency.ending.store(false);

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  const sched_param parameters{.sched_priority = bell_priority};
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

void detail::take_urgency_over(CoreId core) noexcept {
  if (urgencies[core].offered.load(std::memory_order_relaxed)) apply(core);
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
  // Without CAP_SYS_NICE what it starts stays reset.
  syscall(SYS_sched_setattr, 0, &urgency.usual, 0);
}

}  // namespace lichen::hal

#include "lichen/hal/linux/interrupts.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "lichen/base/error_map.hpp"
#include "lichen/hal/linux/cores.hpp"
#include "lichen/hal/linux/local.hpp"
#include "lichen/hal/linux/time.hpp"

namespace lichen::hal {

namespace {

constinit std::array<std::atomic<InterruptHandler>, interrupt_count> handlers{};

struct Timer {
  timer_t timer{};
  bool made = false;
};
constinit std::array<Timer, max_cores> timers{};

constexpr std::size_t handler_stack_size = 64 * 1024;
thread_local std::byte* handler_stack = nullptr;

constexpr unsigned index(Interrupt interrupt) noexcept { return static_cast<unsigned>(interrupt); }

Interrupt interrupt_of(int signal) noexcept {
  if (signal == detail::signal_of(Interrupt::preempt)) return Interrupt::preempt;
  if (signal == detail::signal_of(Interrupt::deadline)) return Interrupt::deadline;
  if (signal == detail::signal_of(Interrupt::device)) return Interrupt::device;
  return signal == SIGHUP ? Interrupt::hang_up : Interrupt::terminate;
}

void serve(Interrupt interrupt, detail::Local& local) noexcept {
  if (auto* handler = handlers[index(interrupt)].load()) handler(interrupt, local.core);
}

// Keeps interrupts off while a handler runs; serves what is noted meanwhile.
void serve_noted(detail::Local& local) noexcept {
  while (local.off_depth == 0 && local.noted != 0) {
    local.off_depth = 1;
    for (unsigned i = 0; i < interrupt_count; ++i) {
      const unsigned bit = 1u << i;
      if ((local.noted & bit) == 0) continue;
      // One instruction, so that no signal comes between the read and the write.
      __atomic_fetch_and(&local.noted, ~bit, __ATOMIC_RELAXED);
      serve(static_cast<Interrupt>(i), local);
    }
    local.off_depth = 0;
  }
}

void on_signal(int signal, siginfo_t*, void* context) {
  const int error = errno;
  detail::Local& local = detail::local();
  __atomic_fetch_or(&local.noted, 1u << index(interrupt_of(signal)), __ATOMIC_RELAXED);
  if (local.off_depth == 0) {
    local.interrupted = context;
    serve_noted(local);
    local.interrupted = nullptr;
    auto* entry = std::exchange(local.after, nullptr);
    if (auto* after_call = std::exchange(local.after_call, nullptr))
      detail::redirect_around_call(context, entry, after_call);
    else if (entry)
      detail::redirect_interrupted(context, entry);
  }
  // Ends a wait that is under way or about to begin: the host restarts the call by itself.
  if (local.core != no_core) wake(local.core);
  errno = error;
}

}  // namespace

int detail::signal_of(Interrupt interrupt) noexcept {
  switch (interrupt) {
    case Interrupt::preempt: return SIGRTMIN + 1;
    case Interrupt::deadline: return SIGRTMIN + 2;
    case Interrupt::terminate: return SIGTERM;
    case Interrupt::hang_up: return SIGHUP;
    case Interrupt::device: return SIGIO;  // what the host itself sends for descriptors
  }
  return 0;
}

Result<void> detail::enter_thread() noexcept {
  find_own_stack(local());
  void* memory = mmap(nullptr, page_size + handler_stack_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return Error::no_memory;
  handler_stack = static_cast<std::byte*>(memory);
  stack_t stack{};
  stack.ss_sp = handler_stack + page_size;
  stack.ss_size = handler_stack_size;
  if (mprotect(memory, page_size, PROT_NONE) != 0 || sigaltstack(&stack, nullptr) != 0) {
    const Error error = from_errno(errno);
    munmap(memory, page_size + handler_stack_size);
    return error;
  }
  return {};
}

void detail::leave_thread() noexcept {
  stack_t off{};
  off.ss_flags = SS_DISABLE;
  sigaltstack(&off, nullptr);
  munmap(handler_stack, page_size + handler_stack_size);
  handler_stack = nullptr;
  local().stack_size = 0;
}

Result<void> register_interrupt(Interrupt interrupt, InterruptHandler handler) noexcept {
  if (index(interrupt) >= interrupt_count) return Error::invalid_argument;
  handlers[index(interrupt)].store(handler);
  const bool ours = interrupt != Interrupt::terminate && interrupt != Interrupt::hang_up;
  struct sigaction action{};
  if (handler) {
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO;
    // Handlers do not interrupt each other: what the first one wants to be called after it would be
    // called in its middle.
    for (unsigned i = 0; i < interrupt_count; ++i)
      sigaddset(&action.sa_mask, detail::signal_of(static_cast<Interrupt>(i)));
    sigaddset(&action.sa_mask, SIGINT);
  } else {
    // One that was under way when its handler went must not end the process.
    action.sa_handler = ours ? SIG_IGN : SIG_DFL;
  }
  if (sigaction(detail::signal_of(interrupt), &action, nullptr) != 0) return from_errno(errno);
  if (interrupt == Interrupt::terminate && sigaction(SIGINT, &action, nullptr) != 0)
    return from_errno(errno);
  return {};
}

void interrupts_off() noexcept {
  detail::Local& local = detail::local();
  local.off_depth = local.off_depth + 1;
}

void interrupts_on() noexcept {
  detail::Local& local = detail::local();
  local.off_depth = local.off_depth - 1;
  serve_noted(local);
  if (local.after) [[unlikely]] {
    if (auto* entry = std::exchange(local.after, nullptr)) entry();
  }
}

std::uintptr_t interrupted_at() noexcept {
#if __has_feature(thread_sanitizer)
  return 0;  // ThreadSanitizer runs handlers later, with a copy of the record
#else
  void* record = detail::local().interrupted;
  return record ? detail::address_of_interrupted(record) : 0;
#endif
}

void call_after_interrupt(void (*entry)() noexcept) noexcept { detail::local().after = entry; }

bool interrupts_are_on() noexcept { return detail::local().off_depth == 0; }

Result<void> send_interrupt(CoreId core) noexcept {
  const pid_t thread = detail::thread_of(core);
  if (thread == 0) return Error::invalid_argument;
  if (!handlers[index(Interrupt::preempt)].load()) return Error::invalid_state;
  if (tgkill(getpid(), thread, detail::signal_of(Interrupt::preempt)) != 0)
    return from_errno(errno);
  return {};
}

namespace {

std::uint64_t read_clock(clockid_t clock) noexcept {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::uint64_t now_ns() noexcept { return read_clock(CLOCK_MONOTONIC); }

std::uint64_t core_time_ns() noexcept { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

Result<void> arm_deadline(CoreId core, std::uint64_t deadline_ns) noexcept {
  const pid_t thread = detail::thread_of(core);
  if (thread == 0 || core != detail::local().core) return Error::invalid_argument;
  if (!handlers[index(Interrupt::deadline)].load()) return Error::invalid_state;
  Timer& timer = timers[core];
  if (!timer.made) {
    if (deadline_ns == no_deadline) return {};
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = detail::signal_of(Interrupt::deadline);
    event._sigev_un._tid = thread;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer.timer) != 0) return Error::no_memory;
    timer.made = true;
  }
  itimerspec at{};
  if (deadline_ns != no_deadline) {
    // Zero would disarm.
    const std::uint64_t moment = deadline_ns == 0 ? 1 : deadline_ns;
    at.it_value.tv_sec = static_cast<time_t>(moment / 1'000'000'000);
    at.it_value.tv_nsec = static_cast<long>(moment % 1'000'000'000);
  }
  if (timer_settime(timer.timer, TIMER_ABSTIME, &at, nullptr) != 0) return from_errno(errno);
  return {};
}

void detail::drop_timer(CoreId core) noexcept {
  Timer& timer = timers[core];
  if (std::exchange(timer.made, false)) timer_delete(timer.timer);
}

}  // namespace lichen::hal

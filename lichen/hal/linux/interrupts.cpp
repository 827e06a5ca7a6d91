// Interrupts are signals. Off means noted: a signal that comes meanwhile sets a bit of its thread.
#include "lichen/hal/linux/interrupts.hpp"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include "lichen/hal/linux/machine.hpp"

namespace lichen::hal {

namespace {

int timer_signal() noexcept { return SIGRTMIN; }
int call_signal() noexcept { return SIGRTMIN + 1; }

std::array<std::atomic<InterruptHandler*>, interrupt_count> handlers{};
std::array<std::atomic<pid_t>, max_cores> core_threads{};

// Of the running thread; touched by its own signal handlers only.
struct InterruptState {
  std::atomic<unsigned> off{0};      // nesting
  std::atomic<unsigned> pending{0};  // a bit for each Interrupt
};
constinit thread_local InterruptState interrupts [[gnu::tls_model("initial-exec")]];
constinit thread_local timer_t core_timer{};
constinit thread_local bool has_core_timer = false;

void dispatch(Interrupt interrupt) noexcept {
  if (InterruptHandler* handler = handlers[static_cast<std::size_t>(interrupt)].load())
    handler(interrupt);
}

void on_signal(int signal) noexcept {
  const int saved_errno = errno;
  const Interrupt interrupt = signal == timer_signal()  ? Interrupt::timer
                              : signal == call_signal() ? Interrupt::call
                              : signal == SIGHUP        ? Interrupt::reload
                                                        : Interrupt::stop;
  if (interrupts.off.load(std::memory_order_relaxed) > 0)
    interrupts.pending.fetch_or(1U << static_cast<unsigned>(interrupt), std::memory_order_relaxed);
  else
    dispatch(interrupt);
  errno = saved_errno;
}

bool set_signal(int signal, bool handled) noexcept {
  struct sigaction action{};
  if (handled) {
    action.sa_handler = [](int number) { on_signal(number); };
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
  } else {
    action.sa_handler = SIG_DFL;
  }
  return sigaction(signal, &action, nullptr) == 0;
}

}  // namespace

void enter_core(unsigned core) noexcept {
  core_threads[core].store(static_cast<pid_t>(syscall(SYS_gettid)));
}
void leave_core(unsigned core) noexcept {
  core_threads[core].store(0);
  if (has_core_timer) {
    timer_delete(core_timer);
    has_core_timer = false;
  }
}

Result<void> on_interrupt(Interrupt interrupt, InterruptHandler* handler) noexcept {
  handlers[static_cast<std::size_t>(interrupt)].store(handler);
  const bool handled = handler != nullptr;
  bool set = true;
  switch (interrupt) {
    case Interrupt::timer: set = set_signal(timer_signal(), handled); break;
    case Interrupt::call: set = set_signal(call_signal(), handled); break;
    case Interrupt::stop: set = set_signal(SIGINT, handled) && set_signal(SIGTERM, handled); break;
    case Interrupt::reload: set = set_signal(SIGHUP, handled); break;
  }
  if (!set) return Error::internal;
  return {};
}

void send_interrupt(unsigned core) noexcept {
  if (const pid_t thread = core_threads[core].load()) syscall(SYS_tgkill, getpid(), thread, call_signal());
}

InterruptsOff::InterruptsOff() noexcept {
  interrupts.off.fetch_add(1, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

InterruptsOff::~InterruptsOff() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (interrupts.off.fetch_sub(1, std::memory_order_relaxed) != 1) return;
  while (unsigned pending = interrupts.pending.exchange(0, std::memory_order_relaxed))
    for (unsigned i = 0; i < interrupt_count; ++i)
      if (pending & (1U << i)) dispatch(static_cast<Interrupt>(i));
}

Result<void> arm_deadline(std::uint64_t deadline_ns) noexcept {
  if (!has_core_timer) {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = timer_signal();
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
    if (timer_create(CLOCK_MONOTONIC, &event, &core_timer) != 0) return Error::limit_reached;
    has_core_timer = true;
  }
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(deadline_ns / 1'000'000'000);
  when.it_value.tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000);
  if (deadline_ns == 0) when.it_value.tv_nsec = 1;  // zero would disarm
  if (timer_settime(core_timer, TIMER_ABSTIME, &when, nullptr) != 0) return Error::invalid_argument;
  return {};
}

void disarm_deadline() noexcept {
  if (!has_core_timer) return;
  const itimerspec never{};
  timer_settime(core_timer, 0, &never, nullptr);
}

}  // namespace lichen::hal

// Waits of the host's that a signal ends with EINTR although its handler wants calls to be made
// again (signal(7)): poll(), select(), sleeps. An app is not to be told of the machine's own
// interrupts. So these names are ours; on a core's thread they hold those signals back while
// the C library's function of the same name waits. All other signals end the wait as ever.
//
// Nothing is lost by that: a task in such a call can neither be preempted nor left behind, and an
// interrupt that came meanwhile is served when the call returns. On a thread that is no core
// nothing is done.
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "lichen/hal/linux/local.hpp"

#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

namespace lichen::hal {
namespace {

class InterruptsHeld {
 public:
  InterruptsHeld() noexcept : held_{detail::local().core != no_core} {
    if (!held_) return;
    sigset_t ours;
    sigemptyset(&ours);
    add_to(ours);
    pthread_sigmask(SIG_BLOCK, &ours, &before_);
  }
  InterruptsHeld(const InterruptsHeld&) = delete;
  InterruptsHeld& operator=(const InterruptsHeld&) = delete;
  ~InterruptsHeld() {
    if (held_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  // For calls that replace the mask while they wait.
  const sigset_t* mask(const sigset_t* wanted) noexcept {
    if (!wanted || !held_) return wanted;
    wanted_ = *wanted;
    add_to(wanted_);
    return &wanted_;
  }

 private:
  static void add_to(sigset_t& set) noexcept {
    sigaddset(&set, detail::signal_of(Interrupt::preempt));
    sigaddset(&set, detail::signal_of(Interrupt::deadline));
    sigaddset(&set, detail::signal_of(Interrupt::device));
  }

  const bool held_;
  sigset_t before_;
  sigset_t wanted_;
};

template <class Function>
Function* library(const char* name) noexcept {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace
}  // namespace lichen::hal

// The names are given to the linker only: the headers' own declarations may be more than that.
#define LICHEN_WAIT(result, name, ...)                        \
  extern "C" result lichen_##name(__VA_ARGS__) __asm__(#name) \
      __attribute__((visibility("default"), used));           \
  extern "C" result lichen_##name(__VA_ARGS__)
#define LICHEN_LIBRARY(name) \
  static const auto wait = lichen::hal::library<decltype(lichen_##name)>(#name)

using lichen::hal::InterruptsHeld;

LICHEN_WAIT(int, poll, pollfd* files, nfds_t count, int timeout) {
  LICHEN_LIBRARY(poll);
  const InterruptsHeld held;
  return wait(files, count, timeout);
}

LICHEN_WAIT(int, ppoll, pollfd* files, nfds_t count, const timespec* timeout,
            const sigset_t* mask) {
  LICHEN_LIBRARY(ppoll);
  InterruptsHeld held;
  return wait(files, count, timeout, held.mask(mask));
}

LICHEN_WAIT(int, select, int count, fd_set* in, fd_set* out, fd_set* other, timeval* timeout) {
  LICHEN_LIBRARY(select);
  const InterruptsHeld held;
  return wait(count, in, out, other, timeout);
}

LICHEN_WAIT(int, pselect, int count, fd_set* in, fd_set* out, fd_set* other,
            const timespec* timeout, const sigset_t* mask) {
  LICHEN_LIBRARY(pselect);
  InterruptsHeld held;
  return wait(count, in, out, other, timeout, held.mask(mask));
}

LICHEN_WAIT(int, epoll_wait, int epoll, epoll_event* events, int most, int timeout) {
  LICHEN_LIBRARY(epoll_wait);
  const InterruptsHeld held;
  return wait(epoll, events, most, timeout);
}

LICHEN_WAIT(int, epoll_pwait, int epoll, epoll_event* events, int most, int timeout,
            const sigset_t* mask) {
  LICHEN_LIBRARY(epoll_pwait);
  InterruptsHeld held;
  return wait(epoll, events, most, timeout, held.mask(mask));
}

LICHEN_WAIT(int, nanosleep, const timespec* length, timespec* left) {
  LICHEN_LIBRARY(nanosleep);
  const InterruptsHeld held;
  return wait(length, left);
}

LICHEN_WAIT(int, clock_nanosleep, clockid_t clock, int flags, const timespec* until,
            timespec* left) {
  LICHEN_LIBRARY(clock_nanosleep);
  const InterruptsHeld held;
  return wait(clock, flags, until, left);
}

LICHEN_WAIT(int, usleep, unsigned length) {
  LICHEN_LIBRARY(usleep);
  const InterruptsHeld held;
  return wait(length);
}

LICHEN_WAIT(unsigned, sleep, unsigned seconds) {
  LICHEN_LIBRARY(sleep);
  const InterruptsHeld held;
  return wait(seconds);
}

LICHEN_WAIT(int, sem_timedwait, sem_t* semaphore, const timespec* until) {
  LICHEN_LIBRARY(sem_timedwait);
  const InterruptsHeld held;
  return wait(semaphore, until);
}

#endif

#include "lichen/hal/linux/faults.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "lichen/base/error_map.hpp"
#include "lichen/hal/linux/local.hpp"

// Where the program begins, and where its code ends, from the linker.
extern "C" const char __executable_start[];
extern "C" const char etext[];

namespace lichen::hal {

namespace {

struct Cause {
  int signal;
  const char* name;
};
constexpr std::array<Cause, 4> causes{{
    {SIGSEGV, "a bad memory access"},
    {SIGBUS, "an access to memory that is not there"},
    {SIGFPE, "an arithmetic fault"},
    {SIGILL, "an illegal instruction"},
}};

constinit std::atomic<FaultHandler> the_handler{nullptr};

// The pages below a thread's own stack: a guard, or for the first thread the end of what it may
// grow to, which the host keeps free. A large frame may reach beyond the first of them.
constexpr std::uintptr_t below_stack = 64 * 1024;

bool below_own_stack(const detail::Local& local, std::uintptr_t address) noexcept {
  return local.stack_size != 0 && address >= local.stack_begin - below_stack &&
         address < local.stack_begin + page_size;
}

std::uintptr_t if_code(std::uintptr_t at) noexcept {
  const bool code = at > reinterpret_cast<std::uintptr_t>(__executable_start) &&
                    at < reinterpret_cast<std::uintptr_t>(etext);
  return code ? at : 0;
}

// Of a call to where there is no code: the call itself was well, so its stack is.
std::uintptr_t caller_of(void* record) noexcept {
  return if_code(
      *reinterpret_cast<const std::uintptr_t*>(detail::stack_pointer_of_interrupted(record)));
}

void on_fault(int signal, siginfo_t* info, void* record) {
  // From here on the host does what it does: once this returns the instruction faults again.
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  if (info->si_code <= 0) {  // sent by somebody
    syscall(SYS_tgkill, getpid(), gettid(), signal);
    return;
  }
  const detail::Local& local = detail::local();
  FaultHandler handler = the_handler.load();
  if (!handler || local.core == no_core) return;
  const auto* cause = std::ranges::find(causes, signal, &Cause::signal);
  const bool memory = signal == SIGSEGV || signal == SIGBUS;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const std::uintptr_t at = detail::address_of_interrupted(record);
  handler({.core = local.core,
           .what = cause->name,
           .address = memory ? address : 0,
           .at = if_code(at),
           .caller = memory && address == at ? caller_of(record) : 0,
           .overrun = memory && below_own_stack(local, address) ? local.stack_size : 0});
}

}  // namespace

void detail::find_own_stack(Local& local) noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  void* begin = nullptr;
  std::size_t size = 0;
  if (pthread_attr_getstack(&attributes, &begin, &size) == 0) {
    local.stack_begin = reinterpret_cast<std::uintptr_t>(begin);
    local.stack_size = size;
  }
  pthread_attr_destroy(&attributes);
}

Result<void> register_fault_handler(FaultHandler handler) noexcept {
  the_handler.store(handler);
  for (std::size_t i = 0; i < causes.size(); ++i) {
    struct sigaction action{};
    if (sigaction(causes[i].signal, nullptr, &action) != 0) return from_errno(errno);
    const bool ours = (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == &on_fault;
    if (handler) {
      if (ours || (action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) continue;
      action.sa_sigaction = on_fault;
      action.sa_flags = SA_ONSTACK | SA_SIGINFO;
      sigemptyset(&action.sa_mask);
    } else {
      if (!ours) continue;
      action.sa_handler = SIG_DFL;
      action.sa_flags = 0;
    }
    if (sigaction(causes[i].signal, &action, nullptr) != 0) return from_errno(errno);
  }
  return {};
}

}  // namespace lichen::hal

#include "lichen/hal/linux/host_call.hpp"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lichen/base/error_map.hpp"
#include "lichen/hal/linux/futex.hpp"
#include "lichen/hal/linux/interrupts.hpp"
#include "lichen/hal/linux/local.hpp"
#include "lichen/hal/linux/unwind.hpp"
#include "lichen/hal/linux/urgency.hpp"

namespace lichen::hal {

namespace {

using detail::Module;

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

struct Known {
  const char* name;
  std::uintptr_t address;
};

template <class Function>
std::uintptr_t address_of(Function* function) noexcept {
  return reinterpret_cast<std::uintptr_t>(function);
}

// Functions of the C library in which a flow may be left: each makes its call of the host with no
// lock of the library's held and runs nobody else's code. So not those of <cstdio>, which lock
// their stream, not the look-up of names, not the allocator.
struct Calls {
  std::optional<Module> library = detail::module_of(address_of(&gnu_get_libc_version));
  std::optional<Module> program = detail::module_of(address_of(&host_call));
  std::array<Known, 51> known{{
      {"read", address_of(&::read)},
      {"write", address_of(&::write)},
      {"pread", address_of(&::pread)},
      {"pwrite", address_of(&::pwrite)},
      {"pread64", address_of(&::pread64)},
      {"pwrite64", address_of(&::pwrite64)},
      {"readv", address_of(&::readv)},
      {"writev", address_of(&::writev)},
      {"preadv", address_of(&::preadv)},
      {"pwritev", address_of(&::pwritev)},
      {"sendfile", address_of(&::sendfile)},
      {"splice", address_of(&::splice)},
      {"tee", address_of(&::tee)},
      {"open", address_of(&::open)},
      {"open64", address_of(&::open64)},
      {"openat", address_of(&::openat)},
      {"openat64", address_of(&::openat64)},
      {"fcntl", address_of(&::fcntl)},
      {"fcntl64", address_of(&::fcntl64)},
      {"flock", address_of(&::flock)},
      {"lockf", address_of(&::lockf)},
      {"ioctl", address_of(&::ioctl)},
      {"tcdrain", address_of(&::tcdrain)},
      {"recv", address_of(&::recv)},
      {"recvfrom", address_of(&::recvfrom)},
      {"recvmsg", address_of(&::recvmsg)},
      {"recvmmsg", address_of(&::recvmmsg)},
      {"send", address_of(&::send)},
      {"sendto", address_of(&::sendto)},
      {"sendmsg", address_of(&::sendmsg)},
      {"sendmmsg", address_of(&::sendmmsg)},
      {"accept", address_of(&::accept)},
      {"accept4", address_of(&::accept4)},
      {"connect", address_of(&::connect)},
      {"wait", address_of(&::wait)},
      {"waitpid", address_of(&::waitpid)},
      {"waitid", address_of(&::waitid)},
      {"wait3", address_of(&::wait3)},
      {"wait4", address_of(&::wait4)},
      {"msgrcv", address_of(&::msgrcv)},
      {"msgsnd", address_of(&::msgsnd)},
      {"mq_receive", address_of(&::mq_receive)},
      {"mq_send", address_of(&::mq_send)},
      {"pthread_mutex_lock", address_of(&::pthread_mutex_lock)},
      {"pthread_rwlock_rdlock", address_of(&::pthread_rwlock_rdlock)},
      {"pthread_rwlock_wrlock", address_of(&::pthread_rwlock_wrlock)},
      {"pthread_cond_wait", address_of(&::pthread_cond_wait)},
      {"pthread_barrier_wait", address_of(&::pthread_barrier_wait)},
      {"pthread_join", address_of(&::pthread_join)},
      {"sem_wait", address_of(&::sem_wait)},
      {"syscall", address_of(&::syscall)},
  }};

  [[nodiscard]] const Known* find(std::uintptr_t address) const noexcept {
    const auto* found = std::ranges::find(known, address, &Known::address);
    return found == known.end() ? nullptr : found;
  }
  // Of programs that are linked statically we could not tell the library's code from ours.
  [[nodiscard]] bool can_tell() const noexcept {
    return library && program && library->code.begin != program->code.begin;
  }
};

const Calls& calls() noexcept {
  static const Calls the_calls;
  return the_calls;
}
// Before a handler may look.
[[gnu::constructor]] void look_around() noexcept { (void)calls(); }

template <class T>
T read_code(std::uintptr_t address) noexcept {
  T value;
  std::memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

std::uintptr_t read_slot(const Module& program, std::uintptr_t next,
                         std::int32_t distance) noexcept {
  const std::uintptr_t slot = next + static_cast<std::uintptr_t>(std::intptr_t{distance});
  return program.can_read(slot, sizeof(std::uintptr_t)) ? read_code<std::uintptr_t>(slot) : 0;
}

// The function that the call before `back` has called (Intel SDM volume 2, CALL and JMP): it goes
// through the program's table of addresses, directly or by way of a stub that jumps there; the
// linker writes no others for another object's functions. 0: another kind of call.
std::uintptr_t called_before(const Module& program, std::uintptr_t back) noexcept {
  constexpr std::uintptr_t longest = 6;
  constexpr std::size_t stub_size = 11;
  if (!program.code.holds(back - longest, longest)) return 0;
  const auto distance = read_code<std::int32_t>(back - 4);
  if (read_code<std::uint16_t>(back - 6) == 0x15ff) return read_slot(program, back, distance);
  if (read_code<std::uint8_t>(back - 5) != 0xe8) return 0;
  std::uintptr_t stub = back + static_cast<std::uintptr_t>(std::intptr_t{distance});
  if (!program.code.holds(stub, stub_size)) return 0;
  if (read_code<std::uint32_t>(stub) == 0xfa1e0ff3) stub += 4;  // endbr64
  if (read_code<std::uint8_t>(stub) == 0xf2) stub += 1;         // bnd
  if (read_code<std::uint16_t>(stub) != 0x25ff) return 0;
  return read_slot(program, stub + 6, read_code<std::int32_t>(stub + 2));
}

// Through ::syscall() calls can be made that begin or end a flow, which cares where its stack is.
bool moves_flow(std::uintptr_t number) noexcept {
  switch (number) {
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
    case SYS_execve:
    case SYS_execveat:
    case SYS_exit:
    case SYS_exit_group:
    case SYS_rt_sigreturn: return true;
    default: return false;
  }
}

}  // namespace

std::optional<HostCall> host_call(std::span<std::byte> stack,
                                  bool (*counts)(std::uintptr_t)) noexcept {
  using namespace detail;
  constexpr std::uint16_t system_call = 0x050f;
  constexpr unsigned most_frames = 8;
  const Local& mine = local();
  const Calls& all = calls();
  if (sanitized || !mine.interrupted || !all.can_tell()) return std::nullopt;
  const Module& library = *all.library;
  Registers registers = registers_of(mine.interrupted);
  undo_redirection(registers);
  const std::uintptr_t at = registers[instruction_register];
  if (!library.code.holds(at, 2) || read_code<std::uint16_t>(at) != system_call ||
      moves_flow(registers[0]))
    return std::nullopt;

  const auto begin = reinterpret_cast<std::uintptr_t>(stack.data());
  const Range whole = stack.empty() ? Range{mine.stack_begin, mine.stack_begin + mine.stack_size}
                                    : Range{begin, begin + stack.size()};
  const std::uintptr_t top = registers[stack_pointer_register];
  if (!whole.holds(top)) return std::nullopt;
  Frames frames{registers, {top, whole.end}};
  for (unsigned i = 0; library.code.holds(frames.instruction()); ++i)
    if (i == most_frames || !frames.step(library)) return std::nullopt;

  const std::uintptr_t back = frames.instruction();
  if (!counts(back) || !counts(back - 1)) return std::nullopt;
  // A function may have gone on in another one of the library's, or been gone on in.
  const Known* called = all.find(called_before(*all.program, back));
  if (!called) called = all.find(frames.callee());
  if (!called) return std::nullopt;
  return HostCall{.name = called->name, .caller = back};
}

void call_around_host_call(void (*before)() noexcept, void (*after)() noexcept) noexcept {
  detail::Local& mine = detail::local();
  mine.after = before;
  mine.after_call = after;
}

Result<void> HostThread::start(void (*entry)(void*) noexcept, void* argument) noexcept {
  constexpr std::size_t stack_size = 128 * 1024;  // it runs the executor on stacks of the pool
  entry_ = entry;
  argument_ = argument;
  pthread_attr_t attributes;
  if (const int error = pthread_attr_init(&attributes); error != 0) return from_errno(error);
  pthread_attr_setstacksize(&attributes, stack_size);
  const int error = pthread_create(&thread_, &attributes, &run, this);
  pthread_attr_destroy(&attributes);
  if (error != 0) return error == EAGAIN ? Error::limit_reached : from_errno(error);
  return {};
}

void* HostThread::run(void* self) noexcept {
  auto& thread = *static_cast<HostThread*>(self);
  pthread_setname_np(pthread_self(), "lichen/stand-in");
  // Without a stack of their own, handlers do with the one that they interrupt.
  const bool ready = detail::enter_thread().has_value();
  thread.entry_(thread.argument_);
  if (ready) detail::leave_thread();
  return nullptr;
}

void HostThread::join() noexcept { pthread_join(thread_, nullptr); }

void HostThread::sleep() noexcept {
  while (word_.exchange(0, std::memory_order_acquire) == 0)
    detail::futex_wait(word_, 0, no_deadline);
}

void HostThread::wake() noexcept {
  word_.store(1, std::memory_order_release);
  detail::futex_wake(word_, 1);
}

void give_core_up() noexcept {
  detail::set_thread(std::exchange(detail::local().core, no_core), 0);
}

void take_core_over(CoreId core) noexcept {
  detail::drop_timer(core);
  detail::set_thread(core, gettid());
  detail::take_urgency_over(core);
  detail::local().core = core;
}

}  // namespace lichen::hal

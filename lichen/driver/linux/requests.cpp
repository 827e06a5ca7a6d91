#include "lichen/driver/linux/requests.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "lichen/base/error_map.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::driver {

namespace {

// What a signal handler may touch.
constinit std::atomic<int> the_bell{-1};
constinit std::atomic<bool> stop_wanted{false};
constinit std::atomic<bool> reload_wanted{false};

void on_interrupt(hal::Interrupt interrupt, hal::CoreId) noexcept {
  (interrupt == hal::Interrupt::terminate ? stop_wanted : reload_wanted).store(true);
  const std::uint64_t one = 1;
  // Fails only when it has been rung very often and nobody looked.
  [[maybe_unused]] const ssize_t written = write(the_bell.load(), &one, sizeof one);
}

bool is_ignored(int signal) noexcept {
  struct sigaction action;
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

HostRequests::~HostRequests() {
  if (!listening_) return;
  hal::register_interrupt(hal::Interrupt::terminate, nullptr).ignore();
  if (reload_) hal::register_interrupt(hal::Interrupt::hang_up, nullptr).ignore();
  the_bell.store(-1);
}

Result<void> HostRequests::listen() noexcept {
  if (listening_) return {};
  Descriptor bell{eventfd(0, EFD_CLOEXEC)};
  if (bell.get() < 0) return from_errno(errno);
  int none = -1;
  if (!the_bell.compare_exchange_strong(none, bell.get())) return Error::busy;
  stop_wanted.store(false);
  reload_wanted.store(false);
  bell_ = std::move(bell);
  listening_ = true;
  TRY(hal::register_interrupt(hal::Interrupt::terminate, &on_interrupt));
  if (!is_ignored(SIGHUP)) {
    TRY(hal::register_interrupt(hal::Interrupt::hang_up, &on_interrupt));
    reload_ = true;
  }
  return {};
}

Task<Result<io::Request>> HostRequests::next(UringCores& cores) {
  CO_TRY(listen());
  for (;;) {
    if (stop_wanted.exchange(false)) co_return io::Request::stop;
    if (reload_wanted.exchange(false)) co_return io::Request::reload;
    std::uint64_t rings = 0;
    CO_TRY(co_await cores.here().submit([&](io_uring_sqe& sqe) noexcept {
      sqe.opcode = IORING_OP_READ;
      sqe.fd = bell_.get();
      sqe.addr = reinterpret_cast<std::uint64_t>(&rings);
      sqe.len = sizeof rings;
    }));
  }
}

}  // namespace lichen::driver

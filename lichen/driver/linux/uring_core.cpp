#include "lichen/driver/linux/uring_core.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "lichen/base/log.hpp"
#include "lichen/base/member.hpp"
#include "lichen/driver/linux/uring_cores.hpp"

namespace lichen::driver {

Result<std::unique_ptr<UringCore>> UringCore::create(coro::Core& core,
                                                     const UringOptions& options) {
  std::unique_ptr<UringCore> uring{new (std::nothrow) UringCore{core, options}};
  if (!uring) return Error::no_memory;
  TRY(uring->set_up());
  return uring;
}

Result<void> UringCore::set_up() {
  ring_ = TRY(Ring::create(options_.ring));
  if (features().has(Feature::buffer_ring) && features().has(Feature::multishot_receive)) {
    Result<std::unique_ptr<BufferRing>> buffers =
        BufferRing::create(*ring_, core_, options_.buffers);
    if (buffers)
      buffers_ = *std::move(buffers);
    else
      ring_->lose(Feature::buffer_ring, buffers.error());
  }
  if (features().has(Feature::registered_files)) register_files();
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return from_errno(errno);
  arm_wakes();
  return {};
}

void UringCore::register_files() noexcept {
  io_uring_rsrc_register table{};
  table.nr = options_.registered_files;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  const Result<int> registered = ring_->register_with(IORING_REGISTER_FILES2, &table, sizeof table);
  if (!registered) return ring_->lose(Feature::registered_files, registered.error());
  free_slots_.reserve(table.nr);
  for (unsigned slot = table.nr; slot-- > 0;) free_slots_.push_back(static_cast<int>(slot));
}

UringCore::~UringCore() {
  if (ring_ && wake_fd_ >= 0) {
    // What is left is the closing of sockets that were just let go of, and what stopped tasks no
    // longer wait for: it ends by itself.
    while (poll(), in_flight_.get() > 1) wait(UINT64_MAX);
    closing_ = true;
    cancel(wakes_);
    while (poll(), in_flight_.get() > 0) wait(UINT64_MAX);
    const std::lock_guard last_foreigner_left{foreign_calls_};
  }
  if (joined_) joined_->set(core_.index(), nullptr);
  buffers_.reset();
  if (wake_fd_ >= 0) close(wake_fd_);
}

void UringCore::join(UringCores& cores) noexcept {
  joined_ = &cores;
  cores.set(core_.index(), this);
}

unsigned UringCore::poll() noexcept {
  if (listening_) [[unlikely]]
    stop_listening();
  ring_->submit();
  const unsigned count = ring_->reap([this](const io_uring_cqe& cqe) { deliver(cqe); });
  if (buffers_) buffers_->collect_returned();
  return count + take_calls();
}

void UringCore::wait(std::uint64_t deadline_ns) noexcept {
  // Pairs with call(): we say that we wait and then look for calls; the caller puts one in and then
  // looks whether we wait.
  waiting_.store(true, std::memory_order_seq_cst);
  std::uint64_t timeout = UINT64_MAX;
  if (!calls_.empty()) {
    timeout = 0;
  } else if (deadline_ns != UINT64_MAX) {
    const std::uint64_t now = coro::hooks::now_ns();
    timeout = deadline_ns > now ? deadline_ns - now : 0;
  }
  ring_->submit_and_wait(timeout);
  waiting_.store(false, std::memory_order_relaxed);
}

// From here on it is as if the core waited, except that it does something else meanwhile.
bool UringCore::listen() noexcept {
  if (!doorbell_) {
    auto doorbell = Doorbell::create(*ring_);
    if (!doorbell) {
      ring_->lose(Feature::interrupts, doorbell.error());
      return false;
    }
    doorbell_ = *std::move(doorbell);
  }
  doorbell_->arm();
  listening_ = true;
  waiting_.store(true, std::memory_order_seq_cst);
  ring_->raise_eventfd(true);
  return ring_->has_completions() || !calls_.empty();
}

void UringCore::stop_listening() noexcept {
  ring_->raise_eventfd(false);
  waiting_.store(false, std::memory_order_relaxed);
  listening_ = false;
}

void UringCore::wake() noexcept {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the core has been woken.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

// The poll is edge-triggered, so each write to the eventfd completes it once and nobody has to
// read.
void UringCore::arm_wakes() noexcept {
  io_uring_sqe& sqe = prepare(wakes_);
  sqe.opcode = IORING_OP_POLL_ADD;
  sqe.fd = wake_fd_;
  sqe.poll32_events = POLLIN;
  sqe.len = IORING_POLL_ADD_MULTI;
}

void UringCore::woken(io::Operation& operation, io::Completion completion) noexcept {
  auto& self = *base::holder_of<UringCore, &UringCore::wakes_>(&operation);
  if (!(completion.flags & IORING_CQE_F_MORE) && !self.closing_) self.arm_wakes();
}

void UringCore::link_timeout(io_uring_sqe& sqe, coro::Duration limit,
                             __kernel_timespec& timeout) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  timeout = {.tv_sec = seconds.count(), .tv_nsec = (limit - seconds).count()};
  sqe.flags |= IOSQE_IO_LINK;
  io_uring_sqe& watch = prepare_unheard();
  watch.opcode = IORING_OP_LINK_TIMEOUT;
  watch.fd = -1;
  watch.addr = reinterpret_cast<std::uint64_t>(&timeout);
  watch.len = 1;
}

void UringCore::cancel(io::Operation& operation) noexcept {
  io_uring_sqe& sqe = prepare_unheard();
  sqe.opcode = IORING_OP_ASYNC_CANCEL;
  sqe.fd = -1;
  sqe.addr = reinterpret_cast<std::uint64_t>(&operation);
}

void UringCore::call(RemoteCall& remote) noexcept {
  calls_.push(remote);
  if (waiting_.load(std::memory_order_seq_cst) &&
      waiting_.exchange(false, std::memory_order_seq_cst))
    wake();
}

void UringCore::call_as_foreigner(RemoteCall& remote) noexcept {
  const std::lock_guard guard{foreign_calls_};
  call(remote);
}

unsigned UringCore::take_calls() noexcept {
  if (calls_.empty()) [[likely]]
    return 0;
  unsigned count = 0;
  for (RemoteCall* remote = calls_.take_all(); remote; ++count) {
    RemoteCall& current = *std::exchange(remote, remote->next);
    current.function(current);
  }
  return count;
}

void UringCore::deliver(const io_uring_cqe& cqe) noexcept {
  if (cqe.user_data == 0) return;
  if (!(cqe.flags & IORING_CQE_F_MORE)) in_flight_.subtract();
  reinterpret_cast<io::Operation*>(cqe.user_data)->complete({cqe.res, cqe.flags});
}

UringStatistics UringCore::statistics() const noexcept {
  const RingCounters& ring = ring_->counters();
  return {.submissions = ring.submissions.get(),
          .completions = ring.completions.get(),
          .enters = ring.enters.get(),
          .overflows = ring.overflows.get(),
          .in_flight = in_flight_.get() - 1,  // without the wait for wakes
          .buffers_in_use = buffers_ ? buffers_->in_use() : 0,
          .sockets = sockets_.get()};
}

}  // namespace lichen::driver

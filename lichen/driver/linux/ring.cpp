#include "lichen/driver/linux/ring.hpp"

#include <fcntl.h>
#include <linux/time_types.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "lichen/base/error_map.hpp"
#include "lichen/base/log.hpp"

namespace lichen::driver {

namespace {

constexpr unsigned operation_ftruncate = 55;  // IORING_OP_FTRUNCATE, newer than our kernel headers
constexpr unsigned needed_features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP |
                                     IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL |
                                     IORING_FEAT_EXT_ARG;

int io_uring_setup(unsigned entries, io_uring_params& parameters) noexcept {
  return static_cast<int>(syscall(__NR_io_uring_setup, entries, &parameters));
}

// kernel.io_uring_disabled (Linux 6.6): 0 for all, 1 for the privileged, 2 for nobody.
int io_uring_disabled() noexcept {
  const int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char digit = 0;
  const ssize_t size = read(fd, &digit, 1);
  close(fd);
  return size == 1 ? digit - '0' : -1;
}

}  // namespace

std::string_view explain_setup_failure(int error, int disabled) noexcept {
  switch (error) {
    case ENOSYS:
      return "this kernel has no io_uring: Lichen needs Linux 5.11 or newer, built with "
             "CONFIG_IO_URING";
    case EPERM:
    case EACCES:
      if (disabled > 0)
        return "io_uring is switched off on this machine: set kernel.io_uring_disabled=0 with "
               "sysctl";
      return "io_uring is refused by a security policy, often a container's: allow the calls "
             "io_uring_setup, io_uring_enter and io_uring_register (docker: --security-opt "
             "seccomp=unconfined)";
    case ENOMEM: return "no memory for an io_uring: raise the limit of locked memory (ulimit -l)";
    case EMFILE:
    case ENFILE:
      return "no descriptor left for an io_uring: raise the limit of open files (ulimit -n)";
    case EINVAL: return "this kernel's io_uring is too old: Lichen needs Linux 5.11 or newer";
    default: return "io_uring could not be set up";
  }
}

Ring::Ring() noexcept : thread_{gettid()} {}

Result<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) {
  std::unique_ptr<Ring> ring{new (std::nothrow) Ring};
  if (!ring) return Error::no_memory;
  TRY(ring->set_up(options));
  return ring;
}

Result<void> Ring::set_up(const RingOptions& options) noexcept {
  constexpr unsigned always = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  constexpr unsigned deferred = always | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                                IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  constexpr unsigned cooperative =
      always | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  constexpr std::array attempts{deferred, cooperative, always};

  io_uring_params parameters{};
  const std::size_t first = options.allowed.has(Feature::deferred_work) ? 0 : 1;
  for (std::size_t i = first; ring_.get() < 0 && i < attempts.size(); ++i) {
    parameters = {};
    parameters.flags = attempts[i];
    parameters.cq_entries = options.completions;
    ring_ = Descriptor{io_uring_setup(options.entries, parameters)};
    if (ring_.get() < 0 && errno != EINVAL) break;
  }
  if (ring_.get() < 0) {
    const int error = errno;
    log::error("{}", explain_setup_failure(error, io_uring_disabled()));
    return error == EINVAL ? Error::not_supported : from_errno(error);
  }
  if ((parameters.features & needed_features) != needed_features) {
    log::error("{}", explain_setup_failure(EINVAL, -1));
    return Error::not_supported;
  }
  enter_fd_ = ring_.get();
  if (Result<void> mapped = map(parameters); !mapped) {
    log::error("{}", explain_setup_failure(ENOMEM, -1));
    return mapped;
  }
  probe(parameters, options.allowed);
  return {};
}

Result<void> Ring::map(const io_uring_params& parameters) noexcept {
  const io_sqring_offsets& sq = parameters.sq_off;
  const io_cqring_offsets& cq = parameters.cq_off;
  TRY(memory_.map(ring_.get(), parameters));
  sqes_ = memory_.entries();
  sq_head_ = memory_.word(sq.head);
  sq_tail_shared_ = memory_.word(sq.tail);
  sq_flags_ = memory_.word(sq.flags);
  sq_mask_ = *memory_.word(sq.ring_mask);
  sq_entries_ = room_ = parameters.sq_entries;
  cq_head_ = memory_.word(cq.head);
  cq_tail_ = memory_.word(cq.tail);
  cq_flags_ = memory_.word(cq.flags);
  raise_eventfd(false);
  cq_mask_ = *memory_.word(cq.ring_mask);
  cqes_ = memory_.completions(cq.cqes);
  return {};
}

void Ring::probe(const io_uring_params& parameters, Features allowed) noexcept {
  constexpr unsigned asked = 64;
  alignas(io_uring_probe)
      std::array<std::byte, sizeof(io_uring_probe) + asked * sizeof(io_uring_probe_op)>
          memory{};
  auto* answer = reinterpret_cast<io_uring_probe*>(memory.data());
  if (register_with(IORING_REGISTER_PROBE, answer, asked)) {
    for (unsigned i = 0; i < answer->ops_len && i < asked; ++i)
      if (answer->ops[i].flags & IO_URING_OP_SUPPORTED) operations_ |= std::uint64_t{1} << i;
  }

  auto found = [&](Feature feature, bool there) {
    if (!allowed.has(feature)) there = false;
    if (there)
      features_.add(feature);
    else
      log::info("io_uring without {}: {}", name(feature), fallback(feature));
  };
  found(Feature::deferred_work, (parameters.flags & IORING_SETUP_DEFER_TASKRUN) != 0);
  // Neither multishot flag can be asked for; each came with an operation that can.
  found(Feature::multishot_accept, offers(IORING_OP_SOCKET));
  found(Feature::multishot_receive, offers(IORING_OP_SEND_ZC));
  found(Feature::buffer_ring, offers(IORING_OP_SOCKET));
  found(Feature::registered_files, offers(IORING_OP_SOCKET));
  found(Feature::send_zero_copy, offers(IORING_OP_SEND_ZC) && offers(IORING_OP_SENDMSG_ZC));
  found(Feature::open_beneath, offers(IORING_OP_OPENAT2));
  found(Feature::truncate, offers(operation_ftruncate));
  found(Feature::interrupts, offers(IORING_OP_SENDMSG_ZC));

  bool registered = false;
  if (allowed.has(Feature::registered_ring)) {
    io_uring_rsrc_update update{};
    update.offset = ~0U;
    update.data = static_cast<std::uint64_t>(ring_.get());
    if (register_with(IORING_REGISTER_RING_FDS, &update, 1)) {
      registered = true;
      enter_fd_ = static_cast<int>(update.offset);
      enter_flags_ = IORING_ENTER_REGISTERED_RING;
    }
  }
  found(Feature::registered_ring, registered);
}

void Ring::lose(Feature feature, Error reason) noexcept {
  if (!features_.has(feature)) return;
  features_ = features_.without(feature);
  log::info("io_uring without {} ({}): {}", name(feature), reason, fallback(feature));
}

Ring::~Ring() {
  if (enter_flags_ & IORING_ENTER_REGISTERED_RING) {
    io_uring_rsrc_update update{};
    update.offset = static_cast<unsigned>(enter_fd_);
    register_with(IORING_UNREGISTER_RING_FDS, &update, 1).ignore();
  }
}

Result<int> Ring::register_with(unsigned operation, void* argument, unsigned count) noexcept {
  const long result = syscall(__NR_io_uring_register, ring_.get(), operation, argument, count);
  if (result < 0) return from_errno(errno);
  return static_cast<int>(result);
}

int Ring::enter(unsigned submit, unsigned wait_for, unsigned flags, const void* argument,
                std::size_t size) noexcept {
  counters_.enters.add();
  const long result = syscall(__NR_io_uring_enter, enter_fd_, submit, wait_for,
                              flags | enter_flags_, argument, size);
  return result < 0 ? -errno : static_cast<int>(result);
}

io_uring_sqe& Ring::prepare() noexcept {
  counters_.submissions.add();
  if (queued() >= room_) [[unlikely]] {
    reserve(1);
    if (room_ == 0) return overflow_.emplace_back();
  }
  io_uring_sqe& sqe = next_entry();
  std::memset(&sqe, 0, sizeof sqe);
  return sqe;
}

io_uring_sqe& Ring::next_entry() noexcept { return sqes_[sq_tail_++ & sq_mask_]; }

void Ring::reserve(unsigned count) noexcept {
  if (queued() + count <= room_) [[likely]]
    return;
  if (gettid() != thread_) {
    counters_.overflows.add();
    room_ = 0;  // whatever comes from now on comes behind
    return;
  }
  if (room_ == 0) take_overflow();
  if (queued() + count <= room_) return;
  flush(0);
  // The kernel takes nothing while it has no room for completions: make some.
  while (queued() > 0) {
    flush(IORING_ENTER_GETEVENTS);
    spill();
    if (queued() > 0) sched_yield();
  }
}

// In order, entries that are linked to each other at once.
void Ring::take_overflow() noexcept {
  room_ = sq_entries_;
  while (!overflow_.empty()) {
    unsigned linked = 1;
    while (linked < overflow_.size() && (overflow_[linked - 1].flags & IOSQE_IO_LINK) != 0)
      ++linked;
    reserve(linked);
    for (; linked > 0; --linked) {
      next_entry() = overflow_.front();
      overflow_.pop_front();
    }
  }
}

void Ring::spill() noexcept {
  unsigned head = *cq_head_;
  const unsigned tail = load_acquire(cq_tail_);
  if (head != tail) counters_.overflows.add();
  for (; head != tail; ++head) spilled_.push_back(cqes_[head & cq_mask_]);
  store_release(cq_head_, head);
}

void Ring::flush(unsigned flags) noexcept {
  store_release(sq_tail_shared_, sq_tail_);
  enter(queued(), 0, flags, nullptr, 0);
}

void Ring::submit() noexcept {
  if (room_ == 0) [[unlikely]]
    take_overflow();
  const unsigned flags = load_acquire(sq_flags_);
  if (flags & IORING_SQ_CQ_OVERFLOW) [[unlikely]]
    counters_.overflows.add();
  if (queued() > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0)
    flush(IORING_ENTER_GETEVENTS);
}

void Ring::submit_and_wait(std::uint64_t timeout_ns) noexcept {
  if (room_ == 0) [[unlikely]]
    take_overflow();
  if (!spilled_.empty()) return submit();
  store_release(sq_tail_shared_, sq_tail_);
  constexpr unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  constexpr std::uint64_t second = 1'000'000'000;
  __kernel_timespec timeout{.tv_sec = static_cast<long long>(timeout_ns / second),
                            .tv_nsec = static_cast<long long>(timeout_ns % second)};
  io_uring_getevents_arg argument{};
  if (timeout_ns != UINT64_MAX) argument.ts = reinterpret_cast<std::uint64_t>(&timeout);
  enter(queued(), 1, flags, &argument, sizeof argument);
}

}  // namespace lichen::driver

#include "lichen/driver/linux/tap.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>

#include "lichen/base/error_map.hpp"
#include "lichen/base/member.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/io/net_header.hpp"
#include "lichen/io/turn.hpp"

namespace lichen::driver {

namespace {

// IORING_OP_READ_MULTISHOT of Linux 6.7; the headers of Debian 12 are older.
constexpr std::uint8_t op_read_multishot = 49;

using Header = io::NetHeader;

// With its header.
constexpr std::size_t largest_read = sizeof(Header) + io::largest_frame;

Error from_open(int error) noexcept {
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO: return Error::not_supported;
    case EPERM: return Error::access_denied;
    default: return from_errno(error);
  }
}

// The device's own descriptor, ready for frames with headers.
Result<Descriptor> attach(std::string_view name, const TapOptions& options,
                          io::NetFeatures& features) noexcept {
  ifreq request{};
  if (name.empty() || name.size() >= sizeof request.ifr_name || name.contains('/') ||
      name.contains('\0'))
    return Error::invalid_argument;
  Descriptor fd{::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)};
  if (fd.get() < 0) return from_open(errno);
  std::ranges::copy(name, request.ifr_name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (options.several_queues) request.ifr_flags |= IFF_MULTI_QUEUE;
  if (ioctl(fd.get(), TUNSETIFF, &request) < 0) return from_open(errno);
  int value = sizeof(Header);
  if (ioctl(fd.get(), TUNSETVNETHDRSZ, &value) < 0) return Error::not_supported;
  value = 1;
  if (ioctl(fd.get(), TUNSETVNETLE, &value) < 0) return Error::not_supported;
  // A device that was left open by somebody with other wishes keeps them unless it is told ours.
  const unsigned wanted = options.offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0U;
  const bool offloads = ioctl(fd.get(), TUNSETOFFLOAD, wanted) == 0 && options.offload;
  features = {.checksum = offloads, .segmentation4 = offloads, .segmentation6 = offloads};
  return fd;
}

// What the host calls the device's address is its own end's; ours is another.
std::array<std::byte, 6> our_address(int fd) noexcept {
  ifreq request{};
  std::array<std::byte, 6> address{std::byte{0x02}};
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) return address;
  std::memcpy(address.data(), request.ifr_hwaddr.sa_data, address.size());
  address[0] = (address[0] | std::byte{0x02}) & std::byte{0xFE};
  address[5] ^= std::byte{1};
  return address;
}

}  // namespace

// What the kernel may still refer to when the device is gone: the descriptor, the buffers and the
// request that fills them. Of one core; close() is its last use, it frees itself when the kernel is
// done with it.
class TapQueue {
 public:
  // 0 frames: it only sends.
  static Result<TapQueue*> create(UringCore& core, Descriptor fd, unsigned frames) noexcept;

  [[nodiscard]] bool is_short_of_buffers() noexcept {
    const auto many_held = [this] { return buffers_->in_use() > buffers_->count() / 2; };
    if (!buffers_ || !many_held()) [[likely]]
      return false;
    buffers_->collect_returned();
    return many_held();
  }
  [[nodiscard]] UringCore& core() noexcept { return core_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  // As many frames as are there, or the error that ended it.
  Result<std::size_t> take(std::span<io::ReceivedFrame> into) noexcept;
  // Asks for frames, of a queue that receives, and waits for news.
  auto wait() noexcept {
    if (!armed_ && buffers_) arm();
    return news_.wait(core_.core());
  }
  void close() noexcept {
    if (core_.is_here())
      close_here();
    else
      core_.call(remote_close_);
  }

 private:
  explicit TapQueue(UringCore& core, Descriptor fd) noexcept;

  void arm() noexcept;
  void received(io::Completion completion) noexcept;
  void ended(std::int32_t result) noexcept;
  void close_here() noexcept;
  void free_if_done() noexcept {
    if (closing_ && !armed_) delete this;
  }

  UringCore& core_;
  Descriptor fd_;
  std::unique_ptr<BufferRing> buffers_;
  io::Operation receive_;
  io::HomeSignal news_;
  RemoteCall remote_close_;
  std::uint16_t first_ = BufferRing::none;  // chain of received frames
  std::uint16_t last_ = BufferRing::none;
  Error error_{};
  bool multishot_;
  bool armed_ = false;
  bool polling_ = false;  // armed for readiness: no buffer is free
  bool closing_ = false;
};

TapQueue::TapQueue(UringCore& core, Descriptor fd) noexcept
    : core_{core},
      fd_{std::move(fd)},
      receive_{[](io::Operation& operation, io::Completion completion) noexcept {
        base::holder_of<TapQueue, &TapQueue::receive_>(&operation)->received(completion);
      }},
      remote_close_{.function =
                        [](RemoteCall& call) noexcept {
                          base::holder_of<TapQueue, &TapQueue::remote_close_>(&call)->close_here();
                        }},
      multishot_{core.ring().offers(op_read_multishot)} {}

Result<TapQueue*> TapQueue::create(UringCore& core, Descriptor fd, unsigned frames) noexcept {
  std::unique_ptr<TapQueue> queue{new (std::nothrow) TapQueue{core, std::move(fd)}};
  if (!queue) return Error::no_memory;
  if (frames == 0) return queue.release();
  const unsigned count = std::bit_ceil(std::clamp(frames, 2U, 32'768U));
  queue->buffers_ = TRY(BufferRing::create(core.ring(), core.core(),
                                           {.count = count,
                                            .size = std::bit_ceil(largest_read),
                                            .posted_at_first = std::min(count, 64U),
                                            .group = core.take_buffer_group()}));
  return queue.release();
}

void TapQueue::arm() noexcept {
  armed_ = true;
  buffers_->collect_returned();
  io_uring_sqe& sqe = core_.prepare(receive_);
  sqe.fd = fd_.get();
  if (polling_) {
    sqe.opcode = IORING_OP_POLL_ADD;
    sqe.poll32_events = POLLIN;
    return;
  }
  sqe.opcode = multishot_ ? op_read_multishot : static_cast<std::uint8_t>(IORING_OP_READ);
  sqe.flags = IOSQE_BUFFER_SELECT;
  sqe.buf_group = buffers_->group();
  // A multishot read takes what the buffer has room for, and wants no length.
  sqe.len = multishot_ ? 0 : buffers_->buffer_size();
  sqe.off = ~std::uint64_t{0};
}

void TapQueue::received(io::Completion completion) noexcept {
  if (completion.flags & IORING_CQE_F_BUFFER) {
    const auto id = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
    buffers_->taken();
    if (completion.result > static_cast<std::int32_t>(sizeof(Header)) && !closing_) {
      buffers_->length(id) = static_cast<std::uint32_t>(completion.result);
      buffers_->next(id) = BufferRing::none;
      (first_ != BufferRing::none ? buffers_->next(last_) : first_) = id;
      last_ = id;
    } else {
      buffers_->put(id);
    }
  }
  if (!(completion.flags & IORING_CQE_F_MORE)) {
    armed_ = false;
    if (closing_) return free_if_done();
    ended(completion.result);
  }
  news_.notify();
}

void TapQueue::ended(std::int32_t result) noexcept {
  const bool polled = std::exchange(polling_, false);
  if (result > 0) return;
  switch (-result) {
    case 0:
    case ECANCELED:
    case EINTR:
    case EAGAIN: break;
    // The device keeps its frames, or drops them, until somebody gives buffers back: seldom enough
    // that the host may be asked at each frame.
    case ENOBUFS: polling_ = !buffers_->replenish(); break;
    case EINVAL:
      if (multishot_ && !polled) {
        multishot_ = false;
        break;
      }
      [[fallthrough]];
    // Somebody has removed the device.
    case EBADFD: error_ = Error::not_connected; break;
    default: error_ = from_errno(-result);
  }
}

Result<std::size_t> TapQueue::take(std::span<io::ReceivedFrame> into) noexcept {
  std::size_t count = 0;
  while (count < into.size() && first_ != BufferRing::none) {
    const std::uint16_t id = std::exchange(first_, buffers_->next(first_));
    io::ReceivedFrame& frame = into[count++];
    frame.bytes = io::Buffer{*buffers_, buffers_->bytes(id), buffers_->length(id)};
    Header header;
    std::memcpy(&header, frame.bytes.bytes().data(), sizeof header);
    frame.work = io::work_of(header);
    frame.bytes.consume(sizeof header);
  }
  if (count == 0 && error_ != Error{}) return error_;
  return count;
}

void TapQueue::close_here() noexcept {
  closing_ = true;
  for (std::uint16_t id = first_; id != BufferRing::none; id = buffers_->next(id))
    buffers_->put(id);
  if (armed_) core_.cancel(receive_);
  free_if_done();
}

namespace {

// Writes of several frames, one after the other; the first that fails ends the chain.
class [[nodiscard("co_await it")]] SendFrames : io::OperationWait {
 public:
  SendFrames(TapQueue& queue, std::span<const std::span<const iovec>> frames) noexcept
      : OperationWait{queue.core(), &completed}, queue_{queue}, frames_{frames} {}

  static bool await_ready() noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    coro::Preemption& core = *coro::this_preemption();
    core.begin_suspension();
    if (!begin(handle.promise())) {
      core.abandon_suspension();
      return false;
    }
    queue_.core().ring().reserve(static_cast<unsigned>(frames_.size()));
    for (const std::span<const iovec>& frame : frames_) {
      io_uring_sqe& sqe = queue_.core().prepare(*this);
      sqe.opcode = IORING_OP_WRITEV;
      sqe.fd = queue_.fd();
      sqe.addr = reinterpret_cast<std::uint64_t>(frame.data());
      sqe.len = static_cast<std::uint32_t>(frame.size());
      sqe.off = ~std::uint64_t{0};
      if (&frame != &frames_.back()) sqe.flags |= IOSQE_IO_LINK;
    }
    return true;
  }
  Result<std::size_t> await_resume() noexcept {
    if (end()) return Error::stopped;
    if (error_ == 0 || error_ == EAGAIN || sent_ > 0) return sent_;
    if ((error_ == ECANCELED || error_ == EINTR) && stop_requested()) return Error::stopped;
    return from_errno(error_);
  }

 private:
  static void completed(io::Operation& operation, io::Completion completion) noexcept {
    auto& self = static_cast<SendFrames&>(operation);
    if (completion.result < 0) {
      if (self.error_ == 0) self.error_ = -completion.result;
    } else if (self.error_ == 0) {
      ++self.sent_;
    }
    if (++self.completed_ == self.frames_.size()) self.finish();
  }

  TapQueue& queue_;
  const std::span<const std::span<const iovec>> frames_;
  std::size_t completed_ = 0;
  std::size_t sent_ = 0;
  int error_ = 0;
};

class HostTap final : public io::NetDevice {
 public:
  HostTap(TapQueue& queue, const TapOptions& options, io::NetFeatures features) noexcept
      : queue_{queue}, address_{our_address(queue.fd())}, mtu_{options.mtu}, features_{features} {}
  HostTap(const HostTap&) = delete;
  HostTap& operator=(const HostTap&) = delete;
  ~HostTap() override { queue_.close(); }

  Task<Result<std::size_t>> receive(std::span<io::ReceivedFrame> into) override {
    const io::Stay stay = co_await io::StayOn{queue_.core().core()};
    io::Turn turn{receiving_};
    if (!turn) co_return Error::busy;
    if (into.empty()) co_return Error::invalid_argument;
    for (;;) {
      if (const std::size_t count = CO_TRY(queue_.take(into))) co_return count;
      CO_TRY(co_await queue_.wait());
    }
  }

  Task<Result<std::size_t>> send(std::span<const io::OutgoingFrame> frames) override {
    const io::Stay stay = co_await io::StayOn{queue_.core().core()};
    io::Turn turn{sending_};
    if (!turn) co_return Error::busy;
    if (frames.empty()) co_return std::size_t{0};
    if (frames.size() > most_frames) co_return Error::too_large;
    std::size_t used = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto& [pieces, work] = frames[i];
      if (pieces.size() > most_pieces) co_return Error::too_large;
      headers_[i] = io::header_of(work);
      const std::size_t first = used;
      vectors_[used++] = {&headers_[i], sizeof(Header)};
      for (const auto& piece : pieces)
        vectors_[used++] = {const_cast<std::byte*>(piece.data()), piece.size()};
      outgoing_[i] = std::span{vectors_}.subspan(first, used - first);
    }
    co_return co_await SendFrames{queue_, std::span{outgoing_}.first(frames.size())};
  }

  bool is_short_of_buffers() noexcept override { return queue_.is_short_of_buffers(); }
  std::array<std::byte, 6> address() const noexcept override { return address_; }
  std::size_t mtu() const noexcept override { return mtu_; }
  io::NetFeatures features() const noexcept override { return features_; }
  [[nodiscard]] int fd() const noexcept { return queue_.fd(); }

 private:
  TapQueue& queue_;
  const std::array<std::byte, 6> address_;
  const std::size_t mtu_;
  const io::NetFeatures features_;
  bool receiving_ = false;
  bool sending_ = false;
  // While frames are sent.
  std::array<Header, most_frames> headers_;
  std::array<iovec, most_frames*(most_pieces + 1)> vectors_;
  std::array<std::span<const iovec>, most_frames> outgoing_;
};

}  // namespace

Result<std::unique_ptr<io::NetDevice>> open_tap(UringCores& cores, std::string_view name,
                                                const TapOptions& options) noexcept {
  io::NetFeatures features;
  Descriptor fd = TRY(attach(name, options, features));
  TapQueue* queue =
      TRY(TapQueue::create(cores.here(), std::move(fd), std::max(options.frames, 2U)));
  std::unique_ptr<io::NetDevice> device{new (std::nothrow) HostTap{*queue, options, features}};
  if (device) return device;
  queue->close();
  return Error::no_memory;
}

Result<std::unique_ptr<io::NetDevice>> open_tap_beside(UringCores& cores,
                                                       const io::NetDevice& first,
                                                       const TapOptions& options) noexcept {
  Descriptor fd{fcntl(static_cast<const HostTap&>(first).fd(), F_DUPFD_CLOEXEC, 0)};
  if (fd.get() < 0) return from_errno(errno);
  TapQueue* queue = TRY(TapQueue::create(cores.here(), std::move(fd), 0));
  std::unique_ptr<io::NetDevice> device{new (std::nothrow)
                                            HostTap{*queue, options, first.features()}};
  if (device) return device;
  queue->close();
  return Error::no_memory;
}

}  // namespace lichen::driver

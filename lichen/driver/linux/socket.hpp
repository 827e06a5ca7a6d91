// Socket: a connected stream socket, and HostStream, its face as io::Stream.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/uring_core.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/io/stream.hpp"

namespace lichen::driver {

// What of a connection the kernel may still refer to when its stream is gone. It belongs to one
// core and is used there only; close() is its last use, it frees itself when the kernel is done
// with it.
//
// Receiving: one multishot request stays armed from the first wait for data to the end of the
// stream and fills a chain of buffers from the core's BufferRing. A peer that sends faster than
// somebody reads makes us withdraw the request, so that the data stays in the kernel and its window
// closes. Where the kernel has no multishot or no buffer is free, we wait until the socket is
// readable and then read.
class Socket {
 public:
  // Takes the descriptor over. Null when there is no memory; the descriptor is closed then.
  static Socket* create(UringCore& core, int fd) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  [[nodiscard]] UringCore& core() noexcept { return core_; }
  [[nodiscard]] int fd() const noexcept { return fd_; }

  // What has been received, the empty Buffer at the end of the stream, the error that ended it, or
  // nothing: then wait() and look again.
  [[nodiscard]] std::optional<Result<io::Buffer>> next() noexcept;
  // Puts back the rest of what next() yielded.
  void put_back(io::Buffer rest) noexcept { front_ = std::move(rest); }
  // Asks for data and waits for news.
  auto wait() noexcept {
    if (!armed_) arm();
    return news_.wait(core_.core());
  }

  // co_await send(bytes, flags): Result<unsigned>, how many were sent. `flags` as of send(2).
  auto send(std::span<const std::byte> from, int flags) noexcept {
    will_send();
    return core_.submit([this, from, flags](io_uring_sqe& sqe) noexcept {
      sqe.opcode = is_worth_zero_copy(from.size()) ? IORING_OP_SEND_ZC : IORING_OP_SEND;
      name_file(sqe);
      sqe.addr = reinterpret_cast<std::uint64_t>(from.data());
      sqe.len = static_cast<std::uint32_t>(std::min<std::size_t>(from.size(), send_limit));
      sqe.msg_flags = static_cast<std::uint32_t>(flags | MSG_NOSIGNAL);
    });
  }
  // Called before each request to send. A socket that sends often is entered into the ring's table
  // of files, so that the kernel need not look up and count its descriptor each time.
  void will_send() noexcept {
    if (sends_ < sends_before_slot && ++sends_ == sends_before_slot) register_file();
  }
  // Says in a request that it is about this socket.
  void name_file(io_uring_sqe& sqe) const noexcept {
    sqe.fd = slot_ready_ ? slot_ : fd_;
    if (slot_ready_) sqe.flags |= IOSQE_FIXED_FILE;
  }

  // The end, from any core. Nobody may wait.
  void close() noexcept;

  Socket* next_accepted = nullptr;  // in the queue of a listener
  bool reading = false;             // a read is in progress
  bool writing = false;             // a write is in progress

 private:
  static constexpr unsigned queue_limit = 8;  // buffers queued before the peer has to wait
  static constexpr std::size_t fallback_size = 8192;
  static constexpr std::uint8_t sends_before_slot = 16;
  static constexpr std::size_t send_limit = 1U << 30;  // bytes in one request

  Socket(UringCore& core, int fd) noexcept;
  ~Socket() = default;

  void register_file() noexcept;
  void file_registered(std::int32_t result) noexcept;
  [[nodiscard]] bool is_worth_zero_copy(std::size_t size) noexcept {
    return size >= core_.options().zero_copy_from && may_send_zero_copy();
  }
  [[nodiscard]] bool may_send_zero_copy() noexcept;
  void arm() noexcept;
  void arm_multishot() noexcept;
  void arm_poll() noexcept;
  void received(io::Completion completion) noexcept;
  void request_ended(std::int32_t result) noexcept;
  void became_readable(std::int32_t result) noexcept;
  [[nodiscard]] std::optional<Result<io::Buffer>> read_now() noexcept;
  io::Buffer take_queued() noexcept;
  void close_here() noexcept;
  void free_if_done() noexcept;

  UringCore& core_;
  io::Operation receive_;
  io::Operation close_;
  io::Operation register_;
  io::HomeSignal news_;
  io::Buffer front_;
  RemoteCall remote_close_;
  int fd_;
  int slot_ = UringCore::no_slot;           // in the ring's table of files
  std::uint16_t first_ = BufferRing::none;  // chain of received buffers
  std::uint16_t last_ = BufferRing::none;
  std::uint16_t queued_ = 0;
  std::uint8_t in_flight_ = 0;
  std::uint8_t sends_ = 0;  // counted up to sends_before_slot
  enum class ZeroCopy : std::uint8_t { undecided, no, yes } zero_copy_ = ZeroCopy::undecided;
  bool slot_ready_ = false;
  Error error_{};
  bool armed_ = false;
  bool polling_ = false;    // armed for readiness, not for data
  bool withdrawn_ = false;  // the request is being cancelled
  bool starved_ = false;    // no buffer was free: poll once
  bool readable_ = false;   // a poll said so
  bool ended_ = false;
  bool closing_ = false;
};

class HostStream final : public io::Stream {
 public:
  explicit HostStream(Socket& socket) noexcept : socket_{socket} {}
  HostStream(const HostStream&) = delete;
  HostStream& operator=(const HostStream&) = delete;
  ~HostStream() override { socket_.close(); }

  static void* operator new(std::size_t size) noexcept { return coro::hooks::allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    coro::hooks::free_frame(memory, size);
  }

  Task<Result<std::size_t>> read(std::span<std::byte> into) override;
  Task<Result<io::Buffer>> receive() override;
  Task<Result<std::size_t>> write(std::span<const std::byte> from) override;
  Task<Result<void>> write_all(std::span<const std::byte> from) override;
  Task<Result<void>> write_pieces(std::span<const std::span<const std::byte>> pieces) override;
  Task<Result<void>> shutdown(io::Direction direction) override;
  void abort() noexcept override;
  [[nodiscard]] io::Address peer() const override;

 private:
  Socket& socket_;
};

// A stream for the socket; closes it and yields Error::no_memory where there is no memory.
Result<std::unique_ptr<io::Stream>> make_stream(Socket* socket) noexcept;

}  // namespace lichen::driver

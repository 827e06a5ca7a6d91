// HostListener: accepts connections on one core.
#pragma once

#include <linux/time_types.h>

#include <cstdint>
#include <memory>

#include "lichen/driver/linux/socket.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/io/system.hpp"

namespace lichen::driver {

// What of a listener the kernel may still refer to when the listener is gone; as Socket.
//
// One multishot request accepts while anybody waits. Out of descriptors or memory, it pauses and
// tries again: connections stay in the kernel's backlog meanwhile and none is lost.
class Acceptor {
 public:
  // Takes the descriptor over.
  static Acceptor* create(UringCore& core, int fd) noexcept;
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  [[nodiscard]] UringCore& core() noexcept { return core_; }
  [[nodiscard]] int fd() const noexcept { return fd_; }

  // The next connection, or null: then wait() and look again, unless closed().
  [[nodiscard]] Socket* next() noexcept;
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] Error error() const noexcept { return error_; }
  auto wait() noexcept {
    if (!armed_ && !pausing_) arm();
    return news_.wait(core_.core());
  }

  // Both from any core, once. destroy() is the last use.
  void close() noexcept;
  void destroy() noexcept;

  bool accepting = false;  // an accept is in progress

 private:
  static constexpr unsigned queue_limit = 256;  // connections accepted before anybody asked

  Acceptor(UringCore& core, int fd) noexcept;
  ~Acceptor() = default;

  void arm() noexcept;
  void accepted(io::Completion completion) noexcept;
  void failed(int error) noexcept;
  void pause() noexcept;
  void close_here() noexcept;
  void free_if_done() noexcept;

  UringCore& core_;
  io::Operation accept_;
  io::Operation pause_;
  io::Operation close_;
  io::HomeSignal news_;
  RemoteCall remote_close_;
  RemoteCall remote_destroy_;
  Socket* first_ = nullptr;
  Socket* last_ = nullptr;
  int fd_;
  std::uint16_t queued_ = 0;
  std::uint8_t in_flight_ = 0;
  Error error_{};
  bool armed_ = false;
  bool withdrawn_ = false;
  bool pausing_ = false;
  bool complained_ = false;  // the log was told that we are out of something
  bool closed_ = false;
  bool destroyed_ = false;
  __kernel_timespec pause_length_{};
};

class HostListener final : public io::Listener {
 public:
  HostListener(Acceptor& acceptor, io::Address local, std::uint64_t name_inode) noexcept
      : acceptor_{acceptor}, local_{local}, name_inode_{name_inode} {}
  HostListener(const HostListener&) = delete;
  HostListener& operator=(const HostListener&) = delete;
  ~HostListener() override;

  // A listener on `core`, which MUST be the calling one.
  static Result<std::unique_ptr<io::Listener>> create(UringCore& core, const io::Address& at,
                                                      const io::ListenOptions& options);

  Task<Result<std::unique_ptr<io::Stream>>> accept() override;
  [[nodiscard]] io::Address local() const override { return local_; }
  // Takes a local socket's name out of the file system, if it is still ours.
  void close() noexcept override;

 private:
  void remove_name() noexcept;

  Acceptor& acceptor_;
  io::Address local_;
  std::uint64_t name_inode_;
  bool closed_ = false;
};

}  // namespace lichen::driver

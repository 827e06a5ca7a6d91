// The host's end of tests of our own TCP/IP: blocking sockets, on threads of their own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/io/stream.hpp"

namespace lichen::driver::test {

inline sockaddr_in host_address(const char* text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = inet_addr(text);
  return address;
}

// Blocking sockets of the host, on a thread of their own.
struct HostClient {
  explicit HostClient(std::uint16_t port, const char* address = "10.9.0.2")
      : fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    const sockaddr_in to = host_address(address, port);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    connected = connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  [[nodiscard]] bool send_all(std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t size = send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
    return true;
  }
  // All until the end, at most `size` bytes.
  [[nodiscard]] std::vector<std::byte> receive_all(std::size_t size) const {
    std::vector<std::byte> bytes(size);
    std::size_t got = 0;
    while (got < size) {
      const ssize_t part = recv(fd.get(), bytes.data() + got, size - got, 0);
      if (part <= 0) break;
      got += static_cast<std::size_t>(part);
    }
    bytes.resize(got);
    return bytes;
  }

  Descriptor fd;
  bool connected = false;
};

// What the host's side does, while ours goes on.
class HostThread {
 public:
  template <class Body>
  explicit HostThread(Body body)
      : thread_{[this, body = std::move(body)] {
          body();
          ended_ = true;
        }} {}
  Task<Result<void>> join() {
    while (!ended_) CO_TRY(co_await sleep_for(std::chrono::milliseconds{1}));
    thread_.join();
    co_return Result<void>{};
  }

 private:
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

inline std::vector<std::byte> noise(std::size_t size) {
  Random random{7};
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

inline Task<Result<void>> echo(std::unique_ptr<io::Stream> stream) {
  for (;;) {
    const io::Buffer buffer = CO_TRY(co_await stream->receive());
    if (buffer.empty()) co_return Result<void>{};
    CO_TRY(co_await stream->write_all(buffer.bytes()));
  }
}

}  // namespace lichen::driver::test

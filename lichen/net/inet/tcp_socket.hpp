// What stands between a connection, or a listener, and the app's stream or listener object.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "lichen/io/home_signal.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/net/inet/crossing.hpp"
#include "lichen/net/tcp/engine.hpp"

namespace lichen::net::inet {

class Inet;

// Of the home core of its Inet, but for wishes. Either of a connection or of a listener.
class TcpSocket {
 public:
  explicit TcpSocket(Inet& inet) noexcept : inet{inet} {}

  Inet& inet;
  tcp::Connection* connection = nullptr;
  tcp::Listener listener;
  Claim claim;  // of a listener, among cores that share a device
  bool listens = false;
  bool closed = false;      // a listener that accepts no more
  io::HomeSignal readable;  // or acceptable
  io::HomeSignal writable;  // or connected, or over
  bool reading = false;
  bool writing = false;

  // What was asked for on any core, by Inet::wish().
  static constexpr std::uint8_t abort = 1;
  static constexpr std::uint8_t release = 2;  // the last one: nobody has the socket any more
  std::atomic<std::uint8_t> wishes{0};
  TcpSocket* next = nullptr;
};

class InetStream final : public io::Stream {
 public:
  explicit InetStream(TcpSocket& socket) noexcept : socket_{socket} {}
  InetStream(const InetStream&) = delete;
  InetStream& operator=(const InetStream&) = delete;
  ~InetStream() override;

  Task<Result<std::size_t>> read(std::span<std::byte> into) override;
  Task<Result<io::Buffer>> receive() override;
  Task<Result<std::size_t>> write(std::span<const std::byte> from) override;
  [[clang::coro_wrapper]] Task<Result<void>> write_all(std::span<const std::byte> from) override {
    return write_rest(from, {});
  }
  [[clang::coro_wrapper]] Task<Result<void>> write_pieces(
      std::span<const std::span<const std::byte>> pieces) override {
    return write_rest({}, pieces);
  }
  Task<Result<void>> shutdown(io::Direction direction) override;
  void abort() noexcept override;
  [[nodiscard]] io::Address peer() const override;

  // Waits until the handshake is done.
  Task<Result<void>> connected();

 private:
  Task<Result<void>> write_rest(std::span<const std::byte> rest,
                                std::span<const std::span<const std::byte>> pieces);

  TcpSocket& socket_;
};

class InetListener final : public io::Listener {
 public:
  InetListener(TcpSocket& socket, io::Address local) noexcept : socket_{socket}, local_{local} {}
  InetListener(const InetListener&) = delete;
  InetListener& operator=(const InetListener&) = delete;
  ~InetListener() override;

  Task<Result<std::unique_ptr<io::Stream>>> accept() override;
  [[nodiscard]] io::Address local() const override { return local_; }
  void close() noexcept override;

 private:
  TcpSocket& socket_;
  const io::Address local_;
};

}  // namespace lichen::net::inet

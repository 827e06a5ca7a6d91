// An outside of a machine and a listener without a network, for tests and benchmarks.
#pragma once

#include <cstdlib>
#include <memory>
#include <string_view>

#include "lichen/coro/channel.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/io/system.hpp"

namespace lichen::io::test {

// Has a clock, which is the user's affair, and nothing else.
class ClockOnly : public System {
 public:
  Network& network() noexcept override { std::abort(); }
  Task<Result<std::unique_ptr<Folder>>> open_folder(std::string_view) override {
    co_return Error::not_supported;
  }
  Result<Pipe> make_pipe() override { return Error::not_supported; }
  Task<Result<Request>> next_request() override { co_return Error::not_supported; }
};

// Hands out the streams it is given.
class FakeListener final : public Listener {
 public:
  Task<Result<std::unique_ptr<Stream>>> accept() override { co_return co_await streams_.receive(); }
  [[nodiscard]] Address local() const override { return {}; }
  void close() noexcept override { streams_.close(); }

  bool connect(std::unique_ptr<Stream> stream) { return streams_.try_send(stream).has_value(); }

 private:
  coro::Channel<std::unique_ptr<Stream>> streams_{coro::unbounded};
};

}  // namespace lichen::io::test

#include "lichen/image/bare/system.hpp"

#include "lichen/hal/hal.hpp"

namespace lichen::image {

namespace {

class NoNetwork final : public io::Network {
 public:
  Task<Result<std::unique_ptr<io::Listener>>> listen(io::Address, io::ListenOptions) override {
    co_return Error::not_supported;
  }
  Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address) override {
    co_return Error::not_supported;
  }
  Task<Result<std::unique_ptr<io::Datagram>>> bind(io::Address) override {
    co_return Error::not_supported;
  }
  Task<Result<std::vector<io::Address>>> resolve(std::string_view, std::uint16_t) override {
    co_return Error::not_supported;
  }
};

class BareSystem final : public io::System {
 public:
  io::Network& network() noexcept override { return network_; }
  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view) override {
    co_return Error::not_supported;
  }
  Result<Pipe> make_pipe() override { return Error::not_supported; }
  Task<Result<io::Request>> next_request() override { co_return Error::not_supported; }
  // Nothing tells the date: counts from the start of the machine.
  [[nodiscard]] std::int64_t wall_clock_ns() const noexcept override {
    return static_cast<std::int64_t>(hal::now_ns());
  }

 private:
  NoNetwork network_;
};

}  // namespace

std::unique_ptr<io::System> make_bare_system() { return std::make_unique<BareSystem>(); }

}  // namespace lichen::image

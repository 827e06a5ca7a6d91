// The outside of a machine of its own: what its image has inside, and its devices.
#pragma once

#include <memory>
#include <span>

#include "lichen/image/bare/files.hpp"
#include "lichen/image/bare/requests.hpp"
#include "lichen/io/system.hpp"

namespace lichen::image {

class NoNetwork final : public io::Network {
 public:
  Task<Result<std::unique_ptr<io::Listener>>> listen(io::Address, io::ListenOptions) override;
  Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address) override;
  Task<Result<std::unique_ptr<io::Datagram>>> bind(io::Address) override;
  Task<Result<std::vector<io::Address>>> resolve(std::string_view, std::uint16_t) override;
};

// What the image has no part for says Error::not_supported.
class BareSystem final : public io::System {
 public:
  // Before the app, on core 0: what takes time, or waits, to be made ready.
  Task<Result<void>> start();
  // After it, on the machine still: what was made there ends there.
  void stop() noexcept { files_.reset(); }

  // Null: there is none.
  void use_network(io::Network* network) noexcept { network_ = network ? network : &no_network_; }

  // They MUST be there until they are replaced.
  void use_disks(std::span<io::BlockDevice* const> disks) noexcept { disks_ = disks; }

  // As if Ctrl-C had been typed. On core 0.
  void ask_to_stop() noexcept { requests_.ask_to_stop(); }
  // On core 0, between two tasks: true if there was anything.
  bool deliver() noexcept { return requests_.deliver(); }

  io::Network& network() noexcept override { return *network_; }
  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view path) override;
  std::span<io::BlockDevice* const> disks() noexcept override { return disks_; }
  Result<Pipe> make_pipe() override;
  Task<Result<io::Request>> next_request() override;
  [[nodiscard]] std::int64_t wall_clock_ns() const noexcept override;

 private:
  NoNetwork no_network_;
  io::Network* network_ = &no_network_;
  std::unique_ptr<Files> files_;
  std::span<io::BlockDevice* const> disks_;
  ConsoleRequests requests_;
};

}  // namespace lichen::image

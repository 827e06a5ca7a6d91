// What an app is given to reach the outside: the composition root makes one System for its world
// and hands it to the app. Nothing is reachable that was not handed over.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/block_device.hpp"
#include "lichen/io/datagram.hpp"
#include "lichen/io/file.hpp"
#include "lichen/io/stream.hpp"

namespace lichen::io {

struct ListenOptions {
  unsigned backlog = 1024;  // connections the medium may hold that were not accepted yet
  bool share_port = false;  // several listeners (one a core) may share the address
};

class Network {
 public:
  virtual ~Network() = default;
  // The listener belongs to the core that called. Error::address_in_use, Error::access_denied, ...
  virtual Task<Result<std::unique_ptr<Listener>>> listen(Address at,
                                                         ListenOptions options = {}) = 0;
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Address to) = 0;
  virtual Task<Result<std::unique_ptr<Datagram>>> bind(Address at) = 0;
  // Where an app serves unless it is told otherwise: beside a host it can be reached from there
  // only, else at the machine's own address; at all of them where they may change.
  [[nodiscard]] virtual Address service_address(std::uint16_t port) const {
    return Address::loopback(port);
  }
  // By which address others reach now what listens at `at`, which may be all of the machine's.
  [[nodiscard]] virtual Address reachable_at(const Address& at) const { return at; }
  // Waits until that is an address other than `seen`, and tells it. Error::not_supported: it never
  // will be.
  virtual Task<Result<Address>> reachable_elsewhere(Address at, Address seen) {
    static_cast<void>(at);
    static_cast<void>(seen);
    co_return Error::not_supported;
  }
  // All addresses of a host name or a literal address, best first, with `port` filled in.
  virtual Task<Result<std::vector<Address>>> resolve(std::string_view host, std::uint16_t port) = 0;
};

// Requests from whoever runs the machine.
enum class Request : std::uint8_t { stop, reload };

// What a core's device queue has done since its start.
struct DeviceStatistics {
  std::uint64_t operations = 0;  // handed to the device
  std::uint64_t completions = 0;
  std::uint64_t system_calls = 0;    // on a host: entries into its kernel for both
  std::uint64_t in_flight = 0;       // operations that have not completed
  std::uint64_t buffers_in_use = 0;  // receive buffers lent or queued
  std::uint64_t sockets = 0;         // open now
};

class System {
 public:
  virtual ~System() = default;
  virtual Network& network() noexcept = 0;
  // On a host any folder the process may read; on bare rock a folder of the image.
  virtual Task<Result<std::unique_ptr<Folder>>> open_folder(std::string_view path) = 0;
  // The disks that were handed over, in the machine's order; they are there as long as the app
  // runs. Who else has one nobody knows, so it is for one user, such as a file system.
  [[nodiscard]] virtual std::span<BlockDevice* const> disks() noexcept { return {}; }
  // A one-way byte pipe: the host's, or in memory.
  using Pipe = io::Pipe;
  virtual Result<Pipe> make_pipe() = 0;
  // From now on requests wait to be taken by next_request(), which begins with this. Before, a host
  // ends a process that is asked to stop.
  virtual Result<void> expect_requests() noexcept { return {}; }
  // Waits for the next request; Ctrl-C and a polite kill both ask to stop.
  virtual Task<Result<Request>> next_request() = 0;
  // Wall-clock time, nanoseconds since 1970-01-01 00:00 UTC.
  [[nodiscard]] virtual std::int64_t wall_clock_ns() const noexcept = 0;
  // Of one core, on any core; zeros where nothing is counted.
  [[nodiscard]] virtual DeviceStatistics device_statistics(unsigned core) noexcept {
    (void)core;
    return {};
  }
};

}  // namespace lichen::io

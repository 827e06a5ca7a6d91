// HostSystem: the outside world of a Lichen that runs as a Linux process.
//
//   auto host = TRY(HostSystem::create());
//   auto machine = TRY(sched::Machine::create({.cores = 2}));
//   auto events = [&](unsigned core) { return host->make_event_source(core); };
//   machine->run(main_task(*host), events);
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/disk.hpp"
#include "lichen/driver/linux/helpers.hpp"
#include "lichen/driver/linux/network.hpp"
#include "lichen/driver/linux/requests.hpp"
#include "lichen/driver/linux/tap.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/system.hpp"
#include "lichen/sched/event_source.hpp"

namespace lichen::driver {

struct HostOptions {
  UringOptions uring;
  unsigned helper_threads = 4;  // for calls into the host that block
};

// MUST outlive the machine whose cores it serves, and everything it hands out.
class HostSystem final : public io::System {
 public:
  // Raises the process's limit of open files as far as allowed and ignores SIGPIPE: writing to
  // somebody who is gone is an error of that write.
  static Result<std::unique_ptr<HostSystem>> create(const HostOptions& options = {});
  HostSystem(const HostSystem&) = delete;
  HostSystem& operator=(const HostSystem&) = delete;

  // The ring of one core, made on that core's thread; the machine owns it.
  Result<std::unique_ptr<sched::EventSource>> make_event_source(unsigned core);

  io::Network& network() noexcept override { return network_; }
  // Where apps serve that are not told an address; its port does not count. Before the machine
  // runs.
  void serve_at(const io::Address& at) noexcept { network_.serve_at(at); }
  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view path) override;
  Result<Pipe> make_pipe() override;
  // See open_tap() in tap.hpp.
  Result<std::unique_ptr<io::NetDevice>> open_tap(std::string_view name,
                                                  const TapOptions& options = {}) noexcept {
    return driver::open_tap(cores_, name, options);
  }
  Result<std::unique_ptr<io::NetDevice>> open_tap_beside(const io::NetDevice& first,
                                                         const TapOptions& options = {}) noexcept {
    return driver::open_tap_beside(cores_, first, options);
  }
  // One more of disks(); see HostDisk::open(). Before the machine runs.
  Result<void> open_disk(std::string_view path, const HostDiskOptions& options = {});
  [[nodiscard]] std::span<io::BlockDevice* const> disks() noexcept override { return disks_; }
  Result<void> expect_requests() noexcept override { return requests_.listen(); }
  Task<Result<io::Request>> next_request() override;
  [[nodiscard]] std::int64_t wall_clock_ns() const noexcept override;

  [[nodiscard]] io::DeviceStatistics device_statistics(unsigned core) noexcept override;
  // Of a core's ring, from any core while the machine runs; zeros for one that there is not.
  [[nodiscard]] UringStatistics statistics(unsigned core) noexcept;

 private:
  explicit HostSystem(const HostOptions& options)
      : options_{options}, helpers_{options.helper_threads}, network_{cores_, helpers_} {}

  HostOptions options_;
  UringCores cores_;
  HelperThreads helpers_;
  HostNetwork network_;
  HostRequests requests_;
  std::vector<std::unique_ptr<HostDisk>> opened_disks_;
  std::vector<io::BlockDevice*> disks_;
};

}  // namespace lichen::driver

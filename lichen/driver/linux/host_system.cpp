#include "lichen/driver/linux/host_system.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include <new>

#include "lichen/driver/linux/folder.hpp"
#include "lichen/driver/linux/pipe.hpp"

namespace lichen::driver {

namespace {

void raise_limit_of_open_files() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<HostSystem>> HostSystem::create(const HostOptions& options) {
  raise_limit_of_open_files();
  signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<HostSystem> system{new (std::nothrow) HostSystem{options}};
  if (!system) return Error::no_memory;
  return system;
}

Result<std::unique_ptr<sched::EventSource>> HostSystem::make_event_source(unsigned core) {
  if (core >= UringCores::limit) return Error::out_of_range;
  std::unique_ptr<UringCore> uring = TRY(UringCore::create(*coro::this_core(), options_.uring));
  uring->join(cores_);
  return std::unique_ptr<sched::EventSource>{std::move(uring)};
}

Task<Result<std::unique_ptr<io::Folder>>> HostSystem::open_folder(std::string_view path) {
  co_return co_await HostFolder::open_unbound(cores_, helpers_, path);
}

Result<io::System::Pipe> HostSystem::make_pipe() { return make_host_pipe(cores_.here()); }

Result<void> HostSystem::open_disk(std::string_view path, const HostDiskOptions& options) {
  opened_disks_.push_back(TRY(HostDisk::open(cores_, path, options)));
  disks_.push_back(opened_disks_.back().get());
  return {};
}

Task<Result<io::Request>> HostSystem::next_request() { co_return co_await requests_.next(cores_); }

std::int64_t HostSystem::wall_clock_ns() const noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

io::DeviceStatistics HostSystem::device_statistics(unsigned core) noexcept {
  const UringStatistics of_ring = statistics(core);
  return {.operations = of_ring.submissions,
          .completions = of_ring.completions,
          .system_calls = of_ring.enters,
          .in_flight = of_ring.in_flight,
          .buffers_in_use = of_ring.buffers_in_use,
          .sockets = of_ring.sockets};
}

UringStatistics HostSystem::statistics(unsigned core) noexcept {
  UringCore* uring = core < UringCores::limit ? cores_.at(core) : nullptr;
  return uring ? uring->statistics() : UringStatistics{};
}

}  // namespace lichen::driver

// HostRequests: what the one who runs the process asks of it, by signals.
#pragma once

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/system.hpp"

namespace lichen::driver {

// At most one at a time in a process. SIGINT and SIGTERM ask to stop, SIGHUP to reload. Until
// somebody waits for requests, signals do what they do in any process; a SIGHUP that is ignored
// (nohup) stays so.
class HostRequests {
 public:
  HostRequests() noexcept = default;
  HostRequests(const HostRequests&) = delete;
  HostRequests& operator=(const HostRequests&) = delete;
  ~HostRequests();

  // From now on requests wait for next(), which begins with this.
  Result<void> listen() noexcept;
  Task<Result<io::Request>> next(UringCores& cores);

 private:
  Descriptor bell_;  // an eventfd that the signal handlers ring
  bool listening_ = false;
  bool reload_ = false;  // we handle SIGHUP
};

}  // namespace lichen::driver

// What the driver's tests share: a machine on this host for the length of one task, and the check
// that nothing is left afterwards.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/driver/linux/host_system.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::driver::test {

// Descriptors that the process has open.
std::size_t open_descriptors();

struct HostRun {
  unsigned cores = 1;
  Features allowed = Features::all();
  BufferRingOptions buffers = {};
  unsigned entries = 512;       // of the submission queue
  unsigned completions = 4096;  // and the completion queue
  bool zero_copy = false;       // also over loopback
  std::size_t memory_limit = SIZE_MAX;
};

using MainTask = Task<Result<void>>(HostSystem& host);

// Runs `main` on a machine with rings; then no operation, socket, buffer or descriptor may be left.
void run_on_host(MainTask* main, const HostRun& how = {});

// Every set of features in which one that changes how sockets or files work is missing, and all.
std::vector<Features> feature_sets();

// Waits until the kernel refers to nothing of this core's, or the test's own time limit comes.
Task<Result<void>> settle(HostSystem& host);

struct Connection {
  std::unique_ptr<io::Stream> ours;    // connected
  std::unique_ptr<io::Stream> theirs;  // accepted
};
// Two ends of a TCP connection over loopback.
Task<Result<Connection>> make_connection(HostSystem& host);

// A folder of its own for one test, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

// Whether this process may have network devices of its own. Its main thread, and those it starts
// from then on, are in a network namespace of their own.
bool has_network_namespace();
// Gives the host's end of a TAP device the address 10.9.0.1/24, and brings it up.
void configure_tap(const char* name, const char* host_address = "10.9.0.1");

inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
  return std::as_bytes(std::span{text});
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace lichen::driver::test

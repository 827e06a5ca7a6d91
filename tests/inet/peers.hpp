// Programs of the host as peers of our own TCP/IP, in the test's network namespace.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/driver/linux/host_test.hpp"
#include "lichen/net/inet/inet.hpp"

namespace lichen::driver::test {

// Whether the host can find it, also where only root looks.
bool has_program(std::string_view name);

// Runs a command of the shell while ours goes on; yields its exit status, 128 and more after a
// signal. It does not outlive the test.
Task<Result<int>> run_command(std::string command);
// Waits until it is true: Error::timed_out after 40 s, which is no measure of anything.
Task<Result<void>> until(std::function<bool()> is_true);

// A program that serves, until stop() or the end of this object. What it says is kept in a file.
class Daemon {
 public:
  Daemon(const TemporaryFolder& folder, std::vector<std::string> words);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() { stop(); }

  void stop();
  // Waits for its end; its exit status.
  Task<Result<int>> end();
  [[nodiscard]] std::string said() const;
  // How often.
  [[nodiscard]] int said(std::string_view words) const;

 private:
  std::string log_;
  pid_t pid_ = -1;
};

// Debian's dnsmasq on lichen0, with these options beside the usual ones, once it serves.
Task<Result<std::unique_ptr<Daemon>>> start_dnsmasq(const TemporaryFolder& folder,
                                                    std::vector<std::string> options);

// Whether the host has IPv6 at all.
bool has_ipv6();
// The host's groups are to be found on lichen0.
void add_host_group_route();
// The host's end of the cable.
void set_host_link(bool up);

// A machine beside the host, which is 10.9.0.1, 10.9.0.60 and fd00:9::1.
struct Beside {
  HostSystem& host;
  net::inet::Inet& inet;
  const TemporaryFolder& folder;
  std::unique_ptr<Daemon> dnsmasq;

  // Ends dnsmasq, or starts it again.
  void stop_dnsmasq() { dnsmasq->stop(); }
  Task<Result<void>> restart_dnsmasq(std::vector<std::string> options) {
    dnsmasq = CO_TRY(co_await start_dnsmasq(folder, std::move(options)));
    co_return Result<void>{};
  }
};
using BesideTask = Task<Result<void>>(Beside& beside);
// `address`: its own, or null: what it is offered. With options, dnsmasq serves there from the
// start.
Task<Result<void>> run_beside(HostSystem& host, BesideTask* body, const char* address,
                              std::vector<std::string> dnsmasq);

}  // namespace lichen::driver::test

#include "tests/inet/peers.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace lichen::driver::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* device_name = "lichen0";

std::string path_of(std::string_view name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"})
    if (std::filesystem::exists(folder + std::string{name})) return folder + std::string{name};
  return {};
}

// A child that ends when the thread that made it does, at the latest.
pid_t start(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int in = open("/dev/null", O_RDONLY);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  execv(arguments[0], arguments.data());
  _exit(127);
}

int status_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Task<Result<int>> end_of(pid_t& pid) {
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(pid, &status, WNOHANG);
    if (ended == pid) break;
    if (ended < 0) co_return Error::internal;
    CO_TRY(co_await sleep_for(1ms));
  }
  pid = -1;
  co_return status_of(status);
}

void kill_and_reap(pid_t& pid) {
  if (pid <= 0) return;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  pid = -1;
}

// If we may.
void write_setting(const char* name, const char* value) {
  std::ofstream file{std::string{"/proc/sys/net/ipv6/conf/"} + device_name + "/" + name};
  file << value;
}

void add_host_address(const char* address) {
  const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  std::strcpy(request.ifr_name, "lichen0:1");
  auto& wanted = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
  wanted.sin_family = AF_INET;
  wanted.sin_addr.s_addr = inet_addr(address);
  ASSERT_EQ(ioctl(fd.get(), SIOCSIFADDR, &request), 0);
}

bool add_host_ipv6() {
  // As the kernel has it (linux/ipv6.h, which does not go with netinet/in.h).
  struct {
    in6_addr address;
    std::uint32_t bits;
    int interface;
  } request{};
  const Descriptor fd{socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (fd.get() < 0) return false;
  request.bits = 64;
  request.interface = static_cast<int>(if_nametoindex(device_name));
  inet_pton(AF_INET6, "fd00:9::1", &request.address);
  return ioctl(fd.get(), SIOCSIFADDR, &request) == 0;
}

}  // namespace

bool has_program(std::string_view name) { return !path_of(name).empty(); }

Task<Result<int>> run_command(std::string command) {
  const TemporaryFolder folder;
  struct Child {
    ~Child() { kill_and_reap(pid); }
    pid_t pid;
  };
  const std::string log = folder.path() + "/log";
  Child child{start({"/bin/sh", "-c", command}, log)};
  const int status = CO_TRY(co_await end_of(child.pid));
  if (status != 0) {
    std::ostringstream said;
    said << std::ifstream{log}.rdbuf();
    std::printf("%s\n  ended with %d: %s\n", command.c_str(), status, said.str().c_str());
  }
  co_return status;
}

Task<Result<void>> until(std::function<bool()> is_true) {
  const Deadline deadline = Deadline::after(40s);
  while (!is_true()) {
    if (Deadline::after(0s) > deadline) co_return Error::timed_out;
    CO_TRY(co_await sleep_for(2ms));
  }
  co_return Result<void>{};
}

Daemon::Daemon(const TemporaryFolder& folder, std::vector<std::string> words)
    : log_{folder.path() + "/" + words[0] + ".log"} {
  words[0] = path_of(words[0]);
  std::filesystem::remove(log_);
  pid_ = start(words, log_);
}

void Daemon::stop() { kill_and_reap(pid_); }

Task<Result<int>> Daemon::end() { co_return co_await end_of(pid_); }

std::string Daemon::said() const {
  std::ostringstream text;
  text << std::ifstream{log_}.rdbuf();
  return text.str();
}

int Daemon::said(std::string_view words) const {
  const std::string text = said();
  int count = 0;
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
    ++count;
  return count;
}

Task<Result<std::unique_ptr<Daemon>>> start_dnsmasq(const TemporaryFolder& folder,
                                                    std::vector<std::string> options) {
  std::vector<std::string> words{"dnsmasq",
                                 "--keep-in-foreground",
                                 "--conf-file=/dev/null",
                                 "--user=root",
                                 "--pid-file=",
                                 "--log-facility=-",
                                 "--log-queries",
                                 "--no-resolv",
                                 "--no-hosts",
                                 "--no-ping",
                                 "--interface=lichen0",
                                 "--except-interface=lo",
                                 "--bind-interfaces",
                                 "--dhcp-leasefile=" + folder.path() + "/leases"};
  words.insert(words.end(), options.begin(), options.end());
  auto daemon = std::make_unique<Daemon>(folder, std::move(words));
  const auto serves = co_await until(
      [&] { return daemon->said("started, version") > 0 && daemon->said("DHCP") > 0; });
  if (serves) co_return std::move(daemon);
  std::printf("dnsmasq: %s\n", daemon->said().c_str());
  co_return serves.error();
}

bool has_ipv6() { return std::filesystem::exists("/proc/net/if_inet6"); }

void add_host_group_route() {
  const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  rtentry route{};
  const auto set = [](sockaddr& address, const char* text) {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_addr.s_addr = inet_addr(text);
    std::memcpy(&address, &ipv4, sizeof ipv4);
  };
  set(route.rt_dst, "224.0.0.0");
  set(route.rt_genmask, "240.0.0.0");
  route.rt_flags = RTF_UP;
  std::string name{device_name};
  route.rt_dev = name.data();
  ASSERT_EQ(ioctl(fd.get(), SIOCADDRT, &route), 0);
}

void set_host_link(bool up) {
  const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  std::strcpy(request.ifr_name, device_name);
  ASSERT_EQ(ioctl(fd.get(), SIOCGIFFLAGS, &request), 0);
  request.ifr_flags =
      static_cast<short>(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
  ASSERT_EQ(ioctl(fd.get(), SIOCSIFFLAGS, &request), 0);
}

Task<Result<void>> run_beside(HostSystem& host, BesideTask* body, const char* address,
                              std::vector<std::string> dnsmasq) {
  const TemporaryFolder folder;
  auto device = CO_TRY(host.open_tap(device_name, {}));
  // Or its end could not be used before it has been probed, for a second.
  write_setting("disable_ipv6", "0");
  write_setting("accept_dad", "0");
  configure_tap(device_name);
  add_host_address("10.9.0.60");
  EXPECT_TRUE(!has_ipv6() || add_host_ipv6());
  std::unique_ptr<Daemon> server;
  if (!dnsmasq.empty()) server = CO_TRY(co_await start_dnsmasq(folder, std::move(dnsmasq)));
  net::inet::InetOptions options{.secret = {1, 2}};
  if (address != nullptr) {
    options.address = {*net::wire::IpAddress::parse(address), 24};
    options.gateway = *net::wire::IpAddress::parse("10.9.0.1");
  }
  auto inet = CO_TRY(net::inet::Inet::create(*device, options));
  Scope scope{OnError::keep_going};
  scope.spawn(inet->run());
  Beside beside{.host = host, .inet = *inet, .folder = folder, .dnsmasq = std::move(server)};
  const Result<void> outcome = co_await body(beside);
  // What was closed last is told to the host before the wire is cut.
  CO_TRY(co_await sleep_for(5ms));
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

}  // namespace lichen::driver::test

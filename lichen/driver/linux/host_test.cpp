#include "lichen/driver/linux/host_test.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <filesystem>
#include <thread>

namespace lichen::driver::test {

std::size_t open_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  if (!folder) return 0;
  std::size_t count = 0;
  while (readdir(folder)) ++count;
  closedir(folder);
  return count - 3;  // ".", ".." and the folder itself
}

namespace {

Task<Result<void>> run_and_settle(MainTask* main, HostSystem& host) {
  const Result<void> outcome = co_await main(host);
  CO_TRY(co_await settle(host));
  co_return outcome;
}

}  // namespace

Task<Result<void>> settle(HostSystem& host) {
  for (unsigned core = 0; core < sched::Machine::current().cores();) {
    const UringStatistics now = host.statistics(core);
    if (now.in_flight == 0 && now.sockets == 0 && now.buffers_in_use == 0)
      ++core;
    else
      CO_TRY(co_await sleep_for(std::chrono::milliseconds{1}));
  }
  co_return Result<void>{};
}

void run_on_host(MainTask* main, const HostRun& how) {
  // What a machine opens once for the life of the process is there from here on.
  static const Result<void> warm = []() -> Result<void> {
    auto machine = TRY(sched::Machine::create({}));
    return machine->run([]() -> Task<Result<void>> { co_return Result<void>{}; }());
  }();
  ASSERT_TRUE(warm);
  const std::size_t descriptors = open_descriptors();
  {
    auto host = HostSystem::create({.uring = {.ring = {.entries = how.entries,
                                                       .completions = how.completions,
                                                       .allowed = how.allowed},
                                              .buffers = how.buffers,
                                              .registered_files = 8,
                                              .zero_copy_to_ourselves = how.zero_copy}});
    ASSERT_TRUE(host);
    auto machine = sched::Machine::create(
        {.cores = how.cores, .pin = false, .memory_limit = how.memory_limit});
    ASSERT_TRUE(machine);
    auto events = [&](unsigned core) { return (*host)->make_event_source(core); };
    const Result<void> outcome = (*machine)->run(run_and_settle(main, **host), events);
    EXPECT_TRUE(outcome) << name(outcome.error());
  }
  // A helper thread that is in the middle of an abandoned call closes what it opened when it
  // returns.
  for (int i = 0; i < 10'000 && open_descriptors() != descriptors; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  EXPECT_EQ(open_descriptors(), descriptors);
}

std::vector<Features> feature_sets() {
  std::vector<Features> sets{Features::all()};
  for (unsigned i = 0; i < feature_count; ++i)
    sets.push_back(Features::all().without(static_cast<Feature>(i)));
  sets.emplace_back();
  return sets;
}

Task<Result<Connection>> make_connection(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  Connection connection;
  connection.ours = CO_TRY(co_await host.network().connect(listener->local()));
  connection.theirs = CO_TRY(co_await listener->accept());
  co_return connection;
}

bool has_network_namespace() {
  static const bool made = unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
  return made;
}

void configure_tap(const char* name, const char* host_address) {
  const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  auto& address = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = inet_addr(host_address);
  ASSERT_EQ(ioctl(fd.get(), SIOCSIFADDR, &request), 0);
  address.sin_addr.s_addr = inet_addr("255.255.255.0");
  ASSERT_EQ(ioctl(fd.get(), SIOCSIFNETMASK, &request), 0);
  request.ifr_flags = IFF_UP;
  ASSERT_EQ(ioctl(fd.get(), SIOCSIFFLAGS, &request), 0);
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lichen.XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace lichen::driver::test

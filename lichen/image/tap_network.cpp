#include "lichen/image/tap_network.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/driver/linux/host_system.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/io/program.hpp"
#include "lichen/net/inet/inet_cores.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::image {

namespace {

using net::wire::IpAddress;

constexpr std::chrono::seconds address_limit{15};

// The host in everything but the network.
class WithNetwork final : public io::System {
 public:
  WithNetwork(io::System& host, io::Network& network) noexcept : host_{host}, network_{network} {}

  io::Network& network() noexcept override { return network_; }
  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view path) override {
    co_return co_await host_.open_folder(path);
  }
  std::span<io::BlockDevice* const> disks() noexcept override { return host_.disks(); }
  Result<Pipe> make_pipe() override { return host_.make_pipe(); }
  Result<void> expect_requests() noexcept override { return host_.expect_requests(); }
  Task<Result<io::Request>> next_request() override { co_return co_await host_.next_request(); }
  std::int64_t wall_clock_ns() const noexcept override { return host_.wall_clock_ns(); }
  io::DeviceStatistics device_statistics(unsigned core) noexcept override {
    return host_.device_statistics(core);
  }

 private:
  io::System& host_;
  io::Network& network_;
};

std::string text_of(const IpAddress& address) {
  std::array<char, 64> room;
  return std::string{base::format_to(room, "{}", address).text};
}

// A device, and what each core has of it. Of a device with one queue the first core receives, and
// all send.
class Tap {
 public:
  Tap(const TapWish& wish, unsigned cores) : wish_{wish}, options_{.several_queues = cores > 1} {
    queues_.reserve(cores);
  }

  // The calling core's, one core after the other.
  Result<io::NetDevice*> open_queue(driver::HostSystem& host) {
    const bool first = queues_.empty();
    auto queue = first || options_.several_queues ? host.open_tap(wish_.name, options_)
                                                  : host.open_tap_beside(*queues_[0], options_);
    if (first && queue.failed_with(Error::invalid_argument)) {
      // The device was made with other flags.
      options_.several_queues = !options_.several_queues;
      queue = host.open_tap(wish_.name, options_);
      if (queue && !options_.several_queues)
        base::log::info("{} was made without multi_queue: core 0 receives for all cores",
                        wish_.name);
    }
    if (!queue) say_why(queue.error());
    queues_.push_back(TRY(std::move(queue)));
    return queues_.back().get();
  }

 private:
  void say_why(Error error) const {
    if (error == Error::busy)
      base::log::error("--net {}: another program has the device", wish_.name);
    else if (error == Error::invalid_argument)
      base::log::error("--net {}: that is no TAP device", wish_.name);
    else
      base::log::error("--net {}: {}; this, as root, prepares the device: {}", wish_.name,
                       base::describe(error), wish_.preparation(false));
  }

  const TapWish& wish_;
  driver::TapOptions options_;
  std::vector<std::unique_ptr<io::NetDevice>> queues_;
};

Task<Result<void>> open_queues(driver::HostSystem& host, std::span<Tap> taps,
                               net::inet::InetCores& inet) {
  auto& machine = sched::Machine::current();
  for (unsigned i = 0; i < machine.cores(); ++i) {
    const io::Stay stay = co_await io::StayOn{machine.core(i)};
    std::vector<io::NetDevice*> queues;
    for (Tap& tap : taps) queues.push_back(CO_TRY(tap.open_queue(host)));
    if (const Result<void> added = inet.add(queues); !added) {
      base::log::error("--net: {}", added.failed_with(Error::already_exists)
                                        ? std::string_view{"two devices have the same address"}
                                        : base::describe(added.error()));
      co_return added;
    }
  }
  co_return Result<void>{};
}

std::string names_of(std::span<const TapWish> wishes) {
  std::string names;
  for (const TapWish& wish : wishes) names += (names.empty() ? "" : ", ") + wish.name;
  return names;
}

// The program, once the network has an address.
Task<Result<void>> serve(net::inet::InetCores& inet, WithNetwork& system, const TapWish& wish,
                         std::span<const std::string_view> arguments, Result<void>& outcome) {
  outcome = co_await inet.up(address_limit);
  if (outcome)
    outcome = co_await program_main(Program{system, arguments});
  else if (outcome.failed_with(Error::timed_out))
    base::log::error(
        "--net {}: no address within {} s: no DHCP server answers there, and no router advertises "
        "a network; this, as root, brings the device up: {}",
        wish.name, address_limit.count(), wish.preparation(true));
  co_return Result<void>{};
}

// The network, and with it the program: nobody reaches it any more.
Task<Result<void>> run_network(net::inet::InetCores& inet, Scope& program, Result<void>& outcome) {
  outcome = co_await inet.run();
  program.request_stop();
  co_return Result<void>{};
}

}  // namespace

std::string TapWish::preparation(bool exists) const {
  std::string text;
  if (access("/dev/net/tun", R_OK | W_OK) != 0 && errno == EACCES)
    text = "chmod 666 /dev/net/tun && ";
  if (!exists)
    text += "ip tuntap add dev " + name + " mode tap multi_queue user " + std::to_string(getuid()) +
            " && ";
  if (!gateway.is_unspecified())
    text += "ip addr add " + text_of(gateway) + "/" + std::to_string(address.bits) + " dev " +
            name + " && ";
  return text + "ip link set " + name + " up";
}

Task<Result<void>> run_over_taps(Host& host, std::span<const TapWish> wishes,
                                 std::span<const std::string_view> arguments) {
  const TapWish& first = wishes[0];
  net::inet::InetOptions options{.address = first.address, .gateway = first.gateway};
  for (std::size_t i = 1; i < wishes.size(); ++i)
    options.others[i - 1] = {.address = wishes[i].address, .gateway = wishes[i].gateway};
  CO_TRY(hal::random_bytes(std::as_writable_bytes(std::span{&options.secret, 1})));
  const unsigned cores = sched::Machine::current().cores();
  std::vector<Tap> taps;
  taps.reserve(wishes.size());
  for (const TapWish& wish : wishes) taps.emplace_back(wish, cores);
  auto inet = CO_TRY(net::inet::InetCores::create(cores, options));
  CO_TRY(co_await open_queues(host.linux_system(), taps, *inet));
  for (const TapWish& wish : wishes)
    if (!wish.address.network.is_unspecified())
      base::log::info("{} is {}; if the host's end has no address yet, as root: {}", wish.name,
                      wish.address.network, wish.preparation(true));
  WithNetwork system{host.system(), *inet};
  Result<void> outcome = Error::no_memory;
  Result<void> ended;
  Scope program{OnError::keep_going};
  Scope network{OnError::keep_going};
  if (network.spawn(run_network(*inet, program, ended)))
    program.spawn(serve(*inet, system, first, arguments, outcome));
  (co_await program.join()).ignore();
  network.request_stop();
  (co_await network.join()).ignore();
  if (ended || ended.failed_with(Error::stopped)) co_return outcome;
  base::log::error("--net {}: {} gone or has failed: {}", names_of(wishes),
                   wishes.size() == 1 ? "the device is" : "the devices are",
                   base::describe(ended.error()));
  co_return ended;
}

}  // namespace lichen::image

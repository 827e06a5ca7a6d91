#include "lichen/image/tap_network.hpp"

#include <unistd.h>

#include <array>
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
#include "lichen/image/address_wish.hpp"
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
  Result<Pipe> make_pipe() override { return host_.make_pipe(); }
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

// A queue of the device for each core, and the network on them. Of a device with one queue the
// first core receives, and all send.
Task<Result<void>> open_queues(driver::HostSystem& host, const std::string& name,
                               std::vector<std::unique_ptr<io::NetDevice>>& queues,
                               net::inet::InetCores& inet) {
  auto& machine = sched::Machine::current();
  driver::TapOptions options{.several_queues = machine.cores() > 1};
  for (unsigned i = 0; i < machine.cores(); ++i) {
    const io::Stay stay = co_await io::StayOn{machine.core(i)};
    auto queue = i == 0 || options.several_queues ? host.open_tap(name, options)
                                                  : host.open_tap_beside(*queues[0], options);
    if (i == 0 && queue.failed_with(Error::invalid_argument)) {
      // The device was made with other flags.
      options.several_queues = !options.several_queues;
      queue = host.open_tap(name, options);
      if (queue && !options.several_queues)
        base::log::info("{} was made without multi_queue: core 0 receives for all cores", name);
    }
    queues.push_back(CO_TRY(std::move(queue)));
    CO_TRY(inet.add(*queues[i]));
  }
  co_return Result<void>{};
}

}  // namespace

Result<TapWish> TapWish::parse(std::string_view text) {
  TapWish wish;
  const std::size_t equals = text.find('=');
  wish.name = text.substr(0, equals);
  if (wish.name.empty() || wish.name.size() > 15) return Error::invalid_argument;
  const std::string_view rest =
      equals == std::string_view::npos ? "10.9.0.2/24" : text.substr(equals + 1);
  const AddressWish own = TRY(AddressWish::parse(rest));
  wish.address = own.address;
  wish.gateway = own.gateway;
  return wish;
}

std::string TapWish::preparation(bool exists) const {
  std::string text;
  if (!exists)
    text = "ip tuntap add dev " + name + " mode tap multi_queue user " + std::to_string(getuid()) +
           " && ";
  if (!gateway.is_unspecified())
    text += "ip addr add " + text_of(gateway) + "/" + std::to_string(address.bits) + " dev " +
            name + " && ";
  return text + "ip link set " + name + " up";
}

Task<Result<void>> run_over_tap(Host& host, TapWish wish,
                                std::span<const std::string_view> arguments) {
  net::inet::InetOptions options{.address = wish.address, .gateway = wish.gateway};
  CO_TRY(hal::random_bytes(std::as_writable_bytes(std::span{&options.secret, 1})));
  std::vector<std::unique_ptr<io::NetDevice>> queues;
  auto inet = CO_TRY(net::inet::InetCores::create(sched::Machine::current().cores(), options));
  if (const Result<void> opened =
          co_await open_queues(host.linux_system(), wish.name, queues, *inet);
      !opened) {
    base::log::error("--net {}: {}; this, as root, prepares the device: {}", wish.name,
                     base::describe(opened.error()), wish.preparation(false));
    co_return opened;
  }
  if (!wish.address.network.is_unspecified())
    base::log::info("{} is {}; if the host's end has no address yet, as root: {}", wish.name,
                    wish.address.network, wish.preparation(true));
  WithNetwork system{host.system(), *inet};
  Scope scope{OnError::keep_going};
  scope.spawn(inet->run());
  Result<void> outcome = co_await inet->up(address_limit);
  if (outcome)
    outcome = co_await program_main(Program{system, arguments});
  else if (outcome.failed_with(Error::timed_out))
    base::log::error(
        "--net {}: no address within {} s: no DHCP server answers there, and no router advertises "
        "a network; this, as root, brings the device up: {}",
        wish.name, address_limit.count(), wish.preparation(true));
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

}  // namespace lichen::image

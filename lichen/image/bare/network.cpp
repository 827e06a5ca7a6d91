// The network of a bare machine: our own TCP/IP over the first virtio network card.
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/driver/virtio/entropy.hpp"
#include "lichen/driver/virtio/net.hpp"
#include "lichen/hal/bare/words.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/address_wish.hpp"
#include "lichen/image/bare/devices.hpp"
#include "lichen/image/bare/outside.hpp"
#include "lichen/image/bare/system.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/net/inet/device_share.hpp"
#include "lichen/net/inet/inet_cores.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::image {

namespace {

namespace virtio = driver::virtio;
using namespace std::chrono_literals;

constexpr auto address_limit = 30s;

// In the order in which they come up; they go down in the opposite one.
class Devices final : public DeviceListener {
 public:
  Devices() : found_{find_virtio_devices()} {}
  ~Devices() {
    for (const auto& device : found_) device->tell(nullptr);
  }

  bool deliver() noexcept override {
    bool any = false;
    for (const auto& device : found_) any |= device->deliver();
    return any;
  }

  [[nodiscard]] VirtioDevice* first(virtio::DeviceKind kind) noexcept {
    for (const auto& device : found_)
      if (device->transport().kind() == kind) return device.get();
    return nullptr;
  }

 private:
  std::vector<std::unique_ptr<VirtioDevice>> found_;
};

// From then on hal::random_bytes() works: if it does not by itself, by the machine's entropy
// device.
Task<Result<void>> begin_randomness(Devices& devices, PageMemory& memory) {
  std::array<std::byte, 32> bytes;
  const Result<void> drawn = hal::random_bytes(bytes);
  if (!drawn.failed_with(Error::not_supported)) co_return drawn;
  VirtioDevice* const device = devices.first(virtio::DeviceKind::entropy);
  if (!device) co_return drawn;
  const auto entropy = CO_TRY(co_await virtio::Entropy::open(device->transport(), memory));
  Interrupts<virtio::Entropy> interrupts{*entropy};
  device->tell(&interrupts);
  const Result<void> filled = co_await entropy->fill(bytes);
  device->tell(nullptr);
  if (filled) hal::add_entropy(bytes);
  co_return filled;
}

class BareNetwork {
 public:
  BareNetwork(Devices& devices, VirtioDevice& device) noexcept
      : devices_{devices}, device_{device} {}
  BareNetwork(const BareNetwork&) = delete;
  BareNetwork& operator=(const BareNetwork&) = delete;
  ~BareNetwork() { device_.tell(nullptr); }

  // Errors: those of the card and the stack, invalid_argument (the word net=).
  Task<Result<void>> open() {
    net::inet::InetOptions options;
    // A quarter of what there is; each core has a share of it.
    options.tcp.buffered_bytes =
        std::min(options.tcp.buffered_bytes,
                 hal::page_region().size() / 4 / sched::Machine::current().cores());
    if (const std::string_view word = hal::machine_word("net="); !word.empty()) {
      const AddressWish wish = CO_TRY(AddressWish::parse(word));
      options.address = wish.address;
      options.gateway = wish.gateway;
    }
    CO_TRY(co_await begin_randomness(devices_, memory_));
    CO_TRY(hal::random_bytes(std::as_writable_bytes(std::span{&options.secret, 1})));
    card_ = CO_TRY(co_await virtio::NetCard::open(device_.transport(), memory_));
    interrupts_.emplace(*card_);
    device_.tell(&*interrupts_);
    inet_ = CO_TRY(net::inet::InetCores::create(sched::Machine::current().cores(), options));
    co_return co_await join_cores();
  }
  [[nodiscard]] net::inet::InetCores& inet() noexcept { return *inet_; }

 private:
  Task<Result<void>> join_cores() {
    auto& machine = sched::Machine::current();
    if (machine.cores() == 1) co_return inet_->add(*card_);
    Result<void> joined;
    for (unsigned i = 0; joined && i < machine.cores(); ++i) {
      const io::Stay stay = co_await io::StayOn{machine.core(i)};
      shares_.push_back(std::make_unique<net::inet::DeviceShare>(*card_, sending_, i == 0));
      joined = inet_->add(*shares_[i]);
    }
    const io::Stay back = co_await io::StayOn{machine.core(0)};
    co_return joined;
  }

  Devices& devices_;
  VirtioDevice& device_;
  PageMemory memory_;
  std::unique_ptr<virtio::NetCard> card_;
  std::optional<Interrupts<virtio::NetCard>> interrupts_;
  coro::Mutex sending_;
  std::vector<std::unique_ptr<net::inet::DeviceShare>> shares_;
  std::unique_ptr<net::inet::InetCores> inet_;
};

Task<Result<void>> keep_outcome(Task<Result<void>> main, Result<void>& outcome) {
  outcome = co_await std::move(main);
  co_return Result<void>{};
}

// Not bound to the core of the devices.
Task<Result<void>> run_program(Task<Result<void>> main) {
  Result<void> outcome;
  Scope scope;
  if (!scope.spawn(keep_outcome(std::move(main), outcome))) outcome = Error::no_memory;
  CO_TRY(co_await scope.join());
  co_return outcome;
}

Task<Result<void>> run_on_network(BareSystem& system, BareNetwork& network,
                                  Task<Result<void>> main) {
  net::inet::InetCores& inet = network.inet();
  Scope scope{OnError::keep_going};
  scope.spawn(inet.run());
  Result<void> outcome = co_await inet.up(address_limit);
  if (outcome) {
    base::log::info("the network is up: {}", net::inet::address_of(inet.service_address(0)));
    system.use_network(&inet);
    outcome = co_await run_program(std::move(main));
    system.use_network(nullptr);
  } else if (outcome.failed_with(Error::timed_out)) {
    base::log::error(
        "no address within {} s: no DHCP server answers, and no router advertises a "
        "network; net=ADDRESS/BITS,GATEWAY names one",
        address_limit.count());
  }
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

}  // namespace

Task<Result<void>> run_with_devices(BareSystem& system, DeviceListener*& listener,
                                    Task<Result<void>> main) {
  const io::Stay stay = co_await io::StayOn{sched::Machine::current().core(0)};
  Devices devices;
  listener = &devices;
  Result<void> outcome;
  if (VirtioDevice* const card = devices.first(virtio::DeviceKind::net)) {
    BareNetwork network{devices, *card};
    outcome = co_await network.open();
    if (outcome)
      outcome = co_await run_on_network(system, network, std::move(main));
    else
      base::log::error("the network card cannot be used: {}", outcome.error());
  } else {
    base::log::info("there is no network card that can be used");
    outcome = co_await run_program(std::move(main));
  }
  listener = nullptr;
  co_return outcome;
}

}  // namespace lichen::image

// The network of a bare machine: our own TCP/IP over the first virtio network card. Each core has a
// pair of the card's queues, as far as there are so many, whose interrupts it takes; cores beyond
// that send by the pair of another, which receives for them.
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <new>
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

// Of a card, on its home. What comes by the one line, or by a vector that all share, is for other
// cores, too, and they may sleep.
class CardInterrupts final : public InterruptTarget {
 public:
  explicit CardInterrupts(virtio::NetCard& card) noexcept : card_{card} {}
  void interrupted(virtio::Vector vector) noexcept override { card_.interrupted(vector); }
  void interrupted_by_line() noexcept override { card_.interrupted_by_line(); }
  bool deliver() noexcept override {
    const bool any = card_.deliver();
    if (card_.plan().per_pair() != 0) return any;
    for (unsigned i = 1; i < card_.pairs(); ++i)
      if (card_.pair(i).has_news()) hal::wake(card_.pair(i).home().index());
    return any;
  }

 private:
  virtio::NetCard& card_;
};

class PairListener final : public DeviceListener {
 public:
  explicit PairListener(virtio::NetPair& pair) noexcept : pair_{pair} {}
  bool deliver() noexcept override { return pair_.deliver(); }

 private:
  virtio::NetPair& pair_;
};

// What the word net= asks for. Error::invalid_argument: why has been said.
Result<net::inet::InetOptions> wished_options() {
  net::inet::InetOptions options;
  const std::string_view word = hal::machine_word("net=");
  if (word.empty()) return options;
  const auto wish = AddressWish::parse(word);
  if (!wish) {
    base::log::error("net={}: ADDRESS/BITS[,GATEWAY] or dhcp is wanted", word);
    return wish.error();
  }
  options.address = wish->address;
  options.gateway = wish->gateway;
  return options;
}

class BareNetwork {
 public:
  BareNetwork(Devices& devices, VirtioDevice& device, DeviceListeners& listeners) noexcept
      : devices_{devices}, device_{device}, listeners_{listeners} {}
  BareNetwork(const BareNetwork&) = delete;
  BareNetwork& operator=(const BareNetwork&) = delete;

  // Errors: those of the card and the stack.
  Task<Result<void>> open(net::inet::InetOptions options) {
    // A quarter of what there is; each core has a share of it.
    options.tcp.buffered_bytes =
        std::min(options.tcp.buffered_bytes,
                 hal::page_region().size() / 4 / sched::Machine::current().cores());
    CO_TRY(co_await begin_randomness(devices_, memory_));
    CO_TRY(hal::random_bytes(std::as_writable_bytes(std::span{&options.secret, 1})));
    auto& machine = sched::Machine::current();
    std::vector<coro::Core*> cores;
    cores.reserve(machine.cores());
    for (unsigned i = 0; i < machine.cores(); ++i) cores.push_back(&machine.core(i));
    virtio::NetOptions card_options{.cores = cores, .router = &device_};
    if (cores.size() > 1) {
      card_options.receive_buffers = 384;  // of each
      CO_TRY(hal::random_bytes(std::as_writable_bytes(std::span{card_options.steering_key})));
    }
    card_ = CO_TRY(co_await virtio::NetCard::open(device_.transport(), memory_, card_options));
    interrupts_.emplace(*card_);
    device_.tell(&*interrupts_);
    inet_ = CO_TRY(net::inet::InetCores::create(machine.cores(), options));
    co_return co_await join_cores();
  }
  // MUST be called before this goes, also if open() has failed. It does not fail.
  Task<Result<void>> close() {
    if (card_) (co_await card_->close()).ignore();
    auto& machine = sched::Machine::current();
    for (unsigned i = machine.cores(); i-- > 0;) {
      const io::Stay stay = co_await io::StayOn{machine.core(i)};
      if (machine.cores() > 1) tell_of_core(i);
      if (i == 0) break;
      device_.take_no_more_here();
      listeners_[i] = nullptr;
    }
    const io::Stay back = co_await io::StayOn{machine.core(0)};
    device_.tell(nullptr);
    co_return Result<void>{};
  }
  [[nodiscard]] net::inet::InetCores& inet() noexcept { return *inet_; }

 private:
  Task<Result<void>> join_cores() {
    auto& machine = sched::Machine::current();
    const unsigned pairs = card_->pairs();
    if (pairs > 1) base::log::debug("the network card has {} pairs of queues for us", pairs);
    sending_.reset(new (std::nothrow) coro::Mutex[pairs]);
    if (!sending_) co_return Error::no_memory;
    Result<void> joined;
    for (unsigned i = 0; joined && i < machine.cores(); ++i) {
      const io::Stay stay = co_await io::StayOn{machine.core(i)};
      virtio::NetPair& pair = card_->pair(i % pairs);
      if (i != 0 && i < pairs) {
        pair_listeners_.push_back(std::make_unique<PairListener>(pair));
        listeners_[i] = pair_listeners_.back().get();
      }
      if (i < pairs && i + pairs >= machine.cores()) {
        joined = inet_->add(pair);
        continue;
      }
      shares_.push_back(
          std::make_unique<net::inet::DeviceShare>(pair, sending_[i % pairs], i < pairs));
      joined = inet_->add(*shares_.back());
    }
    const io::Stay back = co_await io::StayOn{machine.core(0)};
    co_return joined;
  }

  // On that core.
  void tell_of_core(unsigned core) noexcept {
    if (!inet_ || core >= inet_->cores()) return;
    const net::tcp::EngineStatistics& tcp = inet_->on(core).tcp_statistics();
    const net::inet::CrossingCounters& crossing = inet_->counters(core);
    virtio::PairCounters pair;
    if (core < card_->pairs()) pair = card_->pair(core).counters();
    base::log::info(
        "core {}: {} connections; {} frames received, {} sent, {} passed to other cores, {} of "
        "these "
        "misled, {} lost",
        core, tcp.accepted + tcp.opened, pair.receive.frames, pair.send.frames, crossing.passed_on,
        crossing.misled, crossing.lost + pair.send.lost);
  }

  Devices& devices_;
  VirtioDevice& device_;
  DeviceListeners& listeners_;
  PageMemory memory_;
  std::unique_ptr<virtio::NetCard> card_;
  std::optional<CardInterrupts> interrupts_;
  std::vector<std::unique_ptr<PairListener>> pair_listeners_;
  std::unique_ptr<coro::Mutex[]> sending_;  // of each pair
  std::vector<std::unique_ptr<net::inet::DeviceShare>> shares_;
  std::unique_ptr<net::inet::InetCores> inet_;
};

Task<Result<void>> run_on_network(BareSystem& system, BareNetwork& network,
                                  Task<Result<void>> main) {
  net::inet::InetCores& inet = network.inet();
  Scope scope{OnError::keep_going};
  scope.spawn(inet.run());
  Result<void> outcome = co_await inet.up(address_limit);
  if (outcome) {
    base::log::info("the network is up: {}", net::inet::address_of(inet.service_address(0)));
    system.use_network(&inet);
    outcome = co_await std::move(main);
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

Task<Result<void>> run_with_network(BareSystem& system, Devices& devices,
                                    DeviceListeners& listeners, Task<Result<void>> main) {
  VirtioDevice* const card = devices.first(virtio::DeviceKind::net);
  if (!card) {
    base::log::info("there is no network card that can be used");
    co_return co_await std::move(main);
  }
  BareNetwork network{devices, *card, listeners};
  const auto options = wished_options();
  Result<void> outcome = options ? co_await network.open(*options) : options.error();
  if (outcome)
    outcome = co_await run_on_network(system, network, std::move(main));
  else if (options)
    base::log::error("the network card cannot be used: {}", outcome.error());
  (co_await network.close()).ignore();
  co_return outcome;
}

}  // namespace lichen::image

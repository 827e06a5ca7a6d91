// The network of a bare machine: our own TCP/IP over its virtio network cards. Each core has a pair
// of each card's queues, as far as there are so many, whose interrupts it takes; cores beyond that
// send by the pair of another, which receives for them.
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string_view>
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
#include "lichen/net/ip/path_mtu.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::image {

namespace {

namespace virtio = driver::virtio;
using namespace std::chrono_literals;

constexpr auto address_limit = 30s;

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
  bool prepare_sleep() noexcept override { return card_.pair(0).prepare_sleep(); }

 private:
  virtio::NetCard& card_;
};

// What of the cards has come to a core that is not their home.
class PairsOfCore final : public DeviceListener {
 public:
  void add(virtio::NetPair& pair) { pairs_.push_back(&pair); }
  [[nodiscard]] bool empty() const noexcept { return pairs_.empty(); }
  bool deliver() noexcept override {
    bool any = false;
    for (virtio::NetPair* const pair : pairs_) any |= pair->deliver();
    return any;
  }
  bool prepare_sleep() noexcept override {
    bool ready = true;
    for (virtio::NetPair* const pair : pairs_) ready &= pair->prepare_sleep();
    return ready;
  }

 private:
  std::vector<virtio::NetPair*> pairs_;
};

// From here on: what runs once, so it is made small, not fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

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

// What is asked for by the words of the command line, card by card.
constexpr std::array<std::string_view, net::inet::Link::most> wish_words{
    "net=", "net2=", "net3=", "net4="};

// Error::invalid_argument: why has been said.
Result<net::inet::LinkOptions> wish_for(std::size_t card) {
  const std::string_view word = hal::machine_word(wish_words[card]);
  if (word.empty()) return net::inet::LinkOptions{};
  const auto wish = AddressWish::parse(word);
  const std::string_view problem =
      wish ? wish->problem() : std::string_view{"ADDRESS/BITS[,GATEWAY] or dhcp is wanted"};
  if (!problem.empty()) {
    base::log::error("{}{}: {}", wish_words[card], word, problem);
    return Error::invalid_argument;
  }
  return net::inet::LinkOptions{.address = wish->address, .gateway = wish->gateway};
}

class BareCard {
 public:
  // `number`: from 1 on, among the machine's.
  BareCard(VirtioDevice& device, std::size_t number, const net::inet::LinkOptions& wish) noexcept
      : device_{device}, number_{number}, wish_{wish} {}
  BareCard(const BareCard&) = delete;
  BareCard& operator=(const BareCard&) = delete;

  // Errors: those of NetCard::open(), and not_supported: for IPv6 its frames are too short.
  Task<Result<void>> open(PageMemory& memory, virtio::NetOptions options) {
    options.router = &device_;
    card_ = CO_TRY(co_await virtio::NetCard::open(device_.transport(), memory, options));
    interrupts_.emplace(*card_);
    device_.tell(&*interrupts_);
    if (card_->mtu() < net::ip::least_ipv6_mtu) co_return Error::not_supported;
    sending_.reset(new (std::nothrow) coro::Mutex[pairs()]);
    if (!sending_) co_return Error::no_memory;
    if (pairs() > 1)
      base::log::debug("network card {} has {} pairs of queues for us", number_, pairs());
    co_return Result<void>{};
  }
  // It stops. MUST be called before this goes, also if open() has failed. It does not fail.
  Task<Result<void>> close() {
    if (card_) (co_await card_->close()).ignore();
    co_return Result<void>{};
  }
  // What `core` of so many has of it, on that core.
  Result<io::NetDevice*> device_of(unsigned core, unsigned cores) {
    virtio::NetPair& own = card_->pair(core % pairs());
    const bool receives = core < pairs();
    if (receives && core + pairs() >= cores) return &own;  // no other has that pair
    std::unique_ptr<net::inet::DeviceShare> share{
        new (std::nothrow) net::inet::DeviceShare(own, sending_[core % pairs()], receives)};
    if (!share) return Error::no_memory;
    return shares_.emplace_back(std::move(share)).get();
  }

  [[nodiscard]] VirtioDevice& device() noexcept { return device_; }
  [[nodiscard]] std::size_t number() const noexcept { return number_; }
  [[nodiscard]] const net::inet::LinkOptions& wish() const noexcept { return wish_; }
  [[nodiscard]] unsigned pairs() const noexcept { return card_->pairs(); }
  [[nodiscard]] virtio::NetPair& pair(unsigned index) noexcept { return card_->pair(index); }

 private:
  VirtioDevice& device_;
  const std::size_t number_;
  const net::inet::LinkOptions wish_;
  std::unique_ptr<virtio::NetCard> card_;
  std::optional<CardInterrupts> interrupts_;
  std::unique_ptr<coro::Mutex[]> sending_;  // of each pair
  std::vector<std::unique_ptr<net::inet::DeviceShare>> shares_;
};

class BareNetwork {
 public:
  BareNetwork(Devices& devices, DeviceListeners& listeners) noexcept
      : devices_{devices}, listeners_{listeners} {}
  BareNetwork(const BareNetwork&) = delete;
  BareNetwork& operator=(const BareNetwork&) = delete;

  // The cards that there are, and what is asked for each of them. Errors: invalid_argument (why has
  // been said), no_memory.
  Result<void> find() {
    std::size_t found = 0;
    for (const auto& device : devices_.all()) {
      if (device->transport().kind() != virtio::DeviceKind::net) continue;
      if (++found > wish_words.size()) continue;
      const net::inet::LinkOptions wish = TRY(wish_for(found - 1));
      std::unique_ptr<BareCard> card{new (std::nothrow) BareCard{*device, found, wish}};
      if (!card) return Error::no_memory;
      cards_.push_back(std::move(card));
    }
    if (found > wish_words.size())
      base::log::warning("of {} network cards the first {} are used", found, wish_words.size());
    for (std::size_t i = found; i < wish_words.size(); ++i)
      if (found != 0 && !hal::machine_word(wish_words[i]).empty())
        base::log::warning("{}: there is no network card {}", wish_words[i], i + 1);
    return {};
  }
  [[nodiscard]] bool has_cards() const noexcept { return !cards_.empty(); }

  // Over those that work. Errors: those of the stack, and of the last card if none works; why has
  // been said.
  Task<Result<void>> open() {
    const Result<void> opened = co_await open_all();
    if (opened.failed_with(Error::already_exists))
      base::log::error("two network cards have the same address");
    else if (!opened && !has_failed_)
      base::log::error("the network cannot be used: {}", opened.error());
    co_return opened;
  }
  // MUST be called before this goes, also if open() has failed. It does not fail.
  Task<Result<void>> close() {
    for (const auto& card : cards_) (co_await card->close()).ignore();
    auto& machine = sched::Machine::current();
    for (unsigned i = machine.cores(); i-- > 0;) {
      const io::Stay stay = co_await io::StayOn{machine.core(i)};
      if (machine.cores() > 1) tell_of_core(i);
      if (i == 0) break;
      for (const auto& card : cards_) card->device().take_no_more_here();
      listeners_[i] = nullptr;
    }
    const io::Stay back = co_await io::StayOn{machine.core(0)};
    for (const auto& card : cards_) card->device().tell(nullptr);
    co_return Result<void>{};
  }
  [[nodiscard]] net::inet::InetCores& inet() noexcept { return *inet_; }

  void tell_addresses() const noexcept {
    if (used_.size() == 1)
      return base::log::info("the network is up: {}", inet_->on(0).current_address(0));
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const net::wire::IpAddress own = inet_->on(0).current_address(i);
      if (own.is_unspecified())
        base::log::warning("network card {}, link {}, has no address yet", used_[i]->number(),
                           i + 1);
      else
        base::log::info("network card {}, link {}, is up: {}", used_[i]->number(), i + 1, own);
    }
  }

 private:
  Task<Result<void>> open_all() {
    auto& machine = sched::Machine::current();
    net::inet::InetOptions options;
    // A quarter of what there is; each core has a share of it.
    options.tcp.buffered_bytes =
        std::min(options.tcp.buffered_bytes, hal::page_region().size() / 4 / machine.cores());
    CO_TRY(co_await begin_randomness(devices_, memory_));
    CO_TRY(hal::random_bytes(std::as_writable_bytes(std::span{&options.secret, 1})));
    CO_TRY(co_await open_cards());
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const net::inet::LinkOptions& wish = used_[i]->wish();
      if (i == 0) {
        options.address = wish.address;
        options.gateway = wish.gateway;
      } else {
        options.others[i - 1] = wish;
      }
    }
    inet_ = CO_TRY(net::inet::InetCores::create(machine.cores(), options));
    co_return co_await join_cores();
  }

  // One that fails does not take the others away.
  Task<Result<void>> open_cards() {
    auto& machine = sched::Machine::current();
    std::vector<coro::Core*> cores;
    cores.reserve(machine.cores());
    for (unsigned i = 0; i < machine.cores(); ++i) cores.push_back(&machine.core(i));
    virtio::NetOptions options{.cores = cores};
    if (cores.size() > 1) {
      options.receive_buffers = 384;  // of each
      // The same for all, so that a flow comes to the same core by whichever it comes.
      CO_TRY(hal::random_bytes(std::as_writable_bytes(std::span{options.steering_key})));
    }
    Result<void> last;
    for (const auto& card : cards_) {
      const Result<void> opened = co_await card->open(memory_, options);
      if (opened) {
        used_.push_back(card.get());
        continue;
      }
      last = opened;
      (co_await card->close()).ignore();
      base::log::error("network card {} cannot be used: {}", card->number(), opened.error());
    }
    if (!used_.empty()) co_return Result<void>{};
    has_failed_ = true;
    co_return last;
  }

  Task<Result<void>> join_cores() {
    auto& machine = sched::Machine::current();
    Result<void> joined;
    for (unsigned i = 0; joined && i < machine.cores(); ++i) {
      const io::Stay stay = co_await io::StayOn{machine.core(i)};
      joined = join_core(i, machine.cores());
    }
    const io::Stay back = co_await io::StayOn{machine.core(0)};
    co_return joined;
  }

  // On that core.
  Result<void> join_core(unsigned core, unsigned cores) {
    std::array<io::NetDevice*, net::inet::Link::most> queues;
    std::unique_ptr<PairsOfCore> pairs{new (std::nothrow) PairsOfCore};
    if (!pairs) return Error::no_memory;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      queues[i] = TRY(used_[i]->device_of(core, cores));
      if (core != 0 && core < used_[i]->pairs()) pairs->add(used_[i]->pair(core));
    }
    if (!pairs->empty()) {
      listeners_[core] = pairs.get();
      pairs_.push_back(std::move(pairs));
    }
    return inet_->add(std::span{queues}.first(used_.size()));
  }

  // On that core.
  void tell_of_core(unsigned core) noexcept {
    if (!inet_ || core >= inet_->cores()) return;
    const net::tcp::EngineStatistics& tcp = inet_->on(core).tcp_statistics();
    const net::inet::CrossingCounters& crossing = inet_->counters(core);
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::uint64_t lost = crossing.lost;
    for (BareCard* const card : used_) {
      if (core >= card->pairs()) continue;
      const virtio::PairCounters pair = card->pair(core).counters();
      received += pair.receive.frames;
      sent += pair.send.frames;
      lost += pair.send.lost;
    }
    base::log::info(
        "core {}: {} connections; {} frames received, {} sent, "
        "{} passed to other cores, {} of these misled, {} lost",
        core, tcp.accepted + tcp.opened, received, sent, crossing.passed_on, crossing.misled, lost);
  }

  Devices& devices_;
  DeviceListeners& listeners_;
  PageMemory memory_;
  bool has_failed_ = false;                       // no card works, which has been said
  std::vector<std::unique_ptr<BareCard>> cards_;  // all that were tried
  std::vector<BareCard*> used_;                   // of these; the one of link i at i - 1
  std::vector<std::unique_ptr<PairsOfCore>> pairs_;
  std::unique_ptr<net::inet::InetCores> inet_;
};

Task<Result<void>> run_on_network(BareSystem& system, BareNetwork& network,
                                  Task<Result<void>> main) {
  net::inet::InetCores& inet = network.inet();
  Scope scope{OnError::keep_going};
  scope.spawn(inet.run());
  Result<void> outcome = co_await inet.up(address_limit);
  if (outcome) {
    network.tell_addresses();
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
  BareNetwork network{devices, listeners};
  CO_TRY(network.find());
  if (!network.has_cards()) {
    base::log::info("there is no network card that can be used");
    co_return co_await std::move(main);
  }
  Result<void> outcome = co_await network.open();
  if (outcome) outcome = co_await run_on_network(system, network, std::move(main));
  (co_await network.close()).ignore();
  co_return outcome;
}

#pragma clang attribute pop

}  // namespace lichen::image

#include "lichen/driver/virtio/net.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "lichen/io/operation.hpp"

// Runs seldom and is a large part of an image, so it is made small, not fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::driver::virtio {

namespace {

using namespace net_feature;

// 5.1.3.1; and the contract of network devices knows one word for both directions, where a frame to
// be cut may come in only if buffers can be merged.
constexpr std::array<FeatureNeeds, 11> needs{{
    {guest_checksum, checksum},
    {host_tcp4, checksum},
    {host_tcp6, checksum},
    {guest_tcp4, guest_checksum | host_tcp4 | merge_buffers},
    {guest_tcp6, guest_checksum | host_tcp6 | merge_buffers},
    {receive_mode, control},
    {announce, control | net_feature::status},
    {net_feature::pairs, control},
    {net_feature::set_address, control},
    {coalescing, control},
    {net_feature::steering, control},
}};
constexpr Features of_control = control | receive_mode | announce | net_feature::pairs |
                                net_feature::set_address | coalescing | net_feature::steering;

Features wanted(const NetOptions& options) noexcept {
  Features features = net_feature::mtu | merge_buffers | net_feature::status | of_control;
  const bool steers = options.steering_key != decltype(options.steering_key){};
  if (options.cores.size() < 2) features &= ~net_feature::pairs;
  if (options.cores.size() < 2 || !steers) features &= ~net_feature::steering;
  if (options.offload)
    features |= checksum | guest_checksum | host_tcp4 | host_tcp6 | guest_tcp4 | guest_tcp6;
  if (options.packed_ring) features |= feature::packed_ring;
  if (options.event_index) features |= feature::event_index;
  if (options.indirect_descriptors) features |= feature::indirect_descriptors;
  return features;
}

bool is_valid(const NetOptions& options) noexcept {
  if (!options.cores.empty() && options.cores[0] != coro::this_core()) return false;
  return options.queue_size != 0 && options.receive_buffers != 0 &&
         options.receive_buffers <= 65'536 && options.send_frames != 0 &&
         options.assembled_frames != 0 && options.buffer_size >= 64 &&
         options.buffer_size <= 131'072 && options.buffer_size % 64 == 0 && options.mtu >= 68 &&
         options.mtu <= 65'535;
}

NetOptions without_cores(NetOptions options) noexcept {
  options.cores = {};
  return options;
}

}  // namespace

NetCard::NetCard(Transport& transport, DeviceMemory& memory, const NetOptions& options,
                 Features agreed) noexcept
    : transport_{transport},
      memory_{memory},
      options_{without_cores(options)},
      agreed_{agreed},
      offloads_{.checksum = (agreed & checksum) != 0,
                .segmentation4 = (agreed & host_tcp4) != 0,
                .segmentation6 = (agreed & host_tcp6) != 0},
      home_{*coro::this_core()} {}

Task<Result<std::unique_ptr<NetCard>>> NetCard::open(Transport& transport, DeviceMemory& memory,
                                                     NetOptions options) noexcept {
  if (!is_valid(options)) co_return Error::invalid_argument;
  if (transport.kind() != DeviceKind::net) co_return Error::not_supported;
  coro::Core* const here = coro::this_core();
  const io::Stay stay = co_await io::StayOn{*here};
  // Once more without commands, if the device does not really have or do what it offers of them;
  // before that without the one that asks most of it.
  for (Features features = wanted(options);;) {
    const Features agreed = CO_TRY(co_await begin(
        transport, {.wanted = features, .required = net_feature::address, .needs = needs}));
    std::unique_ptr<NetCard> card{new (std::nothrow) NetCard{transport, memory, options, agreed}};
    if (!card) co_return Error::no_memory;
    CO_TRY(card->read_configuration());
    Result<void> ready =
        card->create_queues(options.cores.empty() ? std::span{&here, 1} : options.cores);
    if (ready) ready = card->enable();
    if (ready) ready = co_await card->configure();
    if (ready) co_return std::move(card);
    const bool without = (agreed & control) != 0 && !ready.failed_with(Error::no_memory) &&
                         !ready.failed_with(Error::stopped);
    if (!without) co_return ready.error();
    features &= (agreed & net_feature::steering) != 0 ? ~net_feature::steering : ~of_control;
  }
}

Result<void> NetCard::read_configuration() noexcept {
  read_config(transport_, [&](Transport& device) {
    for (std::size_t i = 0; i < address_.size(); ++i)
      address_[i] = static_cast<std::byte>(device.config8(net_field::address + i));
    mtu_ = (agreed_ & net_feature::mtu) != 0 ? device.config16(net_field::mtu) : options_.mtu;
    most_pairs_ = (agreed_ & net_feature::pairs) != 0 ? device.config16(net_field::most_pairs) : 1;
    hash_types_ = 0;
    if ((agreed_ & net_feature::steering) != 0 &&
        device.config8(net_field::most_key) >= io::Steering::key_size &&
        device.config16(net_field::most_entries) >= io::Steering::entries)
      hash_types_ = device.config32(net_field::hash_types);
    return 0;
  });
  if (mtu_ < 68) return Error::not_supported;
  // 5.1.4.1: at least one, and so many that each queue has a number.
  if (most_pairs_ == 0 || most_pairs_ > 0x7FFF) most_pairs_ = 1;
  // Without merging a frame has one buffer (5.1.6.3.1).
  const bool fits = sizeof(io::NetHeader) + 14 + mtu_ <= options_.buffer_size;
  if (!fits && (agreed_ & merge_buffers) == 0) return Error::not_supported;
  return {};
}

void NetCard::plan_vectors(std::span<coro::Core* const> cores) noexcept {
  const auto pairs = static_cast<unsigned>(cores.size());
  InterruptRouter* const router = options_.router;
  constexpr Vector usual = 3;
  const Vector vectors = std::min(transport_.vectors(), router ? router->vectors() : usual);
  plan_ = VectorPlan{pairs, vectors};
  if (!router || plan_.per_pair() == 0) return;
  for (unsigned i = 0; i < pairs; ++i) {
    if (router->route(plan_.receive(i), *cores[i]) && router->route(plan_.send(i), *cores[i]))
      continue;
    plan_ = VectorPlan{pairs, 1};  // all by that of the configuration
    return;
  }
}

Result<void> NetCard::create_queues(std::span<coro::Core* const> cores) noexcept {
  const unsigned count = std::min(static_cast<unsigned>(cores.size()), most_pairs_);
  plan_vectors(cores.first(count));
  // What the receiver may be told goes by what was agreed on for it.
  const io::NetFeatures incoming{.checksum = (agreed_ & guest_checksum) != 0,
                                 .segmentation4 = (agreed_ & guest_tcp4) != 0,
                                 .segmentation6 = (agreed_ & guest_tcp6) != 0};
  for (unsigned i = 0; i < count; ++i) {
    // 5.1.2.
    const auto queue = static_cast<std::uint16_t>(2 * i);
    auto receive = TRY(NetReceive::create(transport_, memory_, agreed_,
                                          {.home = cores[i],
                                           .queue = queue,
                                           .vector = plan_.receive(i),
                                           .most_posted = options_.queue_size,
                                           .buffers = options_.receive_buffers,
                                           .buffer_size = options_.buffer_size,
                                           .assembled = options_.assembled_frames,
                                           .merge = (agreed_ & merge_buffers) != 0,
                                           .features = incoming}));
    auto send = TRY(NetSend::create(transport_, memory_, agreed_,
                                    {.queue = static_cast<std::uint16_t>(queue + 1),
                                     .vector = plan_.send(i),
                                     .most_descriptors = options_.queue_size,
                                     .frames = options_.send_frames,
                                     .buffer_size = options_.buffer_size,
                                     .features = offloads_}));
    std::unique_ptr<NetPair> pair{
        new (std::nothrow) NetPair{*this, i, *cores[i], std::move(receive), std::move(send)}};
    if (!pair) return Error::no_memory;
    pairs_.push_back(std::move(pair));
  }
  // A connection has to come by the same pair over IPv4 and IPv6 alike, for whoever counts on it.
  constexpr std::uint32_t all_tcp = net_hash::tcp4 | net_hash::tcp6;
  if (count > 1 && (hash_types_ & all_tcp) == all_tcp)
    steering_ = {.key = options_.steering_key, .queues = count};
  if ((agreed_ & control) != 0)
    control_ = TRY(NetControl::create(transport_, memory_, agreed_,
                                      static_cast<std::uint16_t>(2 * most_pairs_)));
  return {};
}

// Steps 7 and 8 of 3.1.1.
Result<void> NetCard::enable() noexcept {
  if (transport_.vectors() != 0) TRY(transport_.set_config_vector(VectorPlan::configuration));
  for (const auto& pair : pairs_) TRY(pair->enable());
  if (control_) TRY(control_->enable());
  TRY(finish(transport_));
  if (control_) control_->set_up(true);
  state_.store(State::up, std::memory_order_release);
  ++starts_;
  return {};
}

Task<Result<void>> NetCard::steer() noexcept {
  using namespace net_hash;
  NetSteering wish{.hash_types = hash_types_ & (tcp4 | udp4 | tcp6 | udp6),
                   .send_queues = static_cast<std::uint16_t>(pairs()),
                   .key = options_.steering_key};
  for (unsigned i = 0; i < wish.pairs.size(); ++i)
    wish.pairs[i] = static_cast<std::uint16_t>(steering_.queue_of_entry(i));
  co_return co_await control_->command(net_command::steer, std::as_bytes(std::span{&wish, 1}));
}

Task<Result<void>> NetCard::configure() noexcept {
  if (steering_.queues != 0)
    CO_TRY(co_await steer());
  else if (pairs() > 1)
    CO_TRY(co_await control_->command(net_command::set_pairs, static_cast<std::uint16_t>(pairs())));
  if (address_is_set_) CO_TRY(co_await control_->command(net_command::set_address, address_));
  if (promiscuous_is_set_)
    CO_TRY(co_await control_->command(net_command::promiscuous,
                                      static_cast<std::uint8_t>(promiscuous_ ? 1 : 0)));
  if ((agreed_ & coalescing) != 0) {
    const auto number = [](const Coalescing& wish) {
      return std::uint64_t{wish.microseconds} << 32 | wish.frames;
    };
    if (const auto wish = number(options_.received))
      CO_TRY(co_await control_->command(net_command::coalesce_received, wish));
    if (const auto wish = number(options_.sent))
      CO_TRY(co_await control_->command(net_command::coalesce_sent, wish));
  }
  CO_TRY(co_await start_pairs());
  look_at_link();
  co_return Result<void>{};
}

Task<Result<void>> NetCard::start_pairs() noexcept {
  for (const auto& pair : pairs_) {
    const io::Stay stay = co_await io::StayOn{pair->home()};
    if (state() == State::up) pair->start();
  }
  const io::Stay back = co_await io::StayOn{home_};
  co_return Result<void>{};
}

Task<Result<void>> NetCard::close() noexcept {
  if (control_) control_->set_up(false);
  if (state_.exchange(State::stopping) == State::up) begin_reset(transport_);
  CO_TRY(co_await reset(transport_));
  state_.store(State::stopped, std::memory_order_release);
  for (const auto& pair : pairs_) {
    const io::Stay stay = co_await io::StayOn{pair->home()};
    pair->stop();
  }
  const io::Stay back = co_await io::StayOn{home_};
  co_return Result<void>{};
}

NetCard::~NetCard() {
  if (reset_now(transport_)) return;
  for (const auto& pair : pairs_) {
    pair->receive_->abandon();
    pair->send_->abandon();
  }
  if (control_) control_->abandon();
}

// ---- a device that fails ------------------------------------------------------------------------

void NetCard::fault() noexcept {
  State expected = State::up;
  if (!state_.compare_exchange_strong(expected, State::stopping, std::memory_order_acq_rel)) return;
  faults_.fetch_add(1, std::memory_order_relaxed);
  if (control_) control_->set_up(false);
  const bool confirmed = begin_reset(transport_);
  state_.store(confirmed ? State::stopped : State::resetting, std::memory_order_release);
  for (const auto& pair : pairs_) pair->receive_->news().set();
}

// On the core of the first pair, which is the card's.
Task<Result<void>> NetCard::restart() noexcept {
  // Somebody is about to reset it.
  for (coro::Event& news = pairs_[0]->receive_->news(); state() == State::stopping;) {
    news.reset();
    if (state() == State::stopping) CO_TRY(co_await news.wait());
  }
  Result<void> confirmed;
  if (state() == State::resetting) {
    confirmed = co_await reset(transport_);
    if (!confirmed && !confirmed.failed_with(Error::timed_out)) co_return confirmed.error();
    state_.store(State::stopped, std::memory_order_release);
  }
  for (const auto& pair : pairs_) {
    const io::Stay stay = co_await io::StayOn{pair->home()};
    pair->stop();
  }
  const io::Stay back = co_await io::StayOn{home_};
  CO_TRY(confirmed);
  CO_TRY(co_await restart_pause_.wait());
  CO_TRY(co_await begin(transport_, {.wanted = 0, .required = agreed_}));
  if (const Result<void> enabled = enable(); !enabled) {
    fail(transport_);
    co_return enabled.error();
  }
  if (const Result<void> configured = co_await configure(); !configured) {
    fault();
    if (configured.failed_with(Error::stopped)) co_return Error::stopped;
  }
  co_return Result<void>{};
}

#pragma clang attribute pop

// ---- what it tells ------------------------------------------------------------------------------

void NetCard::interrupted(Vector vector) noexcept {
  constexpr std::uint8_t both = NetPair::told_receive | NetPair::told_send;
  const unsigned per_pair = plan_.per_pair();
  if (vector == VectorPlan::configuration || per_pair == 0) {
    configuration_told_.store(true, std::memory_order_release);
    if (per_pair == 0)
      for (const auto& pair : pairs_) pair->note(both);
    return;
  }
  const unsigned index = (vector - 1U) / per_pair;
  if (index >= pairs_.size()) return;
  const std::uint8_t half = (vector - 1U) % 2 == 0 ? NetPair::told_receive : NetPair::told_send;
  pairs_[index]->note(per_pair == 1 ? both : half);
}

void NetCard::interrupted_by_line() noexcept {
  const InterruptCause cause = transport_.acknowledge_interrupt();
  if (cause.queues)
    for (const auto& pair : pairs_) pair->note(NetPair::told_receive | NetPair::told_send);
  if (cause.configuration) configuration_told_.store(true, std::memory_order_release);
}

bool NetCard::deliver() noexcept {
  bool any = false;
  if (configuration_told_.load(std::memory_order_relaxed)) {
    configuration_told_.exchange(false, std::memory_order_acquire);
    any = true;
    if (state() == State::up) {
      if ((transport_.status() & virtio::status::needs_reset) != 0) {
        fault();  // also while it is configured, before the pairs are up
        pairs_[0]->is_up();
      } else {
        look_at_link();
      }
    }
  }
  for (const auto& pair : pairs_)
    if (pair->has_news() && &pair->home() == &home_) any |= pair->deliver();
  return any;
}

void NetCard::look_at_link() noexcept {
  if ((agreed_ & net_feature::status) == 0 || state() != State::up) return;
  const std::uint16_t status = transport_.config16(net_field::status);
  const bool up = (status & net_field::link_is_up) != 0;
  if (up != link_.up) {
    ++link_changes_;
    link_.up = up;
    link_is_up_.store(up, std::memory_order_relaxed);
    link_news_.set();
  }
  if ((agreed_ & announce) != 0 && (status & net_field::announce) != 0) {
    announce_ = true;
    link_news_.set();
  }
}

Task<Result<io::LinkState>> NetCard::link_changed(io::LinkState seen) {
  if ((agreed_ & net_feature::status) == 0) co_return Error::not_supported;
  const io::Stay stay = co_await io::StayOn{home_};
  for (;;) {
    link_news_.reset();
    if (std::exchange(announce_, false) && state() == State::up) {
      ++link_.announcements;
      const Result<void> told =
          co_await control_->command(net_command::announced, std::span<const std::byte>{});
      if (told.failed_with(Error::stopped)) co_return Error::stopped;
      // One that says this and does not want to hear of it is no worse for that.
      if (told.failed_with(Error::protocol_error)) pairs_[0]->fault();
    }
    if (link_ != seen) co_return link_;
    CO_TRY(co_await link_news_.wait());
  }
}

// ---- what it is told ----------------------------------------------------------------------------

Task<Result<void>> NetCard::set_address(std::array<std::byte, 6> address) noexcept {
  if ((agreed_ & net_feature::set_address) == 0) co_return Error::not_supported;
  CO_TRY(co_await control_->command(net_command::set_address, address));
  address_ = address;
  address_is_set_ = true;
  co_return Result<void>{};
}

Task<Result<void>> NetCard::set_promiscuous(bool on) noexcept {
  if ((agreed_ & receive_mode) == 0) co_return Error::not_supported;
  CO_TRY(
      co_await control_->command(net_command::promiscuous, static_cast<std::uint8_t>(on ? 1 : 0)));
  promiscuous_ = on;
  promiscuous_is_set_ = true;
  co_return Result<void>{};
}

}  // namespace lichen::driver::virtio

#include "lichen/driver/virtio/net.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "lichen/coro/sleep.hpp"
#include "lichen/driver/virtio/start.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/io/turn.hpp"

namespace lichen::driver::virtio {

namespace {

// 5.1.3.
constexpr Features checksum = Features{1} << 0;
constexpr Features guest_checksum = Features{1} << 1;
constexpr Features has_mtu = Features{1} << 3;
constexpr Features has_address = Features{1} << 5;
constexpr Features guest_tcp4 = Features{1} << 7;
constexpr Features guest_tcp6 = Features{1} << 8;
constexpr Features host_tcp4 = Features{1} << 11;
constexpr Features host_tcp6 = Features{1} << 12;
constexpr Features merge_buffers = Features{1} << 15;

// 5.1.3.1; and the contract of network devices knows one word for both directions, where a frame to
// be cut may come in only if buffers can be merged.
constexpr std::array<FeatureNeeds, 5> needs{{
    {guest_checksum, checksum},
    {host_tcp4, checksum},
    {host_tcp6, checksum},
    {guest_tcp4, guest_checksum | host_tcp4 | merge_buffers},
    {guest_tcp6, guest_checksum | host_tcp6 | merge_buffers},
}};

// 5.1.4.
constexpr std::size_t address_field = 0;
constexpr std::size_t mtu_field = 10;

constexpr std::uint16_t receive_queue = 0;
constexpr std::uint16_t send_queue = 1;

constexpr std::uint8_t told_receive = 1;
constexpr std::uint8_t told_send = 2;
constexpr std::uint8_t told_configuration = 4;

constexpr std::uint64_t first_restart_pause = 1'000'000;
constexpr std::uint64_t longest_restart_pause = 1'024'000'000;

Features wanted(const NetOptions& options) noexcept {
  Features features = has_mtu | merge_buffers;
  if (options.offload)
    features |= checksum | guest_checksum | host_tcp4 | host_tcp6 | guest_tcp4 | guest_tcp6;
  if (options.packed_ring) features |= feature::packed_ring;
  if (options.event_index) features |= feature::event_index;
  if (options.indirect_descriptors) features |= feature::indirect_descriptors;
  return features;
}

bool is_valid(const NetOptions& options) noexcept {
  return options.queue_size != 0 && options.receive_buffers != 0 &&
         options.receive_buffers <= 65'536 && options.send_frames != 0 &&
         options.assembled_frames != 0 && options.buffer_size >= 64 &&
         options.buffer_size <= 131'072 && options.buffer_size % 64 == 0 && options.mtu >= 68 &&
         options.mtu <= 65'535;
}

}  // namespace

NetCard::NetCard(Transport& transport, DeviceMemory& memory, const NetOptions& options,
                 Features agreed) noexcept
    : transport_{transport},
      memory_{memory},
      options_{options},
      agreed_{agreed},
      offloads_{.checksum = (agreed & checksum) != 0,
                .segmentation4 = (agreed & host_tcp4) != 0,
                .segmentation6 = (agreed & host_tcp6) != 0},
      home_{*coro::this_core()} {}

Task<Result<std::unique_ptr<NetCard>>> NetCard::open(Transport& transport, DeviceMemory& memory,
                                                     NetOptions options) noexcept {
  if (!is_valid(options)) co_return Error::invalid_argument;
  if (transport.kind() != DeviceKind::net) co_return Error::not_supported;
  const io::Stay stay = co_await io::StayOn{*coro::this_core()};
  const Features agreed = CO_TRY(co_await begin(
      transport, {.wanted = wanted(options), .required = has_address, .needs = needs}));
  std::unique_ptr<NetCard> card{new (std::nothrow) NetCard{transport, memory, options, agreed}};
  if (!card) co_return Error::no_memory;
  CO_TRY(card->read_configuration());
  CO_TRY(card->create_queues());
  CO_TRY(card->enable());
  co_return std::move(card);
}

Result<void> NetCard::read_configuration() noexcept {
  read_config(transport_, [&](Transport& device) {
    for (std::size_t i = 0; i < address_.size(); ++i)
      address_[i] = static_cast<std::byte>(device.config8(address_field + i));
    mtu_ = (agreed_ & has_mtu) != 0 ? device.config16(mtu_field) : options_.mtu;
    return 0;
  });
  if (mtu_ < 68) return Error::not_supported;
  // Without merging a frame has one buffer (5.1.6.3.1).
  const bool fits = sizeof(io::NetHeader) + 14 + mtu_ <= options_.buffer_size;
  if (!fits && (agreed_ & merge_buffers) == 0) return Error::not_supported;
  return {};
}

Result<void> NetCard::create_queues() noexcept {
  const Vector vectors = transport_.vectors();
  const auto vector = [&](Vector wished) {
    if (vectors == 0) return no_vector;
    return vectors > send_vector ? wished : Vector{0};
  };
  // What the receiver may be told goes by what was agreed on for it.
  const io::NetFeatures incoming{.checksum = (agreed_ & guest_checksum) != 0,
                                 .segmentation4 = (agreed_ & guest_tcp4) != 0,
                                 .segmentation6 = (agreed_ & guest_tcp6) != 0};
  receive_ = TRY(NetReceive::create(transport_, memory_, agreed_,
                                    {.queue = receive_queue,
                                     .vector = vector(receive_vector),
                                     .most_posted = options_.queue_size,
                                     .buffers = options_.receive_buffers,
                                     .buffer_size = options_.buffer_size,
                                     .assembled = options_.assembled_frames,
                                     .merge = (agreed_ & merge_buffers) != 0,
                                     .features = incoming}));
  send_ = TRY(NetSend::create(transport_, memory_, agreed_,
                              {.queue = send_queue,
                               .vector = vector(send_vector),
                               .most_descriptors = options_.queue_size,
                               .frames = options_.send_frames,
                               .buffer_size = options_.buffer_size,
                               .features = offloads_}));
  return {};
}

// Steps 7 and 8 of 3.1.1. Before DRIVER_OK no buffer is announced (3.1.1.1).
Result<void> NetCard::enable() noexcept {
  if (transport_.vectors() != 0) TRY(transport_.set_config_vector(config_vector));
  TRY(receive_->enable());
  TRY(send_->enable());
  TRY(finish(transport_));
  up_ = true;
  ++starts_;
  receive_->post();
  return {};
}

NetCard::~NetCard() {
  bool stopped = begin_reset(transport_);
  for (unsigned tries = 0; !stopped && tries < 1'000; ++tries) stopped = transport_.status() == 0;
  if (stopped) return;
  if (receive_) receive_->abandon();
  if (send_) send_->abandon();
}

void NetCard::fault() noexcept {
  if (!std::exchange(up_, false)) return;
  ++faults_;
  begin_reset(transport_);
  send_->drop_all();
  receive_->news().set();
}

Task<Result<void>> NetCard::restart() noexcept {
  // A device that breaks down again and again does not keep us busy.
  if (restart_pause_ != 0) CO_TRY(co_await sleep_for(std::chrono::nanoseconds{restart_pause_}));
  restart_pause_ = std::clamp(restart_pause_ * 2, first_restart_pause, longest_restart_pause);
  CO_TRY(co_await begin(transport_, {.wanted = 0, .required = agreed_}));
  if (const Result<void> enabled = enable(); !enabled) {
    fail(transport_);
    co_return enabled.error();
  }
  co_return Result<void>{};
}

void NetCard::interrupted(Vector vector) noexcept {
  constexpr std::uint8_t all = told_receive | told_send | told_configuration;
  constexpr std::array<std::uint8_t, 3> told{told_configuration, told_receive, told_send};
  const bool own = transport_.vectors() > send_vector && vector <= send_vector;
  told_.fetch_or(own ? told[vector] : all, std::memory_order_release);
}

void NetCard::interrupted_by_line() noexcept {
  const InterruptCause cause = transport_.acknowledge_interrupt();
  std::uint8_t told = 0;
  if (cause.queues) told |= told_receive | told_send;
  if (cause.configuration) told |= told_configuration;
  if (told != 0) told_.fetch_or(told, std::memory_order_release);
}

bool NetCard::deliver() noexcept {
  if (told_.load(std::memory_order_relaxed) == 0) return false;
  const std::uint8_t told = told_.exchange(0, std::memory_order_acquire);
  if (!up_) return true;
  if ((told & told_configuration) != 0 && (transport_.status() & status::needs_reset) != 0) {
    fault();
    return true;
  }
  if ((told & told_receive) != 0) receive_->news().set();
  if ((told & told_send) != 0) {
    settle_lent();
    if (up_) send_->news().set();
  }
  return true;
}

// What the device has done with lent bytes, or an interrupt when it has done it all.
void NetCard::settle_lent() noexcept {
  while (send_->has_lent()) {
    if (!send_->reclaim()) return fault();
    if (send_->has_lent() && send_->interrupt_when_returned()) return;
  }
  send_->interrupts_off();
  send_->wake_lender();
}

Task<Result<std::size_t>> NetCard::receive(std::span<io::ReceivedFrame> into) {
  const io::Stay stay = co_await io::StayOn{home_};
  io::Turn turn{receiving_};
  if (!turn) co_return Error::busy;
  if (into.empty()) co_return Error::invalid_argument;
  for (unsigned looks = 0;;) {
    if (!up_) CO_TRY(co_await restart());
    const Result<std::size_t> taken = receive_->take(into);
    if (!taken) {
      fault();
      continue;
    }
    receive_->post();
    if (*taken != 0) {
      ++full_calls_;
      restart_pause_ = 0;
      co_return *taken;
    }
    if (full_calls_ >= options_.polling.busy_after && looks < options_.polling.looks) {
      ++looks;
      ++looks_;
      co_await yield();
      continue;
    }
    full_calls_ = 0;
    if (!receive_->prepare_wait()) continue;
    ++waits_;
    const Result<void> waited = co_await receive_->news().wait();
    receive_->end_wait();
    CO_TRY(waited);
  }
}

Task<Result<std::size_t>> NetCard::send(std::span<const io::OutgoingFrame> frames) {
  const io::Stay stay = co_await io::StayOn{home_};
  io::Turn turn{sending_};
  if (!turn) co_return Error::busy;
  if (frames.empty()) co_return std::size_t{0};
  if (frames.size() > most_frames) co_return Error::too_large;
  for (;;) {
    if (up_ && !send_->reclaim()) fault();
    if (!up_) {
      send_->count_lost(frames.size());
      co_return frames.size();
    }
    const Result<std::size_t> added = send_->add(frames);
    if (added) {
      send_->publish();
      settle_lent();
      co_await send_->returned();
      co_return *added;
    }
    if (!added.failed_with(Error::would_block)) co_return added.error();
    send_->news().reset();
    if (!send_->interrupt_when_roomy()) continue;
    const Result<void> waited = co_await send_->news().wait();
    if (up_) send_->interrupts_off();
    CO_TRY(waited);
  }
}

NetCounters NetCard::counters() const noexcept {
  return {.receive = receive_->counters(),
          .send = send_->counters(),
          .waits = waits_,
          .looks = looks_,
          .faults = faults_,
          .starts = starts_};
}

}  // namespace lichen::driver::virtio

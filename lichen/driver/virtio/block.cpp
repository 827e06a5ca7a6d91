#include "lichen/driver/virtio/block.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/io/operation.hpp"

namespace lichen::driver::virtio {

namespace {

namespace feature_of = block_feature;

constexpr std::uint8_t gone = 0xFF;  // what is read where nothing is any more

// A cache that cannot be flushed is one that we cannot turn off.
constexpr std::array<FeatureNeeds, 1> needs{{{feature_of::config_wce, feature_of::flush}}};

Features wanted(const DiskOptions& options) noexcept {
  Features features = feature_of::all;
  if (options.packed_ring) features |= feature::packed_ring;
  if (options.event_index) features |= feature::event_index;
  if (options.indirect_descriptors) features |= feature::indirect_descriptors;
  return features;
}

// 5.2.5: whether a driver can do anything with it.
bool makes_sense(const BlockConfig& config) noexcept {
  constexpr std::uint32_t largest_block = 65'536;
  return config.block_size >= virtio_sector && config.block_size <= largest_block &&
         std::has_single_bit(config.block_size) && config.segment_size >= config.block_size &&
         config.segments != 0 && config.queues != 0;
}

bool can_discard(const BlockConfig& config) noexcept {
  return config.most_discarded >= config.block_size / virtio_sector;
}
bool can_zero(const BlockConfig& config) noexcept {
  return config.most_zeroed >= config.block_size / virtio_sector;
}

// What was cut for one can be taken by the other.
bool is_the_same(const BlockConfig& before, const BlockConfig& now) noexcept {
  return now.block_size == before.block_size && now.segment_size >= before.segment_size &&
         now.segments >= before.segments && now.queues >= before.queues &&
         now.most_discarded >= before.most_discarded && now.most_zeroed >= before.most_zeroed;
}

}  // namespace

Disk::Disk(Transport& transport, DeviceMemory& memory, const DiskOptions& options,
           Features agreed) noexcept
    : transport_{transport},
      memory_{memory},
      agreed_{agreed},
      write_through_{options.write_through && (agreed & feature_of::config_wce) != 0},
      home_{*coro::this_core()} {}

Task<Result<std::unique_ptr<Disk>>> Disk::open(Transport& transport, DeviceMemory& memory,
                                               DiskOptions options) noexcept {
  if (options.requests == 0 || options.segments == 0 || options.cores.size() > most_queues)
    co_return Error::invalid_argument;
  if (transport.kind() != DeviceKind::block) co_return Error::not_supported;
  const io::Stay stay = co_await io::StayOn{*coro::this_core()};
  const Features agreed =
      CO_TRY(co_await begin(transport, {.wanted = wanted(options), .needs = needs}));
  std::unique_ptr<Disk> disk{new (std::nothrow) Disk{transport, memory, options, agreed}};
  if (!disk) co_return Error::no_memory;
  disk->config_ = read_block_config(transport, agreed);
  disk->capacity_.store(disk->config_.capacity, std::memory_order_relaxed);
  Result<void> up = makes_sense(disk->config_) ? Result<void>{} : Error::not_supported;
  if (up) up = disk->create_queues(options);
  if (up) up = co_await disk->enable();
  if (!up) {
    fail(transport);
    co_return up.error();
  }
  CO_TRY(co_await disk->start_queues());
  co_return disk;
}

Result<void> Disk::create_queues(const DiskOptions& options) noexcept {
  coro::Core* const here = &home_;
  const std::span<coro::Core* const> cores =
      options.cores.empty() ? std::span{&here, 1} : options.cores;
  std::size_t count = std::min<std::size_t>(config_.queues, cores.size());
  const unsigned known = options.router ? std::min(options.router->vectors(), transport_.vectors())
                                        : transport_.vectors();
  const bool vectors = known > 1;
  count = vectors ? std::min<std::size_t>(count, known - 1U) : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const Vector shared = transport_.vectors() != 0 ? config_vector : no_vector;
    // Without its interrupt a core does without its queue.
    if (vectors && options.router && !options.router->route(queue_vector(i), *cores[i])) {
      if (i != 0) break;
      return Error::not_supported;
    }
    auto queue = TRY(BlockQueue::create(transport_, memory_, agreed_, *cores[i],
                                        {.index = static_cast<std::uint16_t>(i),
                                         .vector = vectors ? queue_vector(i) : shared,
                                         .requests = options.requests,
                                         .segments = options.segments,
                                         .config = config_}));
    queues_[queue_count_++] = std::move(queue);
  }
  return {};
}

// Steps 7 and 8 of 3.1.1. Nothing is announced before DRIVER_OK.
Task<Result<void>> Disk::enable() noexcept {
  if (transport_.vectors() != 0) CO_TRY(transport_.set_config_vector(config_vector));
  if (write_through_) transport_.set_config8(block_writeback_field, 0);
  for (const auto& queue : all_queues()) {
    const io::Stay there = co_await io::StayOn{queue->home()};
    CO_TRY(queue->enable());
  }
  const io::Stay here = co_await io::StayOn{home_};
  CO_TRY(finish(transport_));
  ++starts_;
  co_return Result<void>{};
}

Task<void> Disk::start_queues() noexcept {
  for (const auto& queue : all_queues()) {
    const io::Stay there = co_await io::StayOn{queue->home()};
    queue->start();
  }
  const io::Stay here = co_await io::StayOn{home_};
}

Disk::~Disk() {
  if (reset_now(transport_)) return;
  for (const auto& queue : all_queues()) queue->abandon();
}

void Disk::read_configuration() noexcept {
  capacity_.store(read_block_config(transport_, agreed_).capacity, std::memory_order_relaxed);
}

void Disk::fault() noexcept {
  faulty_.store(true);
  news_.set();
}

void Disk::interrupted(Vector vector) noexcept {
  if (vector == config_vector) told_configuration_.store(true, std::memory_order_release);
}

void Disk::interrupted_by_line() noexcept {
  if (transport_.acknowledge_interrupt().configuration)
    told_configuration_.store(true, std::memory_order_release);
}

bool Disk::deliver() noexcept {
  bool any = false;
  const coro::Core* const here = coro::this_core();
  for (const auto& queue : all_queues()) {
    if (&queue->home() != here) continue;
    const Result<unsigned> done = queue->deliver();
    if (!done) {
      queue->stop();
      fault();
    }
    any |= !done || *done != 0;
  }
  if (here == &home_ && told_configuration_.load(std::memory_order_relaxed)) {
    told_configuration_.exchange(false);  // before the device is looked at
    look_at_configuration_ = true;
    news_.set();
    any = true;
  }
  return any;
}

bool Disk::prepare_sleep() noexcept {
  bool ready = true;
  const coro::Core* const here = coro::this_core();
  for (const auto& queue : all_queues())
    if (&queue->home() == here && !queue->prepare_sleep()) ready = false;
  return ready;
}

bool Disk::is_deaf() const noexcept {
  const coro::Core* const here = coro::this_core();
  return std::ranges::any_of(
      all_queues(), [&](const auto& queue) { return &queue->home() == here && queue->is_deaf(); });
}

Task<Result<void>> Disk::serve() noexcept {
  const io::Stay stay = co_await io::StayOn{home_};
  for (;;) {
    news_.reset();
    if (std::exchange(look_at_configuration_, false)) {
      if ((transport_.status() & status::needs_reset) != 0)
        faulty_.store(true);
      else
        read_configuration();
    }
    if (!faulty_.load()) {
      CO_TRY(co_await news_.wait());
      continue;
    }
    const Result<void> up = co_await restart();
    if (up.failed_with(Error::stopped)) co_return up.error();
    if (up) continue;
    // Without memory for its steps it is tried again, for somebody waits.
    if (!up.failed_with(Error::no_memory)) {
      base::log::error("a disk is of no use any more: {}", up.error());
      if (co_await end(up.error())) co_return up.error();
    }
    CO_TRY(co_await sleep_for(RestartPause::first));
  }
}

Task<Result<void>> Disk::restart() noexcept {
  ++faults_;
  for (const auto& queue : all_queues()) {
    const io::Stay there = co_await io::StayOn{queue->home()};
    queue->stop();
  }
  const io::Stay here = co_await io::StayOn{home_};
  begin_reset(transport_);
  // One that has worked since is given another chance at once.
  const std::uint64_t done = counters().queues.done;
  if (std::exchange(done_at_restart_, done) != done) restart_pause_.forget();
  CO_TRY(co_await restart_pause_.wait());

  CO_TRY(co_await reset_and_agree());
  // What was written and not flushed may be gone with the device's state.
  for (const auto& queue : all_queues()) {
    if (!queue->is_safe() && info().volatile_cache) lost_.store(true);
    queue->make_safe(queue->written());
  }
  if (const Result<void> up = co_await enable(); !up) {
    fail(transport_);
    // What it has agreed to before and now refuses is a fault of its own.
    co_return up.failed_with(Error::no_memory) ? Error::no_memory : Error::io_failed;
  }
  faulty_.store(false);
  read_configuration();
  // Should it fail, the device is reset once more.
  const Result<void> started = co_await start_queues();
  if (!started) faulty_.store(true);
  co_return started;
}

// Until the device has confirmed the reset nobody is told that it is lost. Errors: closed,
// not_supported, io_failed, stopped.
Task<Result<void>> Disk::reset_and_agree() noexcept {
  for (bool told = false;;) {
    const auto features = co_await begin(transport_, {.wanted = 0, .required = agreed_});
    if (features) break;
    if (!features.failed_with(Error::timed_out)) co_return features.error();
    if (transport_.status() == gone) co_return Error::closed;
    if (!std::exchange(told, true))
      base::log::error("a disk does not answer; whoever uses it waits until it does");
  }
  const BlockConfig now = read_block_config(transport_, agreed_);
  if (makes_sense(now) && is_the_same(config_, now)) co_return Result<void>{};
  fail(transport_);
  co_return Error::not_supported;
}

Task<void> Disk::end(Error error) noexcept {
  for (const auto& queue : all_queues()) {
    const io::Stay there = co_await io::StayOn{queue->home()};
    queue->end(error);
  }
  const io::Stay here = co_await io::StayOn{home_};
}

BlockQueue& Disk::queue_here() noexcept {
  coro::Core* const here = coro::this_core();
  for (const auto& queue : all_queues())
    if (&queue->home() == here) return *queue;
  return *queues_[here->index() % queue_count_];
}

Task<Result<void>> Disk::ask(BlockCall& call) noexcept {
  BlockQueue& queue = queue_here();
  const io::Stay stay = co_await io::StayOn{queue.home()};
  co_return co_await queue.run(call);
}

Task<Result<void>> Disk::read_pieces(std::uint64_t sector,
                                     std::span<const std::span<std::byte>> into) {
  CO_TRY(io::check_blocks(info(), sector, into));
  BlockCall call{.type = BlockRequest::in, .sector = first_of(sector), .into = into};
  co_return co_await ask(call);
}

Task<Result<void>> Disk::write_pieces(std::uint64_t sector,
                                      std::span<const std::span<const std::byte>> from) {
  const io::BlockInfo known = info();
  CO_TRY(io::check_blocks(known, sector, from));
  if (known.read_only) co_return Error::read_only;
  BlockCall call{.type = BlockRequest::out, .sector = first_of(sector), .from = from};
  co_return co_await ask(call);
}

Task<Result<void>> Disk::flush() {
  if (lost_.exchange(false)) co_return Error::io_failed;
  // 5.2.6.1: without the feature there is no such request; what is written is safe.
  if ((agreed_ & feature_of::flush) == 0) co_return Result<void>{};
  std::array<std::uint64_t, most_queues> written;
  for (std::size_t i = 0; i < queue_count_; ++i) written[i] = queues_[i]->written();
  BlockCall call{.type = BlockRequest::flush};
  CO_TRY(co_await ask(call));
  for (std::size_t i = 0; i < queue_count_; ++i) queues_[i]->make_safe(written[i]);
  co_return Result<void>{};
}

Task<Result<void>> Disk::discard(std::uint64_t sector, std::uint64_t count) {
  const io::BlockInfo known = info();
  CO_TRY(io::check_block_range(known, sector, count));
  if (known.read_only) co_return Error::read_only;
  if (!known.discards) co_return Error::not_supported;
  BlockCall call{
      .type = BlockRequest::discard, .sector = first_of(sector), .count = first_of(count)};
  co_return co_await ask(call);
}

Task<Result<void>> Disk::write_zeroes(std::uint64_t sector, std::uint64_t count, bool unmap) {
  const io::BlockInfo known = info();
  CO_TRY(io::check_block_range(known, sector, count));
  if (known.read_only) co_return Error::read_only;
  if (!known.writes_zeroes) co_return Error::not_supported;
  BlockCall call{.type = BlockRequest::zeroes,
                 .sector = first_of(sector),
                 .count = first_of(count),
                 .unmap = unmap && config_.unmaps};
  co_return co_await ask(call);
}

io::BlockInfo Disk::info() const noexcept {
  const std::uint32_t block = config_.block_size;
  const std::uint64_t best = std::uint64_t{block} * config_.best_transfer;
  return {.sector_size = block,
          .sectors = capacity_.load(std::memory_order_relaxed) / (block / virtio_sector),
          .read_only = (agreed_ & feature_of::read_only) != 0,
          .volatile_cache = config_.writeback && !write_through_,
          .discards = can_discard(config_),
          .writes_zeroes = can_zero(config_),
          .best_write = static_cast<std::uint32_t>(std::min<std::uint64_t>(
              std::uint64_t{block} * config_.blocks_per_physical, 1U << 31)),
          .first_aligned = config_.first_aligned,
          .best_transfer = best > 0xFFFF'FFFF ? 0 : static_cast<std::uint32_t>(best)};
}

DiskCounters Disk::counters() const noexcept {
  DiskCounters sum{.queues = {}, .faults = faults_, .starts = starts_};
  for (const auto& queue : all_queues()) {
    const BlockCounters& each = queue->counters();
    sum.queues.requests += each.requests;
    sum.queues.shown += each.shown;
    sum.queues.done += each.done;
    sum.queues.failed += each.failed;
    sum.queues.bad += each.bad;
    sum.queues.armed += each.armed;
    sum.queues.repeated += each.repeated;
  }
  return sum;
}

}  // namespace lichen::driver::virtio

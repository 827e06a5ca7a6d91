#include "lichen/driver/virtio/balloon.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

#include "lichen/coro/sleep.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/driver/virtio/start.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/io/turn.hpp"

// Runs seldom and is a large part of an image, so it is made small, not fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::driver::virtio {

namespace {

using namespace std::chrono_literals;

// 5.5.3, 5.5.4.
constexpr Features must_tell_host = Features{1} << 0;
constexpr Features has_statistics = Features{1} << 1;
enum Field : std::size_t { wanted_pages = 0, actual_pages = 4 };
enum QueueIndex : std::uint16_t { inflate_queue = 0, deflate_queue = 1, statistics_queue = 2 };

// 5.5.6.4.
enum Statistic : std::uint16_t { free_memory = 4, total_memory = 5, available_memory = 6 };

// When there was no memory to give up, or somebody used it meanwhile.
constexpr auto pause = 1s;

}  // namespace

Balloon::Balloon(Transport& transport, BalloonMemory& pieces, Queue inflate, Queue deflate,
                 SharedMemory memory) noexcept
    : transport_{transport},
      pieces_{pieces},
      home_{*coro::this_core()},
      pages_of_piece_{pieces.piece_size() / page},
      inflate_{std::move(inflate)},
      deflate_{std::move(deflate)},
      memory_{std::move(memory)} {}

Task<Result<std::unique_ptr<Balloon>>> Balloon::open(Transport& transport, DeviceMemory& memory,
                                                     BalloonMemory& pieces) noexcept {
  const std::size_t piece = pieces.piece_size();
  if (transport.kind() != DeviceKind::balloon || piece == 0 || piece % page != 0 ||
      piece / page > most_pages)
    co_return Error::not_supported;
  const io::Stay stay = co_await io::StayOn{*coro::this_core()};
  const Features features =
      CO_TRY(co_await begin(transport, {.wanted = feature::packed_ring | feature::event_index |
                                                  must_tell_host | has_statistics}));
  const Vector vector = transport.vectors() != 0 ? Vector{0} : no_vector;
  const auto queue = [&](std::uint16_t index) {
    return Queue::create(transport, memory, features,
                         {.index = index, .most_descriptors = 1, .vector = vector});
  };
  Queue inflate = CO_TRY(queue(inflate_queue));
  Queue deflate = CO_TRY(queue(deflate_queue));
  SharedMemory shared = CO_TRY(SharedMemory::allocate(memory, shared_size));
  std::unique_ptr<Balloon> balloon{new (std::nothrow) Balloon{
      transport, pieces, std::move(inflate), std::move(deflate), std::move(shared)}};
  if (!balloon) co_return Error::no_memory;
  balloon->vector_ = vector;
  balloon->most_ = pieces.statistics().total / piece;
  balloon->list_.reset(new (std::nothrow) std::byte*[balloon->most_]);
  if (!balloon->list_) co_return Error::no_memory;
  if ((features & has_statistics) != 0)
    balloon->statistics_.emplace(CO_TRY(queue(statistics_queue)));
  CO_TRY(balloon->enable());
  co_return std::move(balloon);
}

Result<void> Balloon::enable() noexcept {
  TRY(transport_.set_config_vector(vector_));
  TRY(inflate_.enable());
  TRY(deflate_.enable());
  if (statistics_) TRY(statistics_->enable());
  TRY(finish(transport_));
  tell_size();
  if (!statistics_) return {};
  // It keeps the first ones until it wants to know (5.5.6.3).
  add_statistics();
  if (!statistics_->interrupts_on()) interrupted();
  return {};
}

Balloon::~Balloon() {
  if (reset_now(transport_)) {
    while (taken_ != 0) pieces_.give_back({list_[--taken_], pieces_.piece_size()});
    return;
  }
  // It may take them at any time.
  inflate_.abandon();
  deflate_.abandon();
  if (statistics_) statistics_->abandon();
  memory_.abandon();
}

Error Balloon::give_up() noexcept {
  broken_ = true;
  begin_reset(transport_);
  news_.set();
  return Error::io_failed;
}

// In pieces: what is left of one stays here.
std::size_t Balloon::wanted() noexcept {
  return std::min(transport_.config32(wanted_pages) / pages_of_piece_, most_);
}

void Balloon::tell_size() noexcept {
  transport_.set_config32(actual_pages, static_cast<std::uint32_t>(held_ * pages_of_piece_));
}

Task<Result<void>> Balloon::run() noexcept {
  const io::Stay stay = co_await io::StayOn{home_};
  io::Turn turn{running_};
  if (!turn) co_return Error::busy;
  for (;;) {
    if (broken_) co_return Error::io_failed;
    news_.reset();
    const std::size_t goal = wanted();
    const std::size_t at_once = most_pages / pages_of_piece_;
    if (taken_ != held_) {
      // Whoever was stopped before the device had answered.
      CO_TRY(co_await inflate(0));
    } else if (deflating_ != 0) {
      CO_TRY(co_await deflate(deflating_));
    } else if (held_ < goal) {
      const Result<void> grown = co_await inflate(std::min(goal - held_, at_once));
      if (grown.failed_with(Error::no_memory))
        CO_TRY(co_await wait_for_change());
      else if (!grown)
        co_return grown;
    } else if (held_ > goal) {
      CO_TRY(co_await deflate(std::min(held_ - goal, at_once)));
    } else {
      CO_TRY(co_await news_.wait());
    }
  }
}

Task<Result<void>> Balloon::wait_for_change() noexcept {
  const auto waited = co_await with_timeout(pause, [](coro::Event& news) -> Task<Result<void>> {
    co_return co_await news.wait();
  }(news_));
  if (!waited && !waited.failed_with(Error::timed_out)) co_return waited.error();
  co_return Result<void>{};
}

Task<Result<void>> Balloon::tell(Queue& queue, std::size_t first, std::size_t count) noexcept {
  if (!std::exchange(asked_, true)) {
    std::byte* to = memory_.bytes().data();
    for (std::size_t i = first; i < first + count; ++i) {
      const BusAddress at = pieces_.address({list_[i], pieces_.piece_size()});
      for (std::size_t n = 0; n < pages_of_piece_; ++n, to += sizeof(std::uint32_t)) {
        const auto number = static_cast<std::uint32_t>(at / page + n);
        std::memcpy(to, &number, sizeof number);
      }
    }
    const std::array<Segment, 1> numbers{
        Segment{memory_.address(0),
                static_cast<std::uint32_t>(count * pages_of_piece_ * sizeof(std::uint32_t))}};
    queue.add({.read = numbers, .written = {}}, 0);
    queue.publish();
  }
  for (;;) {
    if (broken_) co_return Error::io_failed;
    news_.reset();
    const Result<Used> used = queue.take();
    if (used) break;
    if (!used.failed_with(Error::would_block)) co_return give_up();
    if (queue.interrupts_on()) CO_TRY(co_await news_.wait());
  }
  asked_ = false;
  co_return Result<void>{};
}

// With those that somebody has begun.
Task<Result<void>> Balloon::inflate(std::size_t count) noexcept {
  for (; count != 0; --count) {
    const auto piece = pieces_.take();
    if (!piece) break;
    list_[taken_++] = piece->data();
  }
  if (taken_ == held_) co_return Error::no_memory;
  CO_TRY(co_await tell(inflate_, held_, taken_ - held_));
  held_ = taken_;
  tell_size();
  co_return Result<void>{};
}

// The device is told before anybody uses them, as it may want to be (5.5.6.1).
Task<Result<void>> Balloon::deflate(std::size_t count) noexcept {
  deflating_ = count;
  CO_TRY(co_await tell(deflate_, held_ - count, count));
  deflating_ = 0;
  for (; count != 0; --count) {
    pieces_.give_back({list_[--held_], pieces_.piece_size()});
    --taken_;
  }
  tell_size();
  co_return Result<void>{};
}

void Balloon::add_statistics() noexcept {
  const BalloonMemory::Statistics now = pieces_.statistics();
  const std::array<std::pair<Statistic, std::uint64_t>, statistics_count> all{
      {{free_memory, now.free}, {total_memory, now.total}, {available_memory, now.free}}};
  const std::size_t at = most_pages * sizeof(std::uint32_t);
  std::byte* to = &memory_.bytes()[at];
  for (const auto& [tag, value] : all) {
    std::memcpy(to, &tag, sizeof tag);
    std::memcpy(to + 2, &value, sizeof value);
    to += statistic_size;
  }
  const std::array<Segment, 1> told{
      Segment{memory_.address(at), statistics_count * statistic_size}};
  statistics_->add({.read = told, .written = {}}, 0);
  statistics_->publish();
}

// The buffer comes back when the device wants newer ones.
void Balloon::answer_statistics() noexcept {
  constexpr unsigned most = 4;  // of a device that never has enough
  for (unsigned times = 0; times < most; ++times) {
    const Result<Used> used = statistics_->take();
    if (used) {
      add_statistics();
      continue;
    }
    if (!used.failed_with(Error::would_block)) return void(give_up());
    if (statistics_->interrupts_on()) return;
  }
  interrupted();
}

bool Balloon::deliver() noexcept {
  if (!told_.take()) return false;
  if (!broken_ && (transport_.status() & status::needs_reset) != 0) (void)give_up();
  if (!broken_ && statistics_) answer_statistics();
  news_.set();
  return true;
}

}  // namespace lichen::driver::virtio

#pragma clang attribute pop

#include "lichen/driver/virtio/block_queue.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace lichen::driver::virtio {

namespace {

constexpr std::uint16_t most_segments = 64;
// A device that works is told of more when the core looks for events, or when so many wait.
constexpr std::uint16_t told_at_once = 16;

std::uint32_t limit_of(BlockRequest type, const BlockConfig& config) noexcept {
  return type == BlockRequest::discard ? config.most_discarded : config.most_zeroed;
}

}  // namespace

BlockQueue::BlockQueue(Queue queue, DeviceMemory& memory, coro::Core& home,
                       const BlockQueueOptions& options, std::uint16_t segments,
                       std::uint16_t requests) noexcept
    : queue_{std::move(queue)},
      bus_{memory},
      home_{home},
      config_{options.config},
      most_segment_{std::min(config_.segment_size, most_bytes) / config_.block_size *
                    config_.block_size},
      segments_{segments},
      slots_{requests},
      room_{requests} {}

Result<std::unique_ptr<BlockQueue>> BlockQueue::create(Transport& transport, DeviceMemory& memory,
                                                       Features features, coro::Core& home,
                                                       const BlockQueueOptions& options) noexcept {
  const bool indirect = (features & feature::indirect_descriptors) != 0;
  const BlockConfig& config = options.config;
  const auto wanted = static_cast<std::uint16_t>(
      std::min<std::uint32_t>({options.segments, config.segments, most_segments}));
  if (wanted == 0) return Error::not_supported;
  Queue queue = TRY(Queue::create(
      transport, memory, features,
      {.index = options.index,
       // With tables a request is one descriptor; but no chain is longer than the ring (2.7.5.3.1).
       .most_descriptors = indirect ? std::max<std::uint16_t>(options.requests, 32)
                                    : static_cast<std::uint16_t>(256),
       .indirect = static_cast<std::uint16_t>(wanted + 2),
       .vector = options.vector}));
  if (queue.size() < 3) return Error::not_supported;
  // Several requests at a time rather than few large ones.
  const unsigned fair = indirect ? queue.size() - 2U : std::max(1U, queue.size() / 4U - 1);
  const auto segments = static_cast<std::uint16_t>(std::min<unsigned>(wanted, fair));
  const auto requests = static_cast<std::uint16_t>(std::min<unsigned>(
      options.requests, indirect ? queue.size() : queue.size() / (segments + 2U)));
  std::unique_ptr<BlockQueue> made{
      new (std::nothrow) BlockQueue{std::move(queue), memory, home, options, segments, requests}};
  if (!made) return Error::no_memory;
  made->shared_ = TRY(SharedMemory::allocate(memory, sizeof(Shared) * requests));
  made->requests_.reset(new (std::nothrow) Request[requests]{});
  made->free_.reset(new (std::nothrow) std::uint16_t[requests]);
  if (!made->requests_ || !made->free_) return Error::no_memory;
  for (std::uint16_t i = 0; i < requests; ++i)
    made->free_[i] = static_cast<std::uint16_t>(requests - 1 - i);
  made->free_count_ = requests;
  return made;
}

Task<Result<void>> BlockQueue::run(BlockCall& call) noexcept {
  while (!call.cut && !call.error) {
    if (ended_) {
      call.error = ended_;
      break;
    }
    if (const Result<void> room = co_await room_.acquire(); !room) {
      call.error = room.error();
      break;
    }
    if (ended_)
      room_.release();
    else
      submit(call);
  }
  co_await Settled{call};
  if (call.error) co_return *call.error;
  co_return Result<void>{};
}

// The next request of the call's.
void BlockQueue::cut(BlockCall& call, Request& request) const noexcept {
  while (call.piece < call.pieces() && call.piece_at(call.piece).empty()) ++call.piece;
  request = {.call = &call, .piece = call.piece, .offset = call.offset, .sector = call.sector};
  switch (call.type) {
    case BlockRequest::in:
    case BlockRequest::out: return cut_data(call, request);
    case BlockRequest::discard:
    case BlockRequest::zeroes: {
      // Whole blocks; a disk with a limit below that has no such request.
      const std::uint32_t block = config_.block_size / virtio_sector;
      const std::uint32_t most = limit_of(call.type, config_) / block * block;
      request.size = static_cast<std::uint32_t>(std::min<std::uint64_t>(call.count, most));
      call.sector += request.size;
      call.count -= request.size;
      call.cut = call.count == 0;
      return;
    }
    case BlockRequest::flush: call.cut = true; return;
  }
}

void BlockQueue::cut_data(BlockCall& call, Request& request) const noexcept {
  for (unsigned used = 0; used < segments_ && request.size < most_bytes && !call.cut; ++used) {
    const std::size_t left = call.piece_at(call.piece).size() - call.offset;
    const auto taken = static_cast<std::uint32_t>(
        std::min<std::size_t>({left, most_segment_, most_bytes - request.size}));
    request.size += taken;
    call.offset += taken;
    if (call.offset == call.piece_at(call.piece).size()) {
      call.offset = 0;
      do call.cut = ++call.piece == call.pieces();
      while (!call.cut && call.piece_at(call.piece).empty());
    }
  }
  call.sector += request.size / virtio_sector;
}

void BlockQueue::submit(BlockCall& call) noexcept {
  const std::uint16_t slot = free_[--free_count_];
  cut(call, requests_[slot]);
  ++call.requests;
  if (!up_) return;  // held
  if (const Result<void> added = add(slot); !added) return finish(slot, added.error());
  // A device that has nothing to do is told at once.
  if (queue_.in_flight() == unpublished_ || unpublished_ >= told_at_once) publish();
}

Result<void> BlockQueue::add(std::uint16_t slot) noexcept {
  Request& request = requests_[slot];
  const BlockCall& call = *request.call;
  Shared& with = shared(slot);
  const std::size_t at = sizeof(Shared) * slot;
  with.header = {.type = call.type, .sector = 0};
  with.range = {};
  with.status = block_status::none;

  std::array<Segment, most_segments + 2> list;
  list[0] = {shared_.address(at + offsetof(Shared, header)), sizeof(BlockHeader)};
  std::size_t count = 1;
  if (call.type == BlockRequest::discard || call.type == BlockRequest::zeroes) {
    with.range = {request.sector, request.size,
                  call.type == BlockRequest::zeroes && call.unmap ? range_unmap : 0};
    list[count++] = {shared_.address(at + offsetof(Shared, range)), sizeof(BlockRange)};
  } else if (call.type != BlockRequest::flush) {
    with.header.sector = request.sector;
    std::size_t piece = request.piece;
    std::size_t offset = request.offset;
    for (std::uint32_t left = request.size; left != 0; offset = 0, ++piece) {
      auto bytes = call.piece_at(piece).subspan(offset);
      bytes = bytes.first(std::min<std::size_t>(bytes.size(), left));
      left -= static_cast<std::uint32_t>(bytes.size());
      if (bytes.empty()) continue;
      const BusAddress address = bus_.address(bytes);
      if (address == no_address) return Error::invalid_argument;
      for (std::size_t done = 0; done < bytes.size(); done += most_segment_)
        list[count++] = {address + done, static_cast<std::uint32_t>(std::min<std::size_t>(
                                             bytes.size() - done, most_segment_))};
    }
  }
  list[count] = {shared_.address(at + offsetof(Shared, status)), sizeof with.status};
  const std::size_t read = call.type == BlockRequest::in ? 1 : count;
  const std::span<const Segment> all{list.data(), count + 1};
  request.with_device = queue_.add({.read = all.first(read), .written = all.subspan(read)}, slot);
  if (!request.with_device) return Error::internal;  // there is room for all slots
  ++request.tries;
  ++unpublished_;
  ++counters_.requests;
  return {};
}

void BlockQueue::publish() noexcept {
  if (std::exchange(unpublished_, std::uint16_t{0}) == 0) return;
  ++counters_.shown;
  queue_.publish();
}

Result<unsigned> BlockQueue::deliver() noexcept {
  if (!up_) return 0U;
  publish();
  if (queue_.in_flight() == 0) return 0U;
  armed_ = false;
  queue_.interrupts_off();
  for (unsigned count = 0;; ++count) {
    const Result<Used> used = queue_.take();
    if (used.failed_with(Error::would_block)) return count;
    if (!used) return used.error();
    take_back(*used);
  }
}

bool BlockQueue::prepare_sleep() noexcept {
  if (!up_) return true;
  publish();
  if (queue_.in_flight() == 0) return true;
  ++counters_.armed;
  armed_ = true;
  return queue_.interrupts_on();
}

// 5.2.6: the last byte that the device writes is the status.
void BlockQueue::take_back(const Used& used) noexcept {
  Request& request = requests_[used.token];
  request.with_device = false;
  ++counters_.done;
  const std::uint32_t whole = request.call->type == BlockRequest::in ? request.size + 1 : 1;
  std::optional<Error> error;
  switch (load_shared(shared(used.token).status)) {
    case block_status::ok:
      if (used.written == whole) break;
      // It says that all is well, but not that it has written all.
      ++counters_.bad;
      error = Error::io_failed;
      break;
    case block_status::io_error: error = Error::io_failed; break;
    case block_status::unsupported: error = Error::not_supported; break;
    default:
      ++counters_.bad;
      error = Error::io_failed;
      break;
  }
  if (error) ++counters_.failed;
  const BlockRequest type = request.call->type;
  if (type == BlockRequest::out || type == BlockRequest::zeroes)
    written_.store(written_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  finish(used.token, error);
}

void BlockQueue::finish(std::uint16_t slot, std::optional<Error> error) noexcept {
  BlockCall& call = *std::exchange(requests_[slot].call, nullptr);
  free_[free_count_++] = slot;
  if (error && !call.error) call.error = error;
  const bool last = --call.requests == 0;
  coro::PromiseBase* const waiter = last ? std::exchange(call.waiter, nullptr) : nullptr;
  room_.release();
  if (waiter) coro::wake(*waiter);
}

Result<void> BlockQueue::enable() noexcept {
  TRY(queue_.enable());
  queue_.interrupts_off();
  armed_ = false;
  unpublished_ = 0;
  return {};
}

void BlockQueue::start() noexcept {
  up_ = true;
  for (std::uint16_t slot = 0; slot < slots_; ++slot) {
    Request& request = requests_[slot];
    if (!request.call) continue;
    const bool again = std::exchange(request.with_device, false);
    const bool hopeless =
        again && (request.tries >= most_tries || request.call->type == BlockRequest::flush);
    if (hopeless) {
      finish(slot, Error::io_failed);
      continue;
    }
    if (again) ++counters_.repeated;
    if (const Result<void> added = add(slot); !added) finish(slot, added.error());
  }
  publish();
}

BlockCounters BlockQueue::counters() const noexcept {
  return {.requests = counters_.requests.value(),
          .shown = counters_.shown.value(),
          .done = counters_.done.value(),
          .failed = counters_.failed.value(),
          .bad = counters_.bad.value(),
          .armed = counters_.armed.value(),
          .repeated = counters_.repeated.value()};
}

void BlockQueue::end(Error error) noexcept {
  up_ = false;
  ended_ = error;
  for (std::uint16_t slot = 0; slot < slots_; ++slot) {
    requests_[slot].with_device = false;
    if (requests_[slot].call) finish(slot, error);
  }
}

}  // namespace lichen::driver::virtio

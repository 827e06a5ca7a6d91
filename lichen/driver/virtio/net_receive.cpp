#include "lichen/driver/virtio/net_receive.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace lichen::driver::virtio {

namespace {

using io::NetHeader;

// Whether what a device says of a frame can be true, and is of what was agreed on (5.1.6.4.1). A
// receiver need not ask again whether positions lie inside.
bool is_plausible(const NetHeader& header, std::size_t size,
                  const io::NetFeatures& features) noexcept {
  if (size == 0) return false;
  const bool partial = (header.flags & NetHeader::needs_checksum) != 0;
  if (partial) {
    const std::size_t end = std::size_t{header.checksum_start} + header.checksum_offset + 2;
    if (!features.checksum || end > size) return false;
  }
  switch (header.segmentation & ~NetHeader::ecn) {
    case 0: return true;
    case NetHeader::tcp4: return partial && features.segmentation4 && header.segment_size != 0;
    case NetHeader::tcp6: return partial && features.segmentation6 && header.segment_size != 0;
    default: return false;
  }
}

}  // namespace

NetReceive::NetReceive(Queue queue, const ReceiveOptions& options) noexcept
    : queue_{std::move(queue)}, options_{options} {}

Result<std::unique_ptr<NetReceive>> NetReceive::create(Transport& transport, DeviceMemory& memory,
                                                       Features features,
                                                       const ReceiveOptions& options) noexcept {
  Queue queue = TRY(Queue::create(
      transport, memory, features,
      {.index = options.queue, .most_descriptors = options.most_posted, .vector = options.vector}));
  std::unique_ptr<NetReceive> half{new (std::nothrow) NetReceive{std::move(queue), options}};
  if (!half) return Error::no_memory;
  half->memory_ = TRY(SharedMemory::allocate(memory, options.buffers * options.buffer_size));
  half->slots_ = TRY(SlotSet::create(options.buffers));
  half->posted_.reset(new (std::nothrow) bool[options.buffers]{});
  if (!half->posted_) return Error::no_memory;
  if (!options.merge) return half;
  half->copies_.reset(new (std::nothrow) std::byte[options.assembled * copy_size]);
  half->free_copies_ = TRY(SlotSet::create(options.assembled));
  if (!half->copies_) return Error::no_memory;
  return half;
}

Result<void> NetReceive::enable() noexcept {
  for (unsigned slot = 0; slot < options_.buffers; ++slot)
    if (std::exchange(posted_[slot], false)) slots_.put(slot);
  if (partial_.left != 0) {
    ++counters_.lost;
    drop_partial();
  }
  TRY(queue_.enable());
  queue_.interrupts_off();
  return {};
}

void NetReceive::post() noexcept {
  slots_.collect();
  while (queue_.has_room(1)) {
    const std::optional<unsigned> slot = slots_.take();
    if (!slot) break;
    const std::array<Segment, 1> segment{Segment{memory_.address(*slot * options_.buffer_size),
                                                 static_cast<std::uint32_t>(options_.buffer_size)}};
    queue_.add({.read = {}, .written = segment}, static_cast<std::uint16_t>(*slot));
    posted_[*slot] = true;
  }
  queue_.publish();
}

Result<std::size_t> NetReceive::take(std::span<io::ReceivedFrame> into) noexcept {
  std::size_t count = 0;
  const auto lies = [&] {
    for (io::ReceivedFrame& frame : into.first(count)) frame = {};
    return Error::protocol_error;
  };
  while (count < into.size()) {
    const Result<Used> used = queue_.take();
    if (used.failed_with(Error::would_block)) break;
    if (!used) return lies();
    posted_[used->token] = false;
    if (!(partial_.left == 0 ? begin_frame(*used) : continue_frame(*used))) return lies();
    if (partial_.left == 0 && finish_frame(into[count])) ++count;
  }
  counters_.frames += count;
  return count;
}

Result<void> NetReceive::begin_frame(const Used& used) noexcept {
  const unsigned slot = used.token;
  partial_ = {};
  partial_.bytes = used.written;
  partial_.first = slot;
  partial_.run = 1;
  NetHeader& header = partial_.header;
  if (used.written < sizeof header) {
    drop_partial();
    return Error::protocol_error;
  }
  std::memcpy(&header, slots(slot, 1).data(), sizeof header);
  if (!options_.merge) return {};
  if (header.buffers == 0 || header.buffers > queue_.size()) {
    drop_partial();
    return Error::protocol_error;
  }
  partial_.left = header.buffers - 1U;
  return {};
}

Result<void> NetReceive::continue_frame(const Used& used) noexcept {
  const unsigned slot = used.token;
  if (partial_.bytes + used.written > sizeof(NetHeader) + io::largest_frame) {
    slots_.put(slot, 1);
    drop_partial();
    return Error::protocol_error;
  }
  --partial_.left;
  const bool follows = partial_.run != 0 && slot == partial_.first + partial_.run &&
                       partial_.bytes == partial_.run * options_.buffer_size;
  if (follows) {
    ++partial_.run;
  } else {
    if (partial_.run == 0 ? partial_.copy != nullptr : move_to_copy())
      std::memcpy(partial_.copy + partial_.bytes, slots(slot, 1).data(), used.written);
    slots_.put(slot, 1);
  }
  partial_.bytes += used.written;
  return {};
}

// From the buffers side by side; false if there is nowhere to copy to, and the frame is dropped.
bool NetReceive::move_to_copy() noexcept {
  free_copies_.collect();
  if (const std::optional<unsigned> copy = free_copies_.take()) {
    partial_.copy = copies_.get() + *copy * copy_size;
    std::memcpy(partial_.copy, slots(partial_.first, partial_.run).data(), partial_.bytes);
  }
  slots_.put(partial_.first, std::exchange(partial_.run, 0));
  return partial_.copy != nullptr;
}

bool NetReceive::finish_frame(io::ReceivedFrame& into) noexcept {
  if (partial_.run == 0 && partial_.copy == nullptr) {
    ++counters_.no_room;
    return false;
  }
  const std::size_t size = partial_.bytes - sizeof(NetHeader);
  if (!is_plausible(partial_.header, size, options_.features)) {
    ++counters_.bad;
    drop_partial();
    return false;
  }
  if (partial_.run == 0) ++counters_.assembled;
  const std::span<std::byte> whole =
      partial_.run != 0 ? slots(partial_.first, partial_.run) : std::span{partial_.copy, copy_size};
  into.bytes = io::Buffer{*this, whole, partial_.bytes};
  into.bytes.consume(sizeof(NetHeader));
  into.work = io::work_of(partial_.header);
  // A hint only, which a receiver must not follow out of the frame.
  into.work.header_size =
      static_cast<std::uint16_t>(std::min<std::size_t>(into.work.header_size, size));
  return true;
}

void NetReceive::drop_partial() noexcept {
  if (partial_.run != 0)
    slots_.put(partial_.first, partial_.run);
  else if (partial_.copy != nullptr)
    free_copies_.put(static_cast<unsigned>((partial_.copy - copies_.get()) / copy_size));
  partial_ = {};
}

bool NetReceive::prepare_wait() noexcept {
  news_.reset();
  // So few that a large frame may not fit: the device may drop, or wait for more without a word.
  if (2U * queue_.in_flight() < queue_.size()) {
    starved_.store(true);
    // One of us sees the other: who gives back elsewhere marks the buffer first, then looks at
    // this.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    post();
  }
  waiting_ = queue_.interrupts_on();
  if (!waiting_) end_wait();
  return waiting_;
}

void NetReceive::end_wait() noexcept {
  waiting_ = false;
  starved_.store(false, std::memory_order_relaxed);
  queue_.interrupts_off();
}

void NetReceive::give_back(std::span<std::byte> whole) noexcept {
  const std::byte* begin = memory_.bytes().data();
  const std::byte* end = begin + memory_.bytes().size();
  if (whole.data() >= begin && whole.data() < end) {
    const auto first = static_cast<unsigned>(static_cast<std::size_t>(whole.data() - begin) /
                                             options_.buffer_size);
    const auto count = static_cast<unsigned>(whole.size() / options_.buffer_size);
    give_back(slots_, first, count);
  } else {
    const auto at = static_cast<std::size_t>(whole.data() - copies_.get());
    give_back(free_copies_, static_cast<unsigned>(at / copy_size), 1);
  }
  if (starved_.load()) news_.set();
}

// At home nobody else is to see it.
void NetReceive::give_back(SlotSet& to, unsigned first, unsigned count) const noexcept {
  if (coro::this_core() == options_.home)
    to.put(first, count);
  else
    to.give_back(first, count);
}

}  // namespace lichen::driver::virtio

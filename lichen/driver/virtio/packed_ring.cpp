#include "lichen/driver/virtio/packed_ring.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

#include "lichen/base/bits.hpp"

namespace lichen::driver::virtio {

namespace {

constexpr std::uint16_t available = 1 << 7;
constexpr std::uint16_t used = 1 << 15;

// How to suppress events (2.8.14).
constexpr std::uint16_t events_on = 0;
constexpr std::uint16_t events_off = 1;
constexpr std::uint16_t event_at_descriptor = 2;
constexpr std::uint16_t event_wrap = 1 << 15;

}  // namespace

struct PackedRing::Layout {
  explicit Layout(const RingOptions& options) noexcept
      : driver{base::align_up(sizeof(Descriptor) * options.size, std::size_t{64})},
        device{driver + 64},
        tables{device + 64},
        size{tables + sizeof(Descriptor) * options.size * options.indirect} {}
  std::size_t driver;
  std::size_t device;
  std::size_t tables;
  std::size_t size;
};

std::size_t PackedRing::memory_size(const RingOptions& options) noexcept {
  return Layout{options}.size;
}

Result<PackedRing> PackedRing::create(const SharedMemory& memory,
                                      const RingOptions& options) noexcept {
  if (options.size == 0 || options.size > largest_ring) return Error::invalid_argument;
  if (memory.bytes().size() < memory_size(options)) return Error::invalid_argument;
  std::unique_ptr<Note[]> notes{new (std::nothrow) Note[options.size]};
  if (!notes) return Error::no_memory;
  return PackedRing{memory, options, std::move(notes)};
}

PackedRing::PackedRing(const SharedMemory& memory, const RingOptions& options,
                       std::unique_ptr<Note[]> notes) noexcept
    : options_{options}, memory_{memory.bytes()}, notes_{std::move(notes)} {
  const Layout layout{options};
  const auto part = [&](std::size_t offset) { return memory_.data() + offset; };
  descriptors_ = reinterpret_cast<Descriptor*>(part(0));
  driver_event_ = reinterpret_cast<EventSuppression*>(part(layout.driver));
  device_event_ = reinterpret_cast<const EventSuppression*>(part(layout.device));
  addresses_ = {memory.address(0), memory.address(layout.driver), memory.address(layout.device)};
  if (options.indirect != 0) {
    tables_ = reinterpret_cast<Descriptor*>(part(layout.tables));
    tables_address_ = memory.address(layout.tables);
  }
  clear();
}

void PackedRing::clear() noexcept {
  std::memset(memory_.data(), 0, memory_.size());
  for (std::uint16_t i = 0; i < options_.size; ++i)
    notes_[i] = {.next_free = static_cast<std::uint16_t>(i + 1)};
  first_free_ = 0;
  free_count_ = options_.size;
  in_flight_ = unannounced_ = 0;
  next_ = used_ = {};
  armed_ = true;
}

bool PackedRing::add(const Chain& chain, std::uint16_t token) noexcept {
  const std::size_t segments = chain.read.size() + chain.written.size();
  const std::size_t needed = descriptors_for(segments);
  assert(segments != 0);
  if (needed > free_count_) return false;
  // There are as many ids as descriptors.
  const std::uint16_t id = first_free_;
  Note& note = notes_[id];
  first_free_ = note.next_free;
  note = {.count = static_cast<std::uint16_t>(needed), .token = token};

  const Position head = next_;
  const auto mine = [&] { return next_.wrap ? available : used; };
  std::uint16_t head_flags = mine();
  if (needed < segments) {
    Descriptor* entry = tables_ + std::size_t{id} * options_.indirect;
    const BusAddress table =
        tables_address_ + sizeof(Descriptor) * std::size_t{id} * options_.indirect;
    for (const Segment& segment : chain.read) *entry++ = {segment.address, segment.length, 0, 0};
    for (const Segment& segment : chain.written) {
      *entry++ = {segment.address, segment.length, 0, descriptor_flag::write};
      note.writable += segment.length;
    }
    Descriptor& descriptor = descriptors_[head.at];
    descriptor.address = table;
    descriptor.length = static_cast<std::uint32_t>(segments * sizeof(Descriptor));
    descriptor.id = id;
    head_flags |= descriptor_flag::indirect;
    next_.advance(1, options_.size);
  } else {
    std::size_t left = segments;
    const auto describe = [&](const Segment& segment, std::uint16_t flags) {
      Descriptor& descriptor = descriptors_[next_.at];
      flags |= mine();
      if (--left != 0) flags |= descriptor_flag::next;
      descriptor.address = segment.address;
      descriptor.length = segment.length;
      descriptor.id = id;
      if (left + 1 == segments)
        head_flags = flags;
      else
        store_shared(descriptor.flags, flags);
      next_.advance(1, options_.size);
    };
    for (const Segment& segment : chain.read) describe(segment, 0);
    for (const Segment& segment : chain.written) {
      describe(segment, descriptor_flag::write);
      note.writable += segment.length;
    }
  }
  // The first descriptor's flags make the whole of it available (2.8.21.1).
  store_shared(descriptors_[head.at].flags, head_flags, std::memory_order_release);
  free_count_ = static_cast<std::uint16_t>(free_count_ - needed);
  unannounced_ = static_cast<std::uint16_t>(unannounced_ + needed);
  ++in_flight_;
  return true;
}

bool PackedRing::publish() noexcept {
  const std::uint16_t count = std::exchange(unannounced_, 0);
  if (count == 0) return false;
  // The device looks for work after it has said that it wants to be notified (2.8.21.3); one of us
  // sees what the other wrote.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint16_t how = load_shared(device_event_->how, std::memory_order_acquire) & 3;
  if (how != event_at_descriptor || !options_.event_index) return how != events_off;
  const std::uint16_t at = load_shared(device_event_->at);
  auto event = static_cast<std::uint16_t>(at & ~event_wrap);
  if (((at & event_wrap) != 0) != next_.wrap) event -= options_.size;
  return passes(event, next_.at, static_cast<std::uint16_t>(next_.at - count));
}

bool PackedRing::is_used(std::uint16_t flags) const noexcept {
  const bool is_available = (flags & available) != 0;
  const bool is_used = (flags & used) != 0;
  return is_available == is_used && is_used == used_.wrap;
}

Result<Used> PackedRing::take() noexcept {
  const Descriptor& descriptor = descriptors_[used_.at];
  if (!is_used(load_shared(descriptor.flags, std::memory_order_acquire))) return Error::would_block;
  const std::uint16_t id = load_shared(descriptor.id);
  const std::uint32_t written = load_shared(descriptor.length);
  if (id >= options_.size || notes_[id].count == 0) return Error::protocol_error;
  Note& note = notes_[id];
  // Of a buffer that it only reads the device may say what it likes.
  if (note.writable != 0 && written > note.writable) return Error::protocol_error;

  const std::uint16_t count = std::exchange(note.count, 0);
  used_.advance(count, options_.size);
  free_count_ = static_cast<std::uint16_t>(free_count_ + count);
  --in_flight_;
  note.next_free = std::exchange(first_free_, id);
  return Used{note.token, note.writable != 0 ? written : 0};
}

void PackedRing::interrupts_off() noexcept {
  if (std::exchange(armed_, false)) store_shared(driver_event_->how, events_off);
}

bool PackedRing::interrupts_on(std::uint16_t after) noexcept {
  armed_ = true;
  if (options_.event_index) {
    // Each buffer takes at least one descriptor.
    Position event = used_;
    event.advance(std::min<std::size_t>(after, options_.size) - 1, options_.size);
    const std::uint16_t wrap = event.wrap ? event_wrap : std::uint16_t{0};
    store_shared(driver_event_->at, static_cast<std::uint16_t>(event.at | wrap));
    store_shared(driver_event_->how, event_at_descriptor, std::memory_order_release);
  } else {
    store_shared(driver_event_->how, events_on);
  }
  // The device looks at this after it has shown what it used (2.8.22); one of us sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint16_t flags = load_shared(descriptors_[used_.at].flags, std::memory_order_acquire);
  return !is_used(flags);
}

}  // namespace lichen::driver::virtio

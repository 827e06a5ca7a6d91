#include "lichen/driver/virtio/split_ring.hpp"

#include <cassert>
#include <cstring>
#include <new>

#include "lichen/base/bits.hpp"

namespace lichen::driver::virtio {

namespace {

constexpr std::uint16_t no_interrupt = 1;     // of the available ring
constexpr std::uint16_t no_notification = 1;  // of the used ring

}  // namespace

// What the device writes has cache lines of its own; each part is aligned as 2.7 wants it.
struct SplitRing::Layout {
  explicit Layout(const RingOptions& options) noexcept
      : avail{sizeof(Descriptor) * options.size},
        used{base::align_up(avail + 2 * (3 + std::size_t{options.size}), std::size_t{64})},
        tables{base::align_up(used + 6 + sizeof(UsedElement) * options.size, std::size_t{64})},
        size{tables + sizeof(Descriptor) * options.size * options.indirect} {}
  std::size_t avail;
  std::size_t used;
  std::size_t tables;
  std::size_t size;
};

std::size_t SplitRing::memory_size(const RingOptions& options) noexcept {
  return Layout{options}.size;
}

Result<SplitRing> SplitRing::create(const SharedMemory& memory,
                                    const RingOptions& options) noexcept {
  if (!base::is_power_of_two(options.size) || options.size > largest_ring)
    return Error::invalid_argument;
  if (memory.bytes().size() < memory_size(options)) return Error::invalid_argument;
  std::unique_ptr<Note[]> notes{new (std::nothrow) Note[options.size]};
  if (!notes) return Error::no_memory;
  return SplitRing{memory, options, std::move(notes)};
}

SplitRing::SplitRing(const SharedMemory& memory, const RingOptions& options,
                     std::unique_ptr<Note[]> notes) noexcept
    : options_{options}, memory_{memory.bytes()}, notes_{std::move(notes)} {
  const Layout layout{options};
  const auto part = [&](std::size_t offset) { return memory_.data() + offset; };
  descriptors_ = reinterpret_cast<Descriptor*>(part(0));
  avail_ = reinterpret_cast<std::uint16_t*>(part(layout.avail));
  used_header_ = reinterpret_cast<const std::uint16_t*>(part(layout.used));
  used_ = reinterpret_cast<const UsedElement*>(part(layout.used + 4));
  addresses_ = {memory.address(0), memory.address(layout.avail), memory.address(layout.used)};
  if (options.indirect != 0) {
    tables_ = reinterpret_cast<Descriptor*>(part(layout.tables));
    tables_address_ = memory.address(layout.tables);
  }
  clear();
}

void SplitRing::clear() noexcept {
  std::memset(memory_.data(), 0, memory_.size());
  for (std::uint16_t i = 0; i < options_.size; ++i)
    notes_[i] = {.next = static_cast<std::uint16_t>(i + 1)};
  first_free_ = 0;
  free_count_ = options_.size;
  added_ = published_ = taken_ = 0;
  armed_ = true;
}

bool SplitRing::add(const Chain& chain, std::uint16_t token) noexcept {
  const std::size_t segments = chain.read.size() + chain.written.size();
  const std::size_t needed = descriptors_for(segments);
  assert(segments != 0);
  if (needed > free_count_) return false;
  const std::uint16_t head = first_free_;
  Note& note = notes_[head];
  const bool indirect = needed < segments;
  Descriptor* table = indirect ? tables_ + std::size_t{head} * options_.indirect : descriptors_;

  note.writable = 0;
  std::uint16_t at = indirect ? std::uint16_t{0} : head;
  std::uint16_t after = 0;
  std::size_t left = segments;
  const auto describe = [&](const Segment& segment, std::uint16_t flags) {
    after = indirect ? static_cast<std::uint16_t>(at + 1) : notes_[at].next;
    if (--left != 0) flags |= descriptor_flag::next;
    table[at] = {segment.address, segment.length, flags, after};
    at = after;
  };
  for (const Segment& segment : chain.read) describe(segment, 0);
  for (const Segment& segment : chain.written) {
    describe(segment, descriptor_flag::write);
    note.writable += segment.length;
  }
  if (indirect) {
    descriptors_[head] = {
        .address = tables_address_ + sizeof(Descriptor) * head * options_.indirect,
        .length = static_cast<std::uint32_t>(segments * sizeof(Descriptor)),
        .flags = descriptor_flag::indirect,
        .next = 0};
    after = note.next;
  }
  first_free_ = after;
  free_count_ = static_cast<std::uint16_t>(free_count_ - needed);
  note.count = static_cast<std::uint16_t>(needed);
  note.token = token;
  store_shared(avail_[2 + (added_ & (options_.size - 1))], head);
  ++added_;
  return true;
}

bool SplitRing::publish() noexcept {
  if (published_ == added_) return false;
  const std::uint16_t old = std::exchange(published_, added_);
  store_shared(avail_index(), added_, std::memory_order_release);
  // The device looks for work after it has said that it wants to be notified (2.7.13.4.1); one of
  // us sees what the other wrote.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (options_.event_index) return passes(load_shared(avail_event()), added_, old);
  return (load_shared(used_flags()) & no_notification) == 0;
}

Result<Used> SplitRing::take() noexcept {
  const std::uint16_t index = load_shared(used_index(), std::memory_order_acquire);
  const auto ready = static_cast<std::uint16_t>(index - taken_);
  if (ready == 0) return Error::would_block;
  if (ready > static_cast<std::uint16_t>(published_ - taken_)) return Error::protocol_error;
  const UsedElement& element = used_[taken_ & (options_.size - 1)];
  const std::uint32_t id = load_shared(element.id);
  const std::uint32_t written = load_shared(element.length);
  if (id >= options_.size || notes_[id].count == 0) return Error::protocol_error;
  Note& note = notes_[id];
  // Of a buffer that it only reads the device may say what it likes (2.7.8.3).
  if (note.writable != 0 && written > note.writable) return Error::protocol_error;

  std::uint16_t last = static_cast<std::uint16_t>(id);
  for (std::uint16_t i = 1; i < note.count; ++i) last = notes_[last].next;
  notes_[last].next = first_free_;
  first_free_ = static_cast<std::uint16_t>(id);
  free_count_ = static_cast<std::uint16_t>(free_count_ + std::exchange(note.count, 0));
  ++taken_;
  return Used{note.token, note.writable != 0 ? written : 0};
}

void SplitRing::interrupts_off() noexcept {
  if (!std::exchange(armed_, false)) return;
  // With the event index the flag stays 0 (2.7.7.1), and the event is where we have just been: the
  // device comes there again after 65,535 more.
  if (options_.event_index)
    store_shared(used_event(), static_cast<std::uint16_t>(taken_ - 1));
  else
    store_shared(avail_flags(), no_interrupt);
}

bool SplitRing::interrupts_on(std::uint16_t after) noexcept {
  armed_ = true;
  if (options_.event_index)
    store_shared(used_event(), static_cast<std::uint16_t>(taken_ + after - 1));
  else
    store_shared(avail_flags(), 0);
  // The device looks at this after it has shown what it used (2.7.8.2); one of us sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return load_shared(used_index(), std::memory_order_acquire) == taken_;
}

}  // namespace lichen::driver::virtio

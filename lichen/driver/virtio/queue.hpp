// A virtqueue: a ring of either form, its memory, and the device's doorbell.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>

#include "lichen/driver/virtio/packed_ring.hpp"
#include "lichen/driver/virtio/split_ring.hpp"
#include "lichen/driver/virtio/transport.hpp"

namespace lichen::driver::virtio {

struct QueueOptions {
  std::uint16_t index = 0;
  std::uint16_t most_descriptors = 256;  // the device may allow fewer
  std::uint16_t indirect = 0;            // RingOptions::indirect, if the device knows such tables
  Vector vector = no_vector;
};

// Used by one core at a time. See the concept Ring for what is not explained.
class Queue {
 public:
  // For a device of these features; it is not enabled. Errors: not_found (the device has no such
  // queue), no_memory.
  static Result<Queue> create(Transport& transport, DeviceMemory& memory, Features features,
                              const QueueOptions& options) noexcept {
    const std::uint16_t limit = transport.queue_limit(options.index);
    if (limit == 0) return Error::not_found;
    const RingOptions ring{
        // A split ring's is a power of two, and so is its limit (2.7).
        .size = std::bit_floor(std::min({limit, options.most_descriptors, largest_ring})),
        .event_index = (features & feature::event_index) != 0,
        .indirect =
            (features & feature::indirect_descriptors) != 0 ? options.indirect : std::uint16_t{0}};
    return (features & feature::packed_ring) != 0
               ? with<PackedRing>(transport, memory, options, ring)
               : with<SplitRing>(transport, memory, options, ring);
  }

  // Empty, and known to the device, which MUST have been reset. Errors: those of
  // Transport::enable_queue().
  Result<void> enable() noexcept {
    clear();
    const auto addresses = std::visit([](const auto& ring) { return ring.addresses(); }, ring_);
    return transport_->enable_queue(index_,
                                    {.size = size_, .addresses = addresses, .vector = vector_});
  }
  void clear() noexcept {
    std::visit([](auto& ring) { ring.clear(); }, ring_);
  }

  bool add(const Chain& chain, std::uint16_t token) noexcept {
    return std::visit([&](auto& ring) { return ring.add(chain, token); }, ring_);
  }
  // Shows the device what was added, and rings if it wants to be told.
  void publish() noexcept {
    if (std::visit([](auto& ring) { return ring.publish(); }, ring_)) transport_->notify(index_);
  }
  Result<Used> take() noexcept {
    return std::visit([](auto& ring) { return ring.take(); }, ring_);
  }
  void interrupts_off() noexcept {
    std::visit([](auto& ring) { ring.interrupts_off(); }, ring_);
  }
  bool interrupts_on(std::uint16_t after = 1) noexcept {
    return std::visit([&](auto& ring) { return ring.interrupts_on(after); }, ring_);
  }
  [[nodiscard]] bool has_room(std::size_t segments) const noexcept {
    return std::visit([&](const auto& ring) { return ring.has_room(segments); }, ring_);
  }
  [[nodiscard]] std::uint16_t in_flight() const noexcept {
    return std::visit([](const auto& ring) { return ring.in_flight(); }, ring_);
  }
  [[nodiscard]] std::uint16_t size() const noexcept { return size_; }  // descriptors
  // The device may still write to the ring.
  void abandon() noexcept { memory_.abandon(); }

 private:
  Queue(Transport& transport, const QueueOptions& options, std::uint16_t size, SharedMemory memory,
        std::variant<SplitRing, PackedRing> ring) noexcept
      : transport_{&transport},
        index_{options.index},
        vector_{options.vector},
        size_{size},
        memory_{std::move(memory)},
        ring_{std::move(ring)} {}

  template <Ring R>
  static Result<Queue> with(Transport& transport, DeviceMemory& memory, const QueueOptions& options,
                            const RingOptions& ring) noexcept {
    SharedMemory shared = TRY(SharedMemory::allocate(memory, R::memory_size(ring)));
    R made = TRY(R::create(shared, ring));
    return Queue{transport, options, ring.size, std::move(shared), std::move(made)};
  }
  Transport* transport_;
  std::uint16_t index_;
  Vector vector_;
  std::uint16_t size_;
  SharedMemory memory_;
  std::variant<SplitRing, PackedRing> ring_;
};

}  // namespace lichen::driver::virtio

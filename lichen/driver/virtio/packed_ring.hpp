// The packed virtqueue (virtio 1.2, 2.8): one ring of descriptors, written by both sides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/driver/virtio/ring.hpp"

namespace lichen::driver::virtio {

// The device sees each buffer as it is added.
class PackedRing {
 public:
  static std::size_t memory_size(const RingOptions& options) noexcept;
  // Errors: invalid_argument (size), no_memory.
  static Result<PackedRing> create(const SharedMemory& memory, const RingOptions& options) noexcept;

  void clear() noexcept;
  bool add(const Chain& chain, std::uint16_t token) noexcept;
  bool publish() noexcept;
  Result<Used> take() noexcept;
  void interrupts_off() noexcept;
  bool interrupts_on(std::uint16_t after) noexcept;

  [[nodiscard]] bool has_room(std::size_t segments) const noexcept {
    return free_count_ >= descriptors_for(segments);
  }
  [[nodiscard]] std::uint16_t in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] RingAddresses addresses() const noexcept { return addresses_; }

 private:
  struct Descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t id;
    std::uint16_t flags;
  };
  // 2.8.14: where in the ring, with the wrap counter as bit 15, and how.
  struct EventSuppression {
    std::uint16_t at;
    std::uint16_t how;
  };
  // What the driver knows of a buffer id.
  struct Note {
    std::uint16_t next_free = 0;
    std::uint16_t count = 0;  // descriptors; 0: not in flight
    std::uint16_t token = 0;
    std::uint32_t writable = 0;
  };
  // A position in the ring and how often, modulo 2, it has come round.
  struct Position {
    std::uint16_t at = 0;
    bool wrap = true;
    void advance(std::size_t by, std::uint16_t size) noexcept {
      const std::size_t next = at + by;
      wrap ^= next >= size;
      at = static_cast<std::uint16_t>(next >= size ? next - size : next);
    }
  };
  struct Layout;

  PackedRing(const SharedMemory& memory, const RingOptions& options,
             std::unique_ptr<Note[]> notes) noexcept;

  [[nodiscard]] std::size_t descriptors_for(std::size_t segments) const noexcept {
    return segments > 1 && segments <= options_.indirect ? 1 : segments;
  }
  [[nodiscard]] bool is_used(std::uint16_t flags) const noexcept;

  RingOptions options_;
  RingAddresses addresses_;
  std::span<std::byte> memory_;
  Descriptor* descriptors_;
  EventSuppression* driver_event_;
  const EventSuppression* device_event_;
  Descriptor* tables_ = nullptr;
  BusAddress tables_address_ = 0;
  std::unique_ptr<Note[]> notes_;  // by buffer id
  std::uint16_t first_free_ = 0;
  std::uint16_t free_count_ = 0;
  std::uint16_t in_flight_ = 0;
  std::uint16_t unannounced_ = 0;  // descriptors added since publish()
  Position next_;                  // where the next buffer is added
  Position used_;                  // where the device writes what it uses next
  bool armed_ = true;
};
static_assert(Ring<PackedRing>);

}  // namespace lichen::driver::virtio

// The split virtqueue (virtio 1.2, 2.7): descriptor table, available ring, used ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/driver/virtio/ring.hpp"

namespace lichen::driver::virtio {

class SplitRing {
 public:
  static std::size_t memory_size(const RingOptions& options) noexcept;
  // Errors: invalid_argument (size), no_memory.
  static Result<SplitRing> create(const SharedMemory& memory, const RingOptions& options) noexcept;

  void clear() noexcept;
  bool add(const Chain& chain, std::uint16_t token) noexcept;
  bool publish() noexcept;
  Result<Used> take() noexcept;
  void interrupts_off() noexcept;
  bool interrupts_on(std::uint16_t after) noexcept;

  [[nodiscard]] bool has_room(std::size_t segments) const noexcept {
    return free_count_ >= descriptors_for(segments);
  }
  [[nodiscard]] std::uint16_t in_flight() const noexcept {
    return static_cast<std::uint16_t>(added_ - taken_);
  }
  [[nodiscard]] RingAddresses addresses() const noexcept { return addresses_; }

 private:
  struct Descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags;
    std::uint16_t next;
  };
  struct UsedElement {
    std::uint32_t id;
    std::uint32_t length;
  };
  // What the driver knows of a descriptor. The chain's own facts are with its first one.
  struct Note {
    std::uint16_t next = 0;   // in the chain, or of the free ones
    std::uint16_t count = 0;  // descriptors of the chain that begins here; 0: none does
    std::uint16_t token = 0;
    std::uint32_t writable = 0;
  };
  struct Layout;

  SplitRing(const SharedMemory& memory, const RingOptions& options,
            std::unique_ptr<Note[]> notes) noexcept;

  [[nodiscard]] std::size_t descriptors_for(std::size_t segments) const noexcept {
    return segments > 1 && segments <= options_.indirect ? 1 : segments;
  }
  [[nodiscard]] std::uint16_t& avail_flags() const noexcept { return avail_[0]; }
  [[nodiscard]] std::uint16_t& avail_index() const noexcept { return avail_[1]; }
  [[nodiscard]] std::uint16_t& used_event() const noexcept { return avail_[2 + options_.size]; }
  [[nodiscard]] const std::uint16_t& used_flags() const noexcept { return used_header_[0]; }
  [[nodiscard]] const std::uint16_t& used_index() const noexcept { return used_header_[1]; }
  [[nodiscard]] const std::uint16_t& avail_event() const noexcept {
    return *reinterpret_cast<const std::uint16_t*>(used_ + options_.size);
  }

  RingOptions options_;
  RingAddresses addresses_;
  std::span<std::byte> memory_;
  Descriptor* descriptors_;
  std::uint16_t* avail_;
  const std::uint16_t* used_header_;
  const UsedElement* used_;
  Descriptor* tables_ = nullptr;
  BusAddress tables_address_ = 0;
  std::unique_ptr<Note[]> notes_;
  std::uint16_t first_free_ = 0;
  std::uint16_t free_count_ = 0;
  // Buffers since the ring was cleared, modulo 2^16.
  std::uint16_t added_ = 0;
  std::uint16_t published_ = 0;
  std::uint16_t taken_ = 0;
  bool armed_ = true;  // the device may interrupt
};
static_assert(Ring<SplitRing>);

}  // namespace lichen::driver::virtio

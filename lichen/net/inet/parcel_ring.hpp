// ParcelRing: packets from one core to another. One writer, one reader, no lock, no allocation.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/io/buffer.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::net::inet {

enum class ParcelKind : std::uint8_t {
  frame,
  // With its header; the addresses are beside it.
  segment,   // of TCP
  datagram,  // of UDP
  leave,     // no bytes: the first core is to leave the group `to`
};

// What a core passes on to another. The bytes go back to whoever lent them from where they end.
struct Parcel {
  io::Buffer bytes{};
  wire::IpAddress from{};
  wire::IpAddress to{};
  std::uint8_t traffic_class = 0;
  ParcelKind kind = ParcelKind::frame;
  std::uint8_t interface = 1;  // of the stack; where it came from, or the group is
  bool checksum_done = false;
  bool to_group = false;    // of a datagram
  std::uint8_t looked = 0;  // cores that found nobody for the segment
};

class ParcelRing {
 public:
  // A power of two. Errors: no_memory.
  static Result<std::unique_ptr<ParcelRing>> create(std::size_t capacity);

  // ---- the writer
  // False when it is full; the parcel stays with the caller then.
  bool put(Parcel& parcel) noexcept {
    if (tail_ - seen_head_ > mask_) {
      seen_head_ = head_.load(std::memory_order_acquire);
      if (tail_ - seen_head_ > mask_) return false;
    }
    slots_[tail_++ & mask_] = std::move(parcel);
    return true;
  }
  void publish() noexcept { published_.store(tail_, std::memory_order_release); }

  // ---- the reader
  // The oldest; null when there is none.
  Parcel* front() noexcept {
    if (next_ == seen_tail_) {
      seen_tail_ = published_.load(std::memory_order_acquire);
      if (next_ == seen_tail_) return nullptr;
    }
    return &slots_[next_ & mask_];
  }
  void pop() noexcept {
    slots_[next_ & mask_].bytes.release();
    head_.store(++next_, std::memory_order_release);
  }

 private:
  ParcelRing(std::unique_ptr<Parcel[]> slots, std::size_t mask) noexcept
      : slots_{std::move(slots)}, mask_{mask} {}

  const std::unique_ptr<Parcel[]> slots_;
  const std::size_t mask_;
  alignas(64) std::size_t tail_ = 0;  // the writer's
  std::size_t seen_head_ = 0;
  alignas(64) std::size_t next_ = 0;  // the reader's
  std::size_t seen_tail_ = 0;
  alignas(64) std::atomic<std::size_t> published_{0};
  alignas(64) std::atomic<std::size_t> head_{0};
};

inline Result<std::unique_ptr<ParcelRing>> ParcelRing::create(std::size_t capacity) {
  std::unique_ptr<Parcel[]> slots{new (std::nothrow) Parcel[capacity]};
  if (!slots) return Error::no_memory;
  std::unique_ptr<ParcelRing> ring{new (std::nothrow) ParcelRing{std::move(slots), capacity - 1}};
  if (!ring) return Error::no_memory;
  return ring;
}

}  // namespace lichen::net::inet

// What the two forms of a virtqueue have in common (virtio 1.2, 2.6 to 2.8).
//
// A ring is a pure structure in shared memory: it knows no device and no interrupt, and waits for
// nothing. What the driver needs to remember is kept beside it, where the device cannot reach; of
// what the device writes nothing is believed that was not checked.
#pragma once

#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/hooks.hpp"
#include "lichen/driver/virtio/memory.hpp"

namespace lichen::driver::virtio {

static_assert(std::endian::native == std::endian::little, "virtio's numbers are little-endian");

// Contiguous bytes for the device.
struct Segment {
  BusAddress address = 0;
  std::uint32_t length = 0;
};

// One buffer: what the device reads, then what it writes. Not both empty.
struct Chain {
  std::span<const Segment> read;
  std::span<const Segment> written;
};

// A buffer that came back: the token it was added with, and how many bytes the device says to have
// written, at most those that were offered. 0 if none were.
struct Used {
  std::uint16_t token = 0;
  std::uint32_t written = 0;
};

struct RingOptions {
  // Descriptors; for a split ring a power of two. At most largest_ring.
  std::uint16_t size = 0;
  bool event_index = false;
  // Entries of the table set aside for each buffer, for buffers of several segments; 0: none.
  std::uint16_t indirect = 0;
};
inline constexpr std::uint16_t largest_ring = 32'768;

// Where the device finds the parts of a ring (2.6): descriptor area, driver area, device area.
struct RingAddresses {
  BusAddress descriptors = 0;
  BusAddress driver = 0;
  BusAddress device = 0;
};

// Used by one core at a time. `after` counts buffers.
template <class R>
concept Ring = requires(R ring, const R& seen, const Chain& chain, std::uint16_t number,
                        RingOptions options, SharedMemory memory) {
  // Bytes of shared memory, and a ring in them. The memory MUST be zeroed and outlive the ring.
  { R::memory_size(options) } -> std::same_as<std::size_t>;
  { R::create(memory, options) } -> std::same_as<Result<R>>;
  // As if it was new: nothing is in flight. The device MUST NOT look any more.
  { ring.clear() };
  // False if there is no room now. The device may see it at once, or only after publish().
  { ring.add(chain, number) } -> std::same_as<bool>;
  // Shows the device what was added; true if it wants to be notified of that.
  { ring.publish() } -> std::same_as<bool>;
  // The next buffer that came back. Errors: would_block (none is there), protocol_error (the device
  // lies; the ring is of no use until the device is reset and the ring cleared).
  { ring.take() } -> std::same_as<Result<Used>>;
  { ring.interrupts_off() };
  // Asks for an interrupt when so many more buffers (at least one) have come back, or sooner. False
  // if one is there already: an interrupt may not come, so take it and ask again.
  { ring.interrupts_on(number) } -> std::same_as<bool>;
  // Whether a buffer of so many segments can be added now.
  { seen.has_room(number) } -> std::same_as<bool>;
  { seen.in_flight() } -> std::same_as<std::uint16_t>;  // buffers
  { seen.addresses() } -> std::same_as<RingAddresses>;
};

// A descriptor's flags (2.7.5, 2.8.13).
namespace descriptor_flag {
inline constexpr std::uint16_t next = 1;
inline constexpr std::uint16_t write = 2;
inline constexpr std::uint16_t indirect = 4;
}  // namespace descriptor_flag

// Each access to shared memory is one load or store: the device may look and write meanwhile. Tests
// let it do so in between (interleave_test.cpp).
template <std::unsigned_integral T>
[[nodiscard]] T load_shared(const T& at, std::memory_order order = std::memory_order_relaxed) {
  coro::hooks::interleave();
  return __atomic_load_n(&at, static_cast<int>(order));
}
template <std::unsigned_integral T>
void store_shared(T& at, std::type_identity_t<T> value,
                  std::memory_order order = std::memory_order_relaxed) {
  coro::hooks::interleave();
  __atomic_store_n(&at, value, static_cast<int>(order));
}

// Whether the event index lies in what was added from `old` to before `now` (2.7.10): all modulo
// 2^16.
[[nodiscard]] constexpr bool passes(std::uint16_t event, std::uint16_t now,
                                    std::uint16_t old) noexcept {
  return static_cast<std::uint16_t>(now - event - 1) < static_cast<std::uint16_t>(now - old);
}

}  // namespace lichen::driver::virtio

// Steering: how a device with several queues finds the one for what comes in, where it does so by
// receive-side scaling: a hash of addresses and ports, by a key of ours, and a table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lichen::io {

struct Steering {
  static constexpr std::size_t key_size = 40;
  static constexpr unsigned entries = 128;  // of the table

  std::array<std::uint8_t, key_size> key{};
  unsigned queues = 0;

  bool operator==(const Steering&) const noexcept = default;
  [[nodiscard]] constexpr unsigned queue_of_entry(unsigned entry) const noexcept {
    return entry % queues;
  }
  // Source and destination address, then source and destination port, as in the packet.
  [[nodiscard]] unsigned queue_of(std::span<const std::uint8_t> flow) const noexcept;
};

// The hash of Toeplitz (virtio 1.2, 5.1.6.4.3, by H. Krawczyk, 1995), of at most 36 bytes: for each
// bit that is set the 32 bits of the key from its position on.
[[nodiscard]] std::uint32_t toeplitz_hash(const std::array<std::uint8_t, Steering::key_size>& key,
                                          std::span<const std::uint8_t> bytes) noexcept;

inline unsigned Steering::queue_of(std::span<const std::uint8_t> flow) const noexcept {
  return queue_of_entry(toeplitz_hash(key, flow) % entries);
}

}  // namespace lichen::io

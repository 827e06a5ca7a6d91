// What the running kernel's io_uring offers beyond the least that Lichen needs (Linux 5.11).
#pragma once

#include <cstdint>
#include <string_view>

namespace lichen::driver {

enum class Feature : std::uint8_t {
  deferred_work,      // completions are collected when we ask, without interrupts (6.1)
  registered_ring,    // the ring is entered without looking up its descriptor (5.18)
  multishot_accept,   // one request yields many connections (5.19)
  multishot_receive,  // one request yields many pieces of data (6.0)
  buffer_ring,        // the kernel picks receive buffers when data is there (5.19)
  registered_files,   // operations name files in the ring's own table (5.19 for a sparse one)
  send_zero_copy,     // sends without copying (6.0)
  open_beneath,       // openat2: paths that cannot lead out of a folder (5.6)
  truncate,           // (6.9)
  interrupts,         // completions interrupt a task that computes (6.1, with deferred_work)
};
inline constexpr unsigned feature_count = 10;

std::string_view name(Feature feature) noexcept;
// What is done without it.
std::string_view fallback(Feature feature) noexcept;

class Features {
 public:
  constexpr Features() noexcept = default;
  static constexpr Features all() noexcept {
    Features features;
    features.bits_ = (1U << feature_count) - 1;
    return features;
  }
  [[nodiscard]] constexpr bool has(Feature feature) const noexcept {
    return (bits_ >> static_cast<unsigned>(feature) & 1U) != 0;
  }
  constexpr Features& add(Feature feature) noexcept {
    bits_ |= 1U << static_cast<unsigned>(feature);
    return *this;
  }
  [[nodiscard]] constexpr Features without(Feature feature) const noexcept {
    Features rest = *this;
    rest.bits_ &= ~(1U << static_cast<unsigned>(feature));
    return rest;
  }
  friend constexpr bool operator==(Features, Features) noexcept = default;

 private:
  std::uint32_t bits_ = 0;
};

}  // namespace lichen::driver

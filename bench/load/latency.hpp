// A histogram of durations: 64 buckets to each power of two, so that a quantile is off by at most
// 1.6 %. Recording is a few instructions and needs no memory.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace bench::load {

class Latency {
 public:
  void record(uint64_t ns, uint64_t times = 1) {
    buckets_[bucket(ns)] += times;
    count_ += times;
    max_ = std::max(max_, ns);
  }

  // The duration in ns that the given part (0 to 1) of all records did not exceed.
  uint64_t quantile(double part) const {
    auto wanted = static_cast<uint64_t>(part * static_cast<double>(count_));
    uint64_t seen = 0;
    for (uint32_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted) return std::min(upper_bound(i), max_);
    }
    return max_;
  }
  uint64_t max() const { return max_; }

 private:
  static constexpr uint32_t fine_bits = 6;

  static uint32_t bucket(uint64_t ns) {
    if (ns < (1u << fine_bits)) return static_cast<uint32_t>(ns);
    auto shift = static_cast<uint32_t>(std::bit_width(ns)) - 1 - fine_bits;
    return ((shift + 1) << fine_bits) + static_cast<uint32_t>((ns >> shift) & 63);
  }
  static uint64_t upper_bound(uint32_t bucket) {
    if (bucket < (1u << fine_bits)) return bucket;
    uint32_t shift = (bucket >> fine_bits) - 1;
    return ((uint64_t{64} + (bucket & 63) + 1) << shift) - 1;
  }

  std::array<uint64_t, (64 - fine_bits + 1) << fine_bits> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace bench::load

// Histogram: how long something took, many times over, in fixed memory.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace lichen::sched {

// Where a number of nanoseconds is counted: one by one below 16, above that each power of two in 16
// equal parts, so that the middle of a part is at most 1/32 = 3.1 % from what was counted there
// (log-linear, as in HdrHistogram). From 2^36 ns = 69 s on, everything is one.
struct Buckets {
  static constexpr unsigned linear_bits = 4;
  static constexpr unsigned top_bit = 36;
  static constexpr std::size_t per_octave = std::size_t{1} << linear_bits;
  static constexpr std::size_t count = (top_bit - linear_bits + 1) * per_octave + 1;

  static constexpr std::size_t of(std::uint64_t ns) noexcept {
    if (ns < per_octave) return ns;
    if (ns >> top_bit) return count - 1;
    const unsigned octave = static_cast<unsigned>(std::bit_width(ns)) - linear_bits - 1;
    return (octave << linear_bits) + (ns >> octave);
  }
  // The smallest number counted there.
  static constexpr std::uint64_t lowest(std::size_t bucket) noexcept {
    if (bucket < per_octave) return bucket;
    const std::size_t octave = (bucket >> linear_bits) - 1;
    return (per_octave + bucket % per_octave) << octave;
  }
  static constexpr std::uint64_t middle(std::size_t bucket) noexcept {
    if (bucket + 1 >= count) return lowest(bucket);
    return (lowest(bucket) + lowest(bucket + 1) - 1) / 2;
  }
};

// What histograms have counted: a copy, a sum, or what came in between two copies. Plain numbers.
class Distribution {
 public:
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t sum() const noexcept { return sum_; }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  [[nodiscard]] std::uint64_t mean() const noexcept { return count_ ? sum_ / count_ : 0; }
  // The number which `permyriad` ten-thousandths of all did not exceed (5'000: the median, 9'990:
  // p99.9), to 3.1 %; 0 if there are none.
  [[nodiscard]] std::uint64_t percentile(unsigned permyriad) const noexcept {
    // Rounded up: of 10 numbers, 9'900 means the largest.
    const std::uint64_t rank = std::max<std::uint64_t>((count_ * permyriad + 9'999) / 10'000, 1);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < Buckets::count; ++i) {
      seen += counts_[i];
      if (seen >= rank) return std::min(Buckets::middle(i), max_);
    }
    return 0;
  }

  void merge(const Distribution& other) noexcept {
    for (std::size_t i = 0; i < Buckets::count; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
  }
  // What was counted since an earlier copy of the same. The largest is then known to 3.1 %.
  [[nodiscard]] Distribution since(const Distribution& earlier) const noexcept {
    Distribution between;
    std::size_t last = 0;
    for (std::size_t i = 0; i < Buckets::count; ++i) {
      between.counts_[i] = counts_[i] - earlier.counts_[i];
      if (between.counts_[i]) last = i;
    }
    between.count_ = count_ - earlier.count_;
    between.sum_ = sum_ - earlier.sum_;
    if (between.count_)
      between.max_ = max_ > earlier.max_ ? max_ : std::min(max_, Buckets::middle(last));
    return between;
  }

 private:
  friend class Histogram;

  std::array<std::uint64_t, Buckets::count> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

// One writer; anyone may read meanwhile. What is read has each record that has ended before. Of
// those under way it may have a part, but nothing is in the sum that is not counted, and nothing is
// counted that is above the maximum: so neither the mean nor a percentile is what never was. While
// the writer resets anything may be seen of what was there before.
class Histogram {
 public:
  void record(std::uint64_t ns) noexcept {
    record(ns, [] {});
  }
  // For tests: what others see while it is recorded.
  template <class Between>
  void record(std::uint64_t ns, Between between) noexcept {
    if (ns > max_.load(std::memory_order_relaxed)) max_.store(ns, std::memory_order_relaxed);
    between();
    add(counts_[Buckets::of(ns)], 1);
    between();
    add(sum_, ns);
  }

  // By the writer.
  void reset() noexcept {
    sum_.store(0, std::memory_order_relaxed);
    for (Counter& counter : counts_) counter.store(0, std::memory_order_relaxed);
    max_.store(0, std::memory_order_relaxed);
  }

  void read_into(Distribution& sum) const noexcept {
    read_into(sum, [] {});
  }
  // For tests: what is seen while others record.
  template <class Between>
  void read_into(Distribution& sum, Between between) const noexcept {
    // In the other order than it is written.
    sum.sum_ += sum_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < Buckets::count; ++i) {
      between();
      const std::uint64_t n = counts_[i].load(std::memory_order_acquire);
      sum.counts_[i] += n;
      sum.count_ += n;
    }
    between();
    sum.max_ = std::max(sum.max_, max_.load(std::memory_order_relaxed));
  }
  [[nodiscard]] Distribution read() const noexcept {
    Distribution copy;
    read_into(copy);
    return copy;
  }

 private:
  using Counter = std::atomic<std::uint64_t>;
  static void add(Counter& counter, std::uint64_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }

  std::array<Counter, Buckets::count> counts_{};
  Counter sum_{0};
  Counter max_{0};
};

}  // namespace lichen::sched

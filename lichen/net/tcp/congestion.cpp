#include "lichen/net/tcp/congestion.hpp"

#include <algorithm>
#include <utility>

namespace lichen::net::tcp {

namespace {

// What is left of the bytes once slow start has taken its part.
std::uint32_t slow_start(CongestionWindow& window, std::uint32_t bytes) noexcept {
  const std::uint32_t taken = std::min(bytes, window.threshold - window.size);
  window.size += taken;
  return bytes - taken;
}

void grow(CongestionWindow& window, std::uint32_t bytes) noexcept {
  window.size = std::min(window.size + bytes, CongestionWindow::unlimited / 2);
}

}  // namespace

void HyStart::note(CongestionWindow& window, const Acked& acked) noexcept {
  // RFC 9406 section 4.3.
  constexpr std::uint32_t least_samples = 8;
  constexpr std::uint32_t most_slow_rounds = 5;
  constexpr std::uint64_t least_step = 4 * millisecond;
  constexpr std::uint64_t most_step = 16 * millisecond;
  if (acked.round) {
    last_ = std::exchange(current_, 0);
    samples_ = 0;
    if (baseline_ != 0 && ++slow_rounds_ >= most_slow_rounds) {
      window.threshold = window.size;
      return;
    }
  }
  if (acked.sample != 0) {
    current_ = current_ == 0 ? acked.sample : std::min(current_, acked.sample);
    ++samples_;
  }
  if (samples_ < least_samples) return;
  if (baseline_ != 0) {
    if (current_ < baseline_) baseline_ = 0;  // it was not for long
  } else if (last_ != 0 && current_ >= last_ + std::clamp(last_ / 8, least_step, most_step)) {
    baseline_ = current_;
    slow_rounds_ = 0;
  }
}

std::uint32_t HyStart::grow(CongestionWindow& window, const Acked& acked) noexcept {
  if (window.threshold != CongestionWindow::unlimited) return slow_start(window, acked.bytes);
  note(window, acked);
  if (!window.in_slow_start()) return acked.bytes;
  slow_start(window, baseline_ == 0 ? acked.bytes : acked.bytes / 4);
  return 0;
}

void NewReno::acked(CongestionWindow& window, const Acked& acked) noexcept {
  std::uint32_t bytes = acked.bytes;
  if (window.in_slow_start()) bytes = start_.grow(window, acked);
  if (bytes == 0) return;
  // RFC 5681 section 3.1: a segment for each window acknowledged.
  credit_ += bytes;
  if (credit_ >= window.size) {
    credit_ -= window.size;
    grow(window, acked.mss);
  }
}

std::uint32_t NewReno::congested(const CongestionWindow& /*window*/, std::uint32_t in_flight,
                                 std::uint32_t mss) noexcept {
  credit_ = 0;
  return std::max(in_flight / 2, 2 * mss);
}

std::uint32_t NewReno::timed_out(const CongestionWindow& window, std::uint32_t in_flight,
                                 std::uint32_t mss) noexcept {
  return congested(window, in_flight, mss);
}

std::uint32_t cube_root(std::uint64_t value) noexcept {
  std::uint64_t root = 0;
  for (int bit = 21; bit >= 0; --bit) {
    const std::uint64_t with = root | std::uint64_t{1} << bit;
    if (static_cast<unsigned __int128>(with) * with * with <= value) root = with;
  }
  return static_cast<std::uint32_t>(root);
}

void Cubic::begin_epoch(const CongestionWindow& window, const Acked& acked) noexcept {
  curve_.epoch = std::max<std::uint64_t>(acked.now, 1);
  curve_.estimate = std::uint64_t{window.size} * 1024;
  curve_.credit = 0;
  if (window.size < curve_.w_max) {
    // Section 4.2: K = cbrt((W_max - cwnd) / C) with C = 0.4 and windows in segments.
    curve_.origin = curve_.w_max;
    curve_.k_ms = cube_root(std::uint64_t{curve_.w_max - window.size} * 2'500'000'000 / acked.mss);
  } else {
    curve_.origin = window.size;
    curve_.k_ms = 0;
  }
}

void Cubic::acked(CongestionWindow& window, const Acked& acked) noexcept {
  std::uint32_t bytes = acked.bytes;
  if (window.in_slow_start()) bytes = start_.grow(window, acked);
  if (bytes == 0) return;
  if (curve_.epoch == 0) begin_epoch(window, acked);

  // Section 4.2: where the curve will be a round trip from now.
  constexpr std::int64_t farthest_ms = 100'000;
  const std::int64_t t_ms =
      static_cast<std::int64_t>((acked.now - curve_.epoch + acked.rtt) / 1'000'000);
  const std::int64_t off =
      std::clamp(t_ms - static_cast<std::int64_t>(curve_.k_ms), -farthest_ms, farthest_ms);
  const auto curve = static_cast<std::int64_t>(
      curve_.origin + static_cast<__int128>(off) * off * off * acked.mss * 4 / 10'000'000'000);
  const auto least = static_cast<std::int64_t>(window.size);
  const std::int64_t target = std::clamp(curve, least, least + least / 2);

  // Section 4.3: alpha = 3 (1 - beta) / (1 + beta) until the window is what it was, 1 from then on.
  const std::uint64_t alpha = curve_.estimate / 1024 < curve_.w_max ? 542 : 1024;  // of 1024
  curve_.estimate += alpha * bytes * acked.mss / window.size;

  if (const std::uint64_t reno = curve_.estimate / 1024;
      reno > static_cast<std::uint64_t>(target)) {
    if (reno > window.size) grow(window, static_cast<std::uint32_t>(reno - window.size));
    return;
  }
  // Section 4.4: (target - cwnd) / cwnd for each byte acknowledged.
  curve_.credit += static_cast<std::uint64_t>(target - least) * bytes;
  const std::uint64_t gain = curve_.credit / window.size;
  curve_.credit %= window.size;
  grow(window, static_cast<std::uint32_t>(std::min<std::uint64_t>(gain, bytes)));
}

std::uint32_t Cubic::congested(const CongestionWindow& window, std::uint32_t in_flight,
                               std::uint32_t mss) noexcept {
  curve_.epoch = 0;
  // Section 4.7, fast convergence: a window that did not get as far makes room for others.
  curve_.w_max = window.size < curve_.w_max
                     ? static_cast<std::uint32_t>(std::uint64_t{window.size} * 17 / 20)
                     : window.size;
  // Section 4.6: what was used, not what was allowed.
  const std::uint64_t used = std::min(window.size, std::max(in_flight, 2 * mss));
  return std::max(static_cast<std::uint32_t>(used * 7 / 10), 2 * mss);
}

std::uint32_t Cubic::timed_out(const CongestionWindow& window, std::uint32_t in_flight,
                               std::uint32_t mss) noexcept {
  return congested(window, in_flight, mss);
}

void Cubic::idled(std::uint64_t now, std::uint64_t ns) noexcept {
  // Section 5.8: time without data is no time of the curve.
  if (curve_.epoch != 0) curve_.epoch = std::min(curve_.epoch + ns, now);
}

}  // namespace lichen::net::tcp

// The round trip, and how long to wait for an acknowledgment (RFC 6298).
#pragma once

#include <algorithm>
#include <cstdint>

#include "lichen/net/tcp/config.hpp"

namespace lichen::net::tcp {

class RttEstimator {
 public:
  [[nodiscard]] bool measured() const noexcept { return srtt_ != 0; }
  [[nodiscard]] std::uint64_t smoothed() const noexcept { return srtt_; }
  [[nodiscard]] std::uint64_t variation() const noexcept { return rttvar_; }
  [[nodiscard]] std::uint64_t latest() const noexcept { return latest_; }
  // The least of the last five to ten minutes; 0 without a measurement.
  [[nodiscard]] std::uint64_t least() const noexcept {
    return least_[0] == 0 || (least_[1] != 0 && least_[1] < least_[0]) ? least_[1] : least_[0];
  }

  void measured(std::uint64_t rtt, std::uint64_t now) noexcept {
    rtt = std::max<std::uint64_t>(rtt, 1);
    latest_ = rtt;
    if (srtt_ == 0) {
      srtt_ = rtt;
      rttvar_ = rtt / 2;
    } else {
      const std::uint64_t off = srtt_ > rtt ? srtt_ - rtt : rtt - srtt_;
      rttvar_ = std::max<std::uint64_t>(rttvar_ - rttvar_ / 4 + off / 4, 1);
      srtt_ = std::max<std::uint64_t>(srtt_ - srtt_ / 8 + rtt / 8, 1);
    }
    if (now - epoch_ > least_epoch) {
      epoch_ = now;
      least_[1] = least_[0];
      least_[0] = rtt;
    }
    least_[0] = least_[0] == 0 ? rtt : std::min(least_[0], rtt);
  }

  // Without back-off.
  [[nodiscard]] std::uint64_t timeout(const Config& config) const noexcept {
    if (srtt_ == 0) return config.initial_rto;
    // As in Linux the lower bound, in which the granularity of the clock disappears, is of what
    // comes on top of the round trip: a round trip as long as the bound is no reason to send again.
    return std::min(srtt_ + std::max(4 * rttvar_, config.min_rto), config.max_rto);
  }

 private:
  static constexpr std::uint64_t least_epoch = 300 * second;

  std::uint64_t srtt_ = 0;
  std::uint64_t rttvar_ = 0;
  std::uint64_t latest_ = 0;
  std::uint64_t least_[2] = {0, 0};  // of this epoch and of the one before
  std::uint64_t epoch_ = 0;
};

}  // namespace lichen::net::tcp

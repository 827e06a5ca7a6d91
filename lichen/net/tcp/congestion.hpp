// How much may be on its way: the policies, behind one interface. They know neither segments nor
// timers; the connection tells them what happened and keeps the window they set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/net/tcp/config.hpp"

namespace lichen::net::tcp {

// In bytes.
struct CongestionWindow {
  static constexpr std::uint32_t unlimited = 0x7fffffff;

  std::uint32_t size = 0;
  std::uint32_t threshold = unlimited;  // slow start below it

  [[nodiscard]] bool in_slow_start() const noexcept { return size < threshold; }
};

struct Acked {
  std::uint64_t now;
  std::uint32_t bytes;  // newly acknowledged, in order or not
  std::uint32_t mss;
  std::uint64_t rtt;         // smoothed; 0: not known yet
  std::uint64_t sample = 0;  // of the round trip, by this acknowledgment; 0: none
  bool round = false;        // what was sent when the last round began is acknowledged
};

class Congestion {
 public:
  // Bytes were acknowledged outside of recovery, while the window was what limited the sender.
  virtual void acked(CongestionWindow& window, const Acked& acked) noexcept = 0;
  // The network lost or marked something, for the first time in a round trip: the new threshold.
  // `in_flight`: RFC 5681's FlightSize.
  virtual std::uint32_t congested(const CongestionWindow& window, std::uint32_t in_flight,
                                  std::uint32_t mss) noexcept = 0;
  // Nothing was acknowledged until the retransmission timer ran out: the new threshold.
  virtual std::uint32_t timed_out(const CongestionWindow& window, std::uint32_t in_flight,
                                  std::uint32_t mss) noexcept = 0;
  // A reduction of the window comes, which may turn out to have had no reason; it had none.
  virtual void remember() noexcept = 0;
  virtual void restore() noexcept = 0;
  // Nothing was sent for `ns` until now, longer than a retransmission timeout.
  virtual void idled(std::uint64_t now, std::uint64_t ns) noexcept = 0;

 protected:
  ~Congestion() = default;
};

// The first slow start ends before it loses something: when the round trips of a round have become
// longer it goes on at a quarter of the pace, and when they stay so for five rounds it is over
// (HyStart++, RFC 9406). Windows grow by whole acknowledgments here (L is without bound), as in
// Linux.
class HyStart {
 public:
  // Grows the window; what is left of the bytes once slow start has taken its part.
  std::uint32_t grow(CongestionWindow& window, const Acked& acked) noexcept;

 private:
  void note(CongestionWindow& window, const Acked& acked) noexcept;

  std::uint64_t last_ = 0;      // the least round trip of the round before; 0: none
  std::uint64_t current_ = 0;   // of this one
  std::uint64_t baseline_ = 0;  // when it went slower; 0: it does not
  std::uint32_t samples_ = 0;
  std::uint32_t slow_rounds_ = 0;
};

// RFC 5681 and RFC 6582, counting bytes (RFC 3465) and stretched acknowledgments whole.
class NewReno final : public Congestion {
 public:
  void acked(CongestionWindow& window, const Acked& acked) noexcept override;
  std::uint32_t congested(const CongestionWindow& window, std::uint32_t in_flight,
                          std::uint32_t mss) noexcept override;
  std::uint32_t timed_out(const CongestionWindow& window, std::uint32_t in_flight,
                          std::uint32_t mss) noexcept override;
  void remember() noexcept override {}
  void restore() noexcept override {}
  void idled(std::uint64_t, std::uint64_t) noexcept override {}

 private:
  HyStart start_;
  std::uint32_t credit_ = 0;  // bytes acknowledged towards the next segment
};

// RFC 9438, in integers: bytes and milliseconds.
class Cubic final : public Congestion {
 public:
  void acked(CongestionWindow& window, const Acked& acked) noexcept override;
  std::uint32_t congested(const CongestionWindow& window, std::uint32_t in_flight,
                          std::uint32_t mss) noexcept override;
  std::uint32_t timed_out(const CongestionWindow& window, std::uint32_t in_flight,
                          std::uint32_t mss) noexcept override;
  // RFC 9438 section 4.9.1.
  void remember() noexcept override { before_ = curve_; }
  void restore() noexcept override { curve_ = before_; }
  void idled(std::uint64_t now, std::uint64_t ns) noexcept override;

 private:
  struct Curve {
    std::uint64_t epoch = 0;     // when congestion avoidance began; 0: it has not
    std::uint64_t k_ms = 0;      // from then until the window is w_max again
    std::uint32_t w_max = 0;     // before the last reduction
    std::uint32_t origin = 0;    // where the curve is flat
    std::uint64_t estimate = 0;  // what Reno would have, in 1/1024 bytes
    std::uint64_t credit = 0;    // bytes acknowledged towards growth
  };

  void begin_epoch(const CongestionWindow& window, const Acked& acked) noexcept;

  HyStart start_;
  Curve curve_;
  Curve before_;  // the last reduction
};

// Holds the one that is chosen, without allocating.
class CongestionPolicy {
 public:
  explicit CongestionPolicy(CongestionAlgorithm algorithm) noexcept { choose(algorithm); }
  CongestionPolicy(const CongestionPolicy&) = delete;
  CongestionPolicy& operator=(const CongestionPolicy&) = delete;

  // The window goes on from where it is.
  void choose(CongestionAlgorithm algorithm) noexcept {
    if (algorithm == CongestionAlgorithm::cubic)
      used_ = &cubic_;
    else
      used_ = &new_reno_;
  }
  Congestion* operator->() noexcept { return used_; }

 private:
  Cubic cubic_;
  NewReno new_reno_;
  Congestion* used_ = nullptr;
};

// The cube root, rounded down.
[[nodiscard]] std::uint32_t cube_root(std::uint64_t value) noexcept;

}  // namespace lichen::net::tcp

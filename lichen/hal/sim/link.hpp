// Link: one direction of a network link that has everything a real one can do to a packet. Pure: no
// clock, no core; time comes as argument, chance from a seed.
//
//   send ──> queue (bounded, tail drop) ──> wire (bandwidth) ──> delay ──> receive
//                                            lost, doubled, damaged, overtaken
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/sim/simulator.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::sim {

struct LinkModel {
  // From the last bit sent to the last received, drawn for each packet. The spread is jitter: it
  // bunches packets, but does not change their order.
  Range latency{50'000, 80'000};
  std::uint64_t bits_per_second = 1'000'000'000;  // 0: without limit
  std::size_t largest_packet = 1'514;
  std::size_t queue_bytes = std::size_t{256} * 1024;  // what may wait for the wire
  // Packets in a million.
  std::uint32_t lost = 0;
  std::uint32_t doubled = 0;
  std::uint32_t damaged = 0;    // one to eight bits are flipped
  std::uint32_t overtaken = 0;  // comes late by `overtaken_by`; others do not wait for it
  Range overtaken_by{100'000, 1'000'000};
};

struct LinkStatistics {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;     // on the wire, or because the link was down
  std::uint64_t dropped = 0;  // the queue was full
  std::uint64_t doubled = 0;
  std::uint64_t damaged = 0;
  std::uint64_t overtaken = 0;
};

class Link {
 public:
  Link(const LinkModel& model, std::uint64_t seed) noexcept : model_{model}, random_{seed} {}

  // Takes a copy. Success says nothing about its arrival, as on a real link. `now_ns` MUST NOT go
  // back. Errors: invalid_argument (empty), too_large.
  Result<void> send(std::span<const std::byte> packet, std::uint64_t now_ns);
  // The packet that has arrived first. Errors: would_block.
  Result<std::vector<std::byte>> receive(std::uint64_t now_ns);
  // When receive() will have something; no_deadline: nothing is on its way.
  [[nodiscard]] std::uint64_t next_arrival() const noexcept;

  // While it is down what is sent is lost; what is on its way arrives.
  void set_up(bool up) noexcept { up_ = up; }
  [[nodiscard]] bool is_up() const noexcept { return up_; }
  [[nodiscard]] const LinkStatistics& statistics() const noexcept { return statistics_; }

 private:
  struct Flight {
    std::uint64_t arrives_ns;
    std::uint64_t number;  // equal times: in the order sent
    std::vector<std::byte> packet;
  };
  bool happens(std::uint32_t in_a_million) noexcept;
  std::uint64_t draw(Range range) noexcept;
  void fly(std::vector<std::byte> packet, std::uint64_t arrives_ns);
  static bool later(const Flight& a, const Flight& b) noexcept;

  LinkModel model_;
  Random random_;
  bool up_ = true;
  std::uint64_t wire_free_ns_ = 0;
  std::uint64_t last_arrival_ns_ = 0;
  std::uint64_t flights_begun_ = 0;
  std::vector<Flight> flights_;  // a heap, the earliest on top
  LinkStatistics statistics_;
};

}  // namespace lichen::hal::sim

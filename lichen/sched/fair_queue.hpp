// FairQueue: shares of one core by weight. Earliest eligible virtual deadline first (Stoica and
// Abdel-Wahab, "Earliest eligible virtual deadline first: a flexible and accurate mechanism for
// proportional share resource allocation", 1995).
//
// A claim's virtual runtime grows by the time it ran over its weight; the queue's virtual time is
// the weighted mean of those who compete. A claim makes requests of one slice: it may begin one
// once the queue's virtual time has reached its virtual runtime, and among those that have begun
// one the earliest virtual deadline goes first. So nobody gets ahead of its share, or falls behind
// it, by more than the longest request.
//
// The virtual time never goes back: when one leaves that had more than its share, the mean would,
// and does so only for those who come. Then all who stay may begin, until the mean has caught up.
// Those who leave while nobody comes or is served leave at once: the order in which they do so
// changes nothing.
//
// A weight may change at any time: distances from the mean are scaled so that they are the same
// service as before (section 4 of the paper). So the mean stays where it is, and however often
// that is done, nobody gains or loses by it.
#pragma once

#include <cstdint>

#include "lichen/base/heap.hpp"
#include "lichen/sched/parameters.hpp"

namespace lichen::sched {

// 2^10 for a nanosecond at weight 1. Compared by difference, so it may wrap.
struct VirtualTime {
  std::uint64_t ticks = 0;

  friend bool operator<(VirtualTime a, VirtualTime b) noexcept { return a - b < 0; }
  friend bool operator<=(VirtualTime a, VirtualTime b) noexcept { return a - b <= 0; }
  friend std::int64_t operator-(VirtualTime a, VirtualTime b) noexcept {
    return static_cast<std::int64_t>(a.ticks - b.ticks);
  }
  friend VirtualTime operator+(VirtualTime a, std::int64_t n) noexcept {
    return {a.ticks + static_cast<std::uint64_t>(n)};
  }
};

class FairQueue;

// How far a claim has come in a queue.
struct Progress {
  VirtualTime runtime;
  FairQueue* last = nullptr;  // where its runtime has a meaning
};

// What competes in a fair queue.
struct Claim : Progress {
  VirtualTime eligible;        // its runtime when it began its request
  VirtualTime deadline;        // of its request
  FairQueue* queue = nullptr;  // where it competes: it waits, or it runs
  std::uint32_t weight = 0;
  std::uint64_t inverse = 0;  // 2^32 over weight
  base::HeapNode node;
  bool begun = false;  // waits among those that have begun their request
};

class FairQueue {
 public:
  explicit FairQueue(const ScheduleParameters& parameters) noexcept : parameters_{&parameters} {}

  // Of one that does not compete.
  static void set_weight(Claim& claim, std::uint32_t weight) noexcept;
  // Of one that does, and MUST NOT wait: what it is behind or ahead, and what is left of its
  // request, stay what they are in real time.
  void change_weight(Claim& claim, std::uint32_t weight) noexcept;

  // Competes from now on. It has lost what it was behind, and has kept what it was ahead by.
  void join(Claim& claim) noexcept;
  // MUST NOT wait.
  void leave(Claim& claim) noexcept;

  // Waits for the core. MUST have joined.
  void push(Claim& claim) noexcept;
  // Waits no longer.
  void erase(Claim& claim) noexcept;
  // The next, which then waits no longer; null when nobody waits. Nobody MUST be running who is not
  // charged.
  Claim* pop() noexcept;
  [[nodiscard]] bool empty() const noexcept { return waiting_ == 0; }

  void charge(Claim& claim, std::uint64_t ran_ns) noexcept;

  // Whether another would be next if `claim`, which runs, waited again after this much more time.
  [[nodiscard]] bool yields(const Claim& claim, std::uint64_t ran_ns) noexcept;
  // How long the claim may go on until its request is finished.
  [[nodiscard]] std::uint64_t request_left(const Claim& claim) const noexcept;

  // What the claim is behind (positive) or ahead of its share, in real time.
  [[nodiscard]] std::int64_t lag_ns(const Claim& claim) const noexcept;
  [[nodiscard]] std::uint64_t weight() const noexcept { return weight_; }

 private:
  [[nodiscard]] static std::int64_t ticks_of(const Claim& claim, std::uint64_t ran_ns) noexcept {
    return static_cast<std::int64_t>(
        static_cast<std::uint64_t>(static_cast<unsigned __int128>(ran_ns) * claim.inverse >> 22));
  }
  void begin_request(Claim& claim) const noexcept;
  void advance() noexcept;
  void admit_begun() noexcept;

  const ScheduleParameters* parameters_;
  VirtualTime time_;         // never goes back
  VirtualTime base_;         // the mean is base_ + moment_ / weight_
  std::int64_t moment_ = 0;  // the sum of weight * (runtime - base_) of those who compete
  std::uint64_t weight_ = 0;
  std::uint32_t waiting_ = 0;
  bool used_ = false;  // somebody came or was served since the last one left
  base::Heap<Claim, &Claim::node, &Claim::deadline> begun_;
  base::Heap<Claim, &Claim::node, &Claim::eligible> early_;
};

}  // namespace lichen::sched

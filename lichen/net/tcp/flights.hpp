// What was sent and is not acknowledged, as ranges of sequence numbers with their fate: the
// scoreboard of RFC 6675, ordered by number, and of RFC 8985, ordered by the time of sending.
//
//   sent ──> acknowledged (gone)
//    │  └──> sacked ──> acknowledged
//    └─lost──> sent again ──> ...
#pragma once

#include <cstdint>

#include "lichen/base/list.hpp"
#include "lichen/net/tcp/memory.hpp"
#include "lichen/net/tcp/sequence.hpp"

namespace lichen::net::tcp {

struct Flight {
  base::ListNode by_sequence;
  base::ListNode by_time;  // while neither sacked nor lost
  Seq begin;
  Seq end;                    // a FIN counts one
  std::uint64_t sent_at = 0;  // the last time
  std::uint32_t transmissions = 1;
  bool sacked = false;
  bool lost = false;  // and not sent again since

  [[nodiscard]] std::uint32_t size() const noexcept { return end - begin; }
};

class Flights {
 public:
  explicit Flights(Pool<Flight>& pool) noexcept : pool_{pool} {}
  Flights(const Flights&) = delete;
  Flights& operator=(const Flights&) = delete;
  ~Flights() { clear(); }

  using BySequence = base::List<Flight, &Flight::by_sequence>;
  using ByTime = base::List<Flight, &Flight::by_time>;

  [[nodiscard]] bool empty() noexcept { return by_sequence_.empty(); }
  [[nodiscard]] Flight* front() noexcept { return by_sequence_.front(); }
  [[nodiscard]] Flight* back() noexcept { return by_sequence_.back(); }
  [[nodiscard]] BySequence& by_sequence() noexcept { return by_sequence_; }
  [[nodiscard]] ByTime& by_time() noexcept { return by_time_; }
  // In sequence numbers.
  [[nodiscard]] std::uint32_t sacked() const noexcept { return sacked_; }
  [[nodiscard]] std::uint32_t lost() const noexcept { return lost_; }

  // Makes sure that sent() and one split() after it cannot fail.
  [[nodiscard]] bool reserve() noexcept;
  // The range follows what was sent before. MUST have been reserved.
  void sent(Seq begin, Seq end, std::uint64_t now) noexcept;
  // It was sent again, from a lost one.
  void sent_again(Flight& flight, std::uint64_t now) noexcept;

  // Everything before `upto` has arrived. Calls `gone(flight, bytes)` for each that is not sacked.
  template <class Gone>
  void acknowledge(Seq upto, Gone&& gone) noexcept {
    while (Flight* flight = by_sequence_.front()) {
      if (flight->end > upto) {
        if (flight->begin < upto) {
          const std::uint32_t bytes = upto - flight->begin;
          if (!flight->sacked) gone(*flight, bytes);
          trim(*flight, bytes);
        }
        return;
      }
      if (!flight->sacked) gone(*flight, flight->size());
      remove(*flight);
    }
  }

  // The range has arrived. Calls `found(flight)` for each that was not known to have.
  template <class Found>
  void sack(Seq begin, Seq end, Found&& found) noexcept {
    for (auto at = by_sequence_.begin(); at != by_sequence_.end(); ++at) {
      Flight& flight = *at;
      if (flight.end <= begin) continue;
      if (flight.begin >= end) return;
      if (flight.sacked) continue;
      // Parts are cut off; for want of memory what is only partly in the range stays as it is.
      if (flight.begin < begin) {
        split(flight, begin);
        continue;  // the second part is next, or there is none
      }
      if (flight.end > end && !split(flight, end)) return;
      found(flight);
      at = by_sequence_.place_of(mark_sacked(flight));
    }
  }

  void mark_lost(Flight& flight) noexcept;
  // All that are neither sacked nor lost.
  void mark_all_lost() noexcept;
  // Those that are lost and were not sent again are not lost after all.
  void unmark_lost() noexcept;
  // The receiver has forgotten what it had (RFC 2018 section 8): that is lost.
  void forget_sacked() noexcept;
  // Cuts it in two; the second part, null for want of memory.
  Flight* split(Flight& flight, Seq at) noexcept;
  // The first that is lost, null when there is none.
  [[nodiscard]] Flight* first_lost() noexcept;

  void clear() noexcept;
  // What does not agree, null when all does. For tests.
  [[nodiscard]] const char* broken(Seq una, Seq nxt) noexcept;

 private:
  // Sacked neighbours become one: its.
  Flight& mark_sacked(Flight& flight) noexcept;
  void trim(Flight& flight, std::uint32_t bytes) noexcept;
  void remove(Flight& flight) noexcept;
  Flight* take() noexcept;

  Pool<Flight>& pool_;
  BySequence by_sequence_;
  ByTime by_time_;
  std::uint32_t sacked_ = 0;
  std::uint32_t lost_ = 0;
  Flight* lost_hint_ = nullptr;  // no lost one is before it; null: look from the front
  Flight* spare_ = nullptr;
};

}  // namespace lichen::net::tcp

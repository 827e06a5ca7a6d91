#include "lichen/net/tcp/flights.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace lichen::net::tcp {

namespace {
// What is sent at one time is one range, up to so much.
constexpr std::uint32_t largest_flight = 65'536;
}  // namespace

bool Flights::reserve() noexcept {
  if (spare_ == nullptr) spare_ = pool_.make();
  return spare_ != nullptr;
}

Flight* Flights::take() noexcept {
  return spare_ != nullptr ? std::exchange(spare_, nullptr) : pool_.make();
}

void Flights::sent(Seq begin, Seq end, std::uint64_t now) noexcept {
  if (Flight* last = by_sequence_.back();
      last != nullptr && last->sent_at == now && last->transmissions == 1 && !last->sacked &&
      !last->lost && last->end == begin && end - last->begin <= largest_flight) {
    last->end = end;
    return;
  }
  Flight* flight = take();
  assert(flight != nullptr);
  flight->begin = begin;
  flight->end = end;
  flight->sent_at = now;
  by_sequence_.push_back(*flight);
  by_time_.push_back(*flight);
}

void Flights::sent_again(Flight& flight, std::uint64_t now) noexcept {
  assert(!flight.sacked);
  if (flight.lost) {
    flight.lost = false;
    lost_ -= flight.size();
  } else {
    flight.by_time.unlink();
  }
  flight.sent_at = now;
  ++flight.transmissions;
  by_time_.push_back(flight);
}

Flight& Flights::mark_sacked(Flight& flight) noexcept {
  if (flight.lost) {
    flight.lost = false;
    lost_ -= flight.size();
  } else {
    flight.by_time.unlink();
  }
  flight.sacked = true;
  sacked_ += flight.size();
  const auto join = [this](Flight& first, Flight& second) noexcept {
    first.end = second.end;
    first.transmissions = std::max(first.transmissions, second.transmissions);
    if (lost_hint_ == &second) lost_hint_ = nullptr;
    second.by_sequence.unlink();
    pool_.give_back(second);
  };
  auto next = ++by_sequence_.place_of(flight);
  if (next != by_sequence_.end() && next->sacked) join(flight, *next);
  auto place = by_sequence_.place_of(flight);
  if (place == by_sequence_.begin()) return flight;
  Flight& previous = *--place;
  if (!previous.sacked) return flight;
  join(previous, flight);
  return previous;
}

void Flights::mark_lost(Flight& flight) noexcept {
  assert(!flight.sacked && !flight.lost);
  flight.by_time.unlink();
  flight.lost = true;
  lost_ += flight.size();
  if (lost_hint_ != nullptr && flight.begin < lost_hint_->begin) lost_hint_ = &flight;
}

void Flights::mark_all_lost() noexcept {
  while (Flight* flight = by_time_.front()) mark_lost(*flight);
}

void Flights::unmark_lost() noexcept {
  // From the last to the first: each mostly goes to the front.
  for (auto at = by_sequence_.end(); at != by_sequence_.begin() && lost_ > 0;) {
    Flight& flight = *--at;
    if (!flight.lost) continue;
    flight.lost = false;
    lost_ -= flight.size();
    auto place = by_time_.begin();
    while (place != by_time_.end() && place->sent_at < flight.sent_at) ++place;
    by_time_.insert_before(place, flight);
  }
  lost_hint_ = nullptr;
}

void Flights::forget_sacked() noexcept {
  for (Flight& flight : by_sequence_) {
    if (!flight.sacked) continue;
    flight.sacked = false;
    sacked_ -= flight.size();
    flight.lost = true;
    lost_ += flight.size();
  }
  lost_hint_ = nullptr;
}

void Flights::trim(Flight& flight, std::uint32_t bytes) noexcept {
  if (flight.sacked) sacked_ -= bytes;
  if (flight.lost) lost_ -= bytes;
  flight.begin += bytes;
}

void Flights::remove(Flight& flight) noexcept {
  if (flight.sacked)
    sacked_ -= flight.size();
  else if (flight.lost)
    lost_ -= flight.size();
  else
    flight.by_time.unlink();
  if (lost_hint_ == &flight) lost_hint_ = nullptr;
  flight.by_sequence.unlink();
  pool_.give_back(flight);
}

Flight* Flights::split(Flight& flight, Seq at) noexcept {
  assert(flight.begin < at && at < flight.end);
  Flight* second = take();
  if (second == nullptr) return nullptr;
  second->begin = at;
  second->end = flight.end;
  second->sent_at = flight.sent_at;
  second->transmissions = flight.transmissions;
  second->sacked = flight.sacked;
  second->lost = flight.lost;
  flight.end = at;
  auto behind = by_sequence_.place_of(flight);
  by_sequence_.insert_before(++behind, *second);
  if (!flight.sacked && !flight.lost) {
    auto later = by_time_.place_of(flight);
    by_time_.insert_before(++later, *second);
  }
  return second;
}

Flight* Flights::first_lost() noexcept {
  if (lost_ == 0) return nullptr;
  auto at = lost_hint_ != nullptr ? by_sequence_.place_of(*lost_hint_) : by_sequence_.begin();
  for (; at != by_sequence_.end(); ++at) {
    if (!at->lost) continue;
    lost_hint_ = &*at;
    return lost_hint_;
  }
  return nullptr;
}

void Flights::clear() noexcept {
  while (Flight* flight = by_sequence_.front()) remove(*flight);
  if (spare_ != nullptr) pool_.give_back(*std::exchange(spare_, nullptr));
  lost_hint_ = nullptr;
}

const char* Flights::broken(Seq una, Seq nxt) noexcept {
  Seq at = una;
  std::uint32_t sacked = 0;
  std::uint32_t lost = 0;
  std::size_t timed = 0;
  for (Flight& flight : by_sequence_) {
    if (flight.begin != at) return "a gap between flights";
    if (flight.end <= flight.begin) return "an empty flight";
    if (flight.sacked && flight.lost) return "a flight both sacked and lost";
    if (flight.by_time.is_linked() == (flight.sacked || flight.lost)) return "order by time";
    if (flight.sacked) sacked += flight.size();
    if (flight.lost) lost += flight.size();
    if (flight.by_time.is_linked()) ++timed;
    if (flight.lost && lost_hint_ != nullptr && flight.begin < lost_hint_->begin)
      return "a lost flight before the hint";
    at = flight.end;
  }
  if (at != nxt) return "flights do not end at snd_nxt";
  if (sacked != sacked_ || lost != lost_) return "bytes sacked or lost are not counted right";
  std::uint64_t before = 0;
  for (Flight& flight : by_time_) {
    if (flight.sent_at < before) return "flights are not in the order of their times";
    before = flight.sent_at;
    --timed;
  }
  return timed == 0 ? nullptr : "flights by time";
}

}  // namespace lichen::net::tcp
